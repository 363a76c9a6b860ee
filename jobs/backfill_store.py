"""Where a backfill puts its rows: counted, shown, written once."""

import logging
import sys
from collections import Counter
from typing import Any

from alphaplus.storage.tables import TableBatch
from alphaplus.storage.writer import Writer

log = logging.getLogger("jobs.backfill")


class BackfillStore:
    """Rows to the writer, what could not be had, and how far it is on a terminal."""

    def __init__(self, writer: Writer) -> None:
        self.read: Counter[str] = Counter()
        """Rows that were found, by table."""
        self.left_out = 0
        self.missing: dict[str, str] = {}
        """What could not be had, with the reason."""
        self._writer = writer
        self._shows = sys.stderr.isatty()

    async def put(self, what: str, batch: TableBatch, left_out: int) -> None:
        """Take rows; returns when they are durable."""
        self.read[batch.table] += len(batch)
        if left_out:
            self.left_out += left_out
            log.warning("%s: %d rows are no good and left out", what, left_out)
        await self._writer.accept([batch])
        if self._shows and len(batch):
            day = str(batch.rows["time"][-1:].astype("datetime64[ns]")[0])[:10]
            print(f"\r\033[K{what}: {day}, {sum(self.read.values())} rows", end="", file=sys.stderr)

    async def flush(self, what: str) -> None:
        """Have everything written before the next history begins."""
        await self._writer.drain()
        if self._shows:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        log.info("%s: done, %d rows in all", what, sum(self.read.values()))

    def miss(self, what: str, reason: str) -> None:
        """Note what could not be had."""
        self.missing[what] = reason
        log.warning("%s: %s", what, reason)

    def summary(self) -> dict[str, Any]:
        """Return what came of it."""
        stats = self._writer.stats
        return {
            "rows_read": dict(self.read),
            "rows_written": stats.written,
            "rows_duplicate": stats.duplicate,
            "rows_dead": stats.dead,
            "rows_left_out": self.left_out,
            "missing": self.missing,
        }
