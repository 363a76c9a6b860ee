"""Rows of a recording: frames through decoder, book, measures and the rows of a market."""

import math
from pathlib import Path
from typing import Final

from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.errors import CaptureError
from alphaplus.feeds.capture import RawCapture
from alphaplus.feeds.discover import discover
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.rows import join_rows
from alphaplus.storage.market_rows import MarketRows
from alphaplus.storage.tables import SNAPSHOT_LEVELS, TableBatch

FRAMES: Final = 20
"""Frames a batch: a turn of snapshots is looked for after each."""


def recorded_rows(path: Path, *, interval_ms: float) -> dict[str, TableBatch]:
    """Return all rows of the first instrument of a recording, one batch a table.

    Snapshots of the book and measures come every `interval_ms` of the recording's time.
    Raises CaptureError if it cannot be read or is of nothing we know.
    """
    capture = RawCapture.read(path)
    found = discover(capture.frames, None)
    if not found.instruments:
        raise CaptureError(f"Expected frames of Binance in {path}, was none; name another.")
    feed = MarketFeed(found.instruments)
    instrument = feed.instruments[0]
    market = Market(instrument, Analyzer(instrument), stale_after_ms=math.inf)
    rows = MarketRows(
        market,
        deltas=True,
        snapshot_depth=SNAPSHOT_LEVELS,
        flush_ms=interval_ms,
        snapshot_interval_ms=interval_ms,
        analysis_interval_ms=interval_ms,
    )
    made: dict[str, list[TableBatch]] = {}
    for at in range(0, len(capture), FRAMES):
        part = slice(at, at + FRAMES)
        times = capture.ts_recv[part]
        for batch in feed.on_frames(capture.frames[part], times, found.hints[part]).batches:
            if batch.instrument == 0:
                market.apply(batch.events)
                rows.add(batch.events)
        while taken := rows.take(int(times[-1])):
            _keep(made, taken)
    _keep(made, rows.take_all(int(capture.ts_recv[-1])))
    return {
        table: TableBatch(table, instrument.exchange, instrument.symbol, join_rows(parts))
        for table, parts in ((t, [b.rows for b in batches]) for t, batches in made.items())
    }


def _keep(made: dict[str, list[TableBatch]], taken: list[TableBatch]) -> None:
    for batch in taken:
        made.setdefault(batch.table, []).append(batch)
