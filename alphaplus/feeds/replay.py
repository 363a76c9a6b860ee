"""Replay a recording through the live path: decoder, sequence, book, audit and measures.

The same classes in the same order as between an exchange and an actor, in one process and as
fast as they go. Any batch size gives the same books.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.errors import CaptureError
from alphaplus.events import EventArray, FeedStatus, Flag, Kind
from alphaplus.feeds.capture import PARQUET_SUFFIX, EventCapture, EventRecorder, RawCapture
from alphaplus.feeds.discover import discover
from alphaplus.feeds.market_feed import FeedCounters, InstrumentCounters, MarketFeed
from alphaplus.instruments import Instrument

Progress = Callable[[int, int], None]
"""Takes how much is done, and of how much."""

MEASURES_EVERY_MS: Final = 1000.0
"""Market time between two takings of the measures that depend on the last book alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How often the book's touch was that of the venue's ticker, in price and quantity."""

    equal: int
    different: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolReport:
    """What a recording says of one instrument."""

    symbol: str
    exchange: str
    tick_size: str
    messages: int
    depth_messages: int
    level_updates: int
    trades: int
    gaps: int
    resyncs: int
    crossed: int
    bad_frames: int
    duplicates: int
    superseded: int
    dropped_frames: int
    snapshots: int
    status: str
    audit: Audit
    bids: int
    asks: int
    sequence: int | None
    book_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a recording says: totals, and each instrument on its own.

    `messages` counts all frames (of a Parquet recording: all messages in it), `level_updates`
    the levels in applied changes of the book, snapshots not included, `crossed` the messages
    that left a book crossed. `messages_per_s` is the time from bytes to measures, without
    reading the file. `book_hash` is that of the book; of several, of their names and hashes.
    """

    path: str
    symbols: tuple[str, ...]
    messages: int
    depth_messages: int
    level_updates: int
    trades: int
    gaps: int
    resyncs: int
    crossed: int
    bad_frames: int
    other_frames: int
    unknown_symbol_frames: int
    audit: Audit
    messages_per_s: float
    book_hash: str
    bids: int
    asks: int
    first_ts_recv: int
    """ns"""
    last_ts_recv: int
    """ns"""
    instruments: tuple[SymbolReport, ...]


class _Consumer:
    """A market as its symbol's actor keeps it, and what there is to say of it at the end."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        analyzer = Analyzer(instrument, every_ms=MEASURES_EVERY_MS)
        self.market = Market(instrument, analyzer, stale_after_ms=math.inf)

    def take(self, events: EventArray) -> None:
        """Apply a batch and take its measures."""
        self.market.apply(events)

    def report(self, counters: InstrumentCounters) -> SymbolReport:
        """Describe where the instrument stands."""
        self.market.settle()
        book, audit = self.market.book, self.market.audit
        audit.finish()
        return SymbolReport(
            symbol=self.instrument.symbol,
            exchange=self.instrument.exchange,
            tick_size=str(self.instrument.tick_size),
            messages=counters.messages,
            depth_messages=counters.depth_messages,
            level_updates=counters.level_updates,
            trades=counters.trades,
            gaps=counters.gaps,
            resyncs=counters.resyncs,
            crossed=self.market.crossed_messages,
            bad_frames=counters.bad_frames,
            duplicates=counters.duplicates,
            superseded=counters.superseded,
            dropped_frames=counters.dropped_frames,
            snapshots=counters.snapshots,
            status=counters.status.name.lower(),
            audit=Audit(equal=audit.equal, different=audit.different),
            bids=book.bid_count,
            asks=book.ask_count,
            sequence=book.sequence,
            book_hash=book.state_hash(),
        )


def replay(
    path: Path | str,
    *,
    batch: int = 1000,
    instruments: Sequence[Instrument] | None = None,
    record: Path | str | None = None,
    progress: Progress | None = None,
) -> ReplayReport:
    """Replay a `.raw.gz` or `.parquet` recording in batches of so many frames.

    Without `instruments` they are found in the recording. `record` names a Parquet file that
    takes the events of a raw recording. `progress` is told how many frames (of a Parquet recording:
    events) of how many are done. Raises CaptureError if the recording cannot be read or
    is of nothing we know.
    """
    path = Path(path)
    if path.suffix == PARQUET_SUFFIX:
        return _replay_events(path, progress or _nobody)
    return _replay_frames(path, batch, instruments, record, progress or _nobody)


def _nobody(done: int, of: int) -> None:
    """Tell nobody."""


def _replay_frames(
    path: Path,
    batch: int,
    instruments: Sequence[Instrument] | None,
    record: Path | str | None,
    progress: Progress,
) -> ReplayReport:
    capture = RawCapture.read(path)
    found = discover(capture.frames, instruments)
    if not found.instruments:
        raise CaptureError(
            f"Expected frames of Binance in {path}, was none of them; "
            "give a recording of its depth, trade or ticker streams."
        )
    _warm_up(found.instruments[0])
    feed = MarketFeed(found.instruments)
    consumers = [_Consumer(instrument) for instrument in feed.instruments]
    recorder = EventRecorder(record, found.instruments) if record is not None else None
    with recorder or nullcontext():
        begun = time.perf_counter()
        for at in range(0, len(capture), batch):
            part = slice(at, at + batch)
            output = feed.on_frames(capture.frames[part], capture.ts_recv[part], found.hints[part])
            for made in output.batches:
                consumers[made.instrument].take(made.events)
                if recorder is not None:
                    recorder.write(made.instrument, made.events)
            progress(min(at + batch, len(capture)), len(capture))
        seconds = time.perf_counter() - begun
    reports = [
        consumer.report(feed.instrument_counters(index)) for index, consumer in enumerate(consumers)
    ]
    return _report(
        path,
        reports,
        feed.counters,
        seconds,
        (int(capture.ts_recv[0]), int(capture.ts_recv[-1])),
    )


def _warm_up(instrument: Instrument) -> None:
    """Run a market of three frames, as kernels compile on first use.

    A machine's first replay would otherwise report the speed of the compiler.
    """
    bid, ask = f"{instrument.tick_size:f}", f"{2 * instrument.tick_size:f}"
    name = f'"s":"{instrument.venue_symbol}"'
    bids, asks = f'[["{bid}","1"]]', f'[["{ask}","1"]]'
    frames = (
        f'{{"e":"depthUpdate",{name},"U":1,"u":3,"pu":0,"b":{bids},"a":{asks}}}',
        f'{{"lastUpdateId":2,"bids":{bids},"asks":{asks}}}',
        f'{{"u":3,{name},"b":"{bid}","B":"1","a":"{ask}","A":"1"}}',
    )
    feed = MarketFeed([instrument])
    consumer = _Consumer(instrument)
    output = feed.on_frames([frame.encode() for frame in frames], [1, 1, 1], [0, 0, 0])
    for made in output.batches:
        consumer.take(made.events)
    consumer.report(feed.instrument_counters(0))


def _replay_events(path: Path, progress: Progress) -> ReplayReport:
    capture = EventCapture.read(path)
    if not len(capture.events):
        raise CaptureError(f"Expected events in {path}, was an empty recording; record again.")
    consumers = [_Consumer(instrument) for instrument in capture.instruments]
    tallies = [_Tally() for _ in consumers]
    _warm_up(capture.instruments[0])
    begun, done = time.perf_counter(), 0
    for index, events in _whole_messages(capture):
        consumers[index].take(events)
        tallies[index].take(events)
        done += len(events)
        progress(done, len(capture.events))
    seconds = time.perf_counter() - begun
    counters = FeedCounters(frames=sum(tally.counters.messages for tally in tallies))
    reports = [
        consumer.report(tally.counters) for consumer, tally in zip(consumers, tallies, strict=True)
    ]
    times = capture.events["ts_recv"]
    return _report(path, reports, counters, seconds, (int(times.min()), int(times.max())))


def _whole_messages(capture: EventCapture) -> Iterator[tuple[int, EventArray]]:
    """Cut long runs of one instrument into batches that end with a message."""
    rows = 65_536
    for index, events in capture.batches():
        begin = 0
        while begin < len(events):
            end = min(begin + rows, len(events))
            while end < len(events) and not events["flags"][end - 1] & Flag.LAST:
                end += 1
            yield index, events[begin:end]
            begin = end


@dataclass(slots=True)
class _Tally:
    """Counts from events what a feed counts from messages."""

    counters: InstrumentCounters = field(default_factory=InstrumentCounters)
    _was_synced: bool = False
    _in_snapshot: bool = False

    def take(self, events: EventArray) -> None:
        counters = self.counters
        kinds = events["kind"]
        is_last = (events["flags"] & Flag.LAST) != 0
        counters.messages += int(np.count_nonzero(is_last & (kinds != Kind.STATUS)))
        counters.trades += int(np.count_nonzero(kinds == Kind.TRADE))
        counters.last_ts_recv = int(events["ts_recv"][-1])
        begins = np.cumsum(kinds == Kind.SNAPSHOT_BEGIN)
        ends = np.cumsum(kinds == Kind.SNAPSHOT_END)
        # Batches end with a message, so no snapshot is open where one begins.
        changes = (kinds == Kind.DEPTH) & (begins == ends)
        no_level = (events["price_tick"] == 0) & (events["value"] == 0)
        counters.level_updates += int(np.count_nonzero(changes & ~no_level))
        counters.depth_messages += int(np.count_nonzero(changes & is_last))
        counters.snapshots += int(np.count_nonzero(kinds == Kind.SNAPSHOT_END))
        for value in events["value"][kinds == Kind.STATUS].tolist():
            self._take_status(FeedStatus(int(value)))

    def _take_status(self, status: FeedStatus) -> None:
        self.counters.status = status
        if status is FeedStatus.RESYNC:
            self.counters.gaps += 1
        elif status is FeedStatus.SYNCED:
            self.counters.resyncs += int(self._was_synced)
            self._was_synced = True


def _report(
    path: Path,
    reports: Sequence[SymbolReport],
    counters: FeedCounters,
    seconds: float,
    span: tuple[int, int],
) -> ReplayReport:
    def total(name: str) -> int:
        return sum(int(getattr(report, name)) for report in reports)

    return ReplayReport(
        path=str(path),
        symbols=tuple(report.symbol for report in reports),
        messages=counters.frames,
        depth_messages=total("depth_messages"),
        level_updates=total("level_updates"),
        trades=total("trades"),
        gaps=total("gaps"),
        resyncs=total("resyncs"),
        crossed=total("crossed"),
        bad_frames=total("bad_frames") + counters.unattributed_bad_frames,
        other_frames=counters.other_frames,
        unknown_symbol_frames=counters.unknown_symbol_frames,
        audit=Audit(
            equal=sum(report.audit.equal for report in reports),
            different=sum(report.audit.different for report in reports),
        ),
        messages_per_s=counters.frames / seconds if seconds > 0 else 0.0,
        book_hash=_combined_hash(reports),
        bids=total("bids"),
        asks=total("asks"),
        first_ts_recv=span[0],
        last_ts_recv=span[1],
        instruments=tuple(reports),
    )


def _combined_hash(reports: Sequence[SymbolReport]) -> str:
    books = [report for report in reports if report.sequence is not None] or list(reports)
    if len(books) == 1:
        return books[0].book_hash
    named = sorted(f"{book.exchange}:{book.symbol} {book.book_hash}\n" for book in books)
    return hashlib.blake2b("".join(named).encode(), digest_size=16).hexdigest()
