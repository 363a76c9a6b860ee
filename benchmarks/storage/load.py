"""A process that writes delta rows at a steady rate through the product's writer.

python -m benchmarks.storage.load DSN SPOOL ROWS_PER_S: says `ready` once rows arrive, goes on
until its input is closed, and then prints how many rows it accepted and in how long.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from alphaplus.config import Storage
from alphaplus.storage.tables import TABLES, TableBatch
from alphaplus.storage.writer import Writer

TICKS_PER_S: Final = 10
SYMBOLS: Final = tuple(f"BENCH{n}-USDT-PERP" for n in range(10))


def deltas(symbol: str, count: int, end_ns: int, span_ns: int, first: int) -> TableBatch:
    """Return `count` rows spread evenly over the `span_ns` before `end_ns`."""
    rows = TABLES["order_book_deltas"].rows(count)
    number = np.arange(first, first + count)
    rows["time"] = end_ns - span_ns + span_ns * np.arange(1, count + 1) // count
    rows["recv_time"] = rows["time"] + 1_000_000
    rows["seq"], rows["side"] = number, number % 2
    rows["price"] = 60_000 + number % 997 / 10
    rows["qty"] = number % 89 / 8
    return TableBatch("order_book_deltas", "binance", symbol, rows)


async def main(dsn: str, spool: str, rows_per_s: str) -> None:
    """Write until standard input ends."""
    settings, count = Storage(), int(rows_per_s) // TICKS_PER_S // len(SYMBOLS)
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    flush = {"flush_rows": settings.flush_rows, "flush_ms": settings.flush_ms}
    async with Writer(dsn, Path(spool), **flush) as writer:
        begun, ticks = time.time_ns(), 0
        while not stop.done():
            ticks += 1
            due = begun + ticks * 10**9 // TICKS_PER_S
            await asyncio.sleep(max(due - time.time_ns(), 0) / 1e9)
            await writer.accept(
                [deltas(s, count, due, 10**9 // TICKS_PER_S, ticks * count) for s in SYMBOLS]
            )
            if ticks == TICKS_PER_S:
                print("ready", flush=True)
        await writer.drain()
        seconds = (time.time_ns() - begun) / 1e9
        print(json.dumps({"rows": writer.stats.written, "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
