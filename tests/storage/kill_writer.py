"""A writer in a process of its own, for the tests that kill it.

`python -m tests.storage.kill_writer DSN SPOOL LOG`: accepts batches without end and appends
a line to LOG after each that was accepted: first row, rows of each table.
"""

import asyncio
import os
import sys
from pathlib import Path

from alphaplus.storage.writer import Writer
from tests.storage.rows import batch

TABLES = ("order_book_deltas", "enhanced_order_book_snapshots", "market_depth_analysis")
ROWS = 50


async def main(dsn, spool, log):
    file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    start = sum(1 for _ in Path(log).read_text().splitlines()) * 10 * ROWS
    async with Writer(dsn, Path(spool), flush_rows=200, flush_ms=20) as writer:
        while True:
            await writer.accept([batch(table, ROWS, start) for table in TABLES])
            os.write(file, f"{start} {ROWS}\n".encode())
            start += ROWS


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
