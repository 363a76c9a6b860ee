"""The shared recordings as tapes: what streaming measures take, from bytes that a venue sent.

The product's feed decodes and sorts them; each recording is read once a session.

>>> for tape in capture_tapes(data_dir, "perp", max_events=1000):  # doctest: +SKIP
...     measure.update(tape)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.tape import QUOTE, TRADE, Tape
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.book.l2 import L2Book
from alphaplus.events import EventArray, Flag, Kind, Side
from alphaplus.feeds.capture import RawCapture
from alphaplus.feeds.discover import discover
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.instruments import Instrument

FILES: Final = {
    "perp": "captures/binance_usdm_btcusdt_20240808.raw.gz",
    "spot": "captures/binance_spot_btcusdt_20240808.raw.gz",
}


@dataclass(frozen=True)
class CaptureStream:
    """One recording: its events in order, and what tapes are cut from."""

    instrument: Instrument
    events: EventArray
    whole: Tape
    """All of it. Its arrays are read-only."""
    rows: dict[str, npt.NDArray[np.intp]]
    """For each array of the tape the event that completes each row."""
    newest: npt.NDArray[np.int64]
    """The newest venue time up to each event, ns."""

    def tapes(self, cuts: Sequence[int]) -> Iterator[Tape]:
        """Cut the stream before the events of these numbers, ascending; nothing is left out."""
        bounds = [0, *cuts, len(self.events)]
        for begin, end in pairwise(bounds):
            if end <= begin:
                continue
            parts: dict[str, Any] = {}
            for name, places in self.rows.items():
                first, last = np.searchsorted(places, (begin, end))
                parts[name] = getattr(self.whole, name)[first:last].copy()
            yield Tape.of(**parts, ts_event=int(self.newest[end - 1]))


def capture_tapes(data_dir: Path, market: str, max_events: int | None = None) -> Iterator[Tape]:
    """Yield a recording as tapes of at most so many events each; as one without a number."""
    stream = capture_stream(data_dir, market)
    size = max_events or len(stream.events)
    yield from stream.tapes(range(size, len(stream.events), size))


def random_cuts(seed: int, count: int, events: int) -> list[int]:
    """Return places at which to cut a stream of so many events, ascending, by chance."""
    generator = np.random.default_rng(seed)
    places: list[int] = np.unique(generator.integers(1, events, size=count)).tolist()
    return places


@cache
def capture_stream(data_dir: Path, market: str) -> CaptureStream:
    """Read one of `FILES`, once a session."""
    capture = RawCapture.read(data_dir / FILES[market])
    found = discover(capture.frames)
    feed = MarketFeed(found.instruments)
    output = feed.on_frames(capture.frames, capture.ts_recv, found.hints)
    events = np.concatenate([batch.events for batch in output.batches])
    instrument = found.instruments[0]
    rows = {
        "quotes": _last_rows(events, Kind.BOOK_TICKER),
        "trades": np.flatnonzero(events["kind"] == Kind.TRADE),
    }
    best_levels, rows["best_levels"] = _best_levels(instrument, events)
    newest = np.maximum.accumulate(events["ts_event"])
    whole = Tape.of(
        quotes=_quotes(events, rows["quotes"]),
        trades=_trades(events[rows["trades"]]),
        best_levels=best_levels,
        ts_event=int(newest[-1]),
    )
    for array in (events, whole.quotes, whole.trades, whole.best_levels):
        array.flags.writeable = False
    return CaptureStream(instrument, events, whole, rows, newest)


def _last_rows(events: EventArray, kind: Kind) -> npt.NDArray[np.intp]:
    is_last = (events["kind"] == kind) & ((events["flags"] & Flag.LAST) != 0)
    return np.flatnonzero(is_last)


def _quotes(events: EventArray, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.void]:
    bids, asks = events[rows - 1], events[rows]
    assert (bids["side"] == Side.BID).all()
    assert (asks["side"] == Side.ASK).all()
    quotes = np.zeros(len(rows), dtype=QUOTE)
    for name in ("ts_event", "ts_recv", "sequence"):
        quotes[name] = asks[name]
    for side, levels in (("bid", bids), ("ask", asks)):
        quotes[f"{side}_tick"] = levels["price_tick"]
        quotes[f"{side}_quantity"] = levels["value"]
    return quotes


def _trades(events: EventArray) -> npt.NDArray[np.void]:
    trades = np.zeros(len(events), dtype=TRADE)
    for name in ("ts_event", "ts_recv", "price_tick", "side"):
        trades[name] = events[name]
    trades["trade_id"] = events["sequence"]
    trades["quantity"] = events["value"]
    trades["off_market"] = (events["flags"] & Flag.OFF_MARKET) != 0
    return trades


def _best_levels(
    instrument: Instrument, events: EventArray
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.intp]]:
    """Return the best levels after each message of the book, and where each message ends."""
    book = L2Book(instrument)
    kinds = events["kind"]
    ends = ((kinds == Kind.DEPTH) & ((events["flags"] & Flag.LAST) != 0)) | (
        kinds == Kind.SNAPSHOT_END
    )
    best_levels = np.zeros(len(events[ends]), dtype=BEST_LEVELS)
    tops = book.apply(events, best_levels)
    rows = np.flatnonzero(ends)[-len(tops) :]
    assert len(tops) == len(rows)
    return best_levels[: len(tops)], rows
