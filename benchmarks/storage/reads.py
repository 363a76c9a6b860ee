"""How long questions take while another process writes 10,000 rows a second."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphaplus.storage import queries
from alphaplus.storage.connection import connect
from alphaplus.storage.newest_stored import newest_records
from alphaplus.storage.tables import TABLES, TableBatch
from benchmarks.storage.ingest import copy, make_partitions
from benchmarks.storage.load import SYMBOLS, deltas

WRITTEN_PER_S: Final = 10_000
PRELOAD_S: Final = 3 * 3600
DELTAS_PER_S: Final = 20
"""Rows of each of ten symbols that are there before: 2.2 million, in four partitions."""
AGGREGATE: Final = """
SELECT count(*), avg(spread_bps), avg(imbalance_5), min(mid), max(mid)
FROM market_depth_analysis
WHERE exchange = $1 AND symbol = $2 AND time >= $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One question, asked `times` times by one client: from call to Python values, ms."""

    question: str
    times: int
    p50_ms: float
    p99_ms: float


async def preload(dsn: str, now_ns: int) -> int:
    """Fill the past hours with deltas and with the measures of each second; return how many."""
    connection = await connect(dsn, write=True)
    total = 0
    try:
        for symbol in SYMBOLS:
            count = PRELOAD_S * DELTAS_PER_S
            measured = TABLES["market_depth_analysis"].rows(PRELOAD_S)
            measured["time"] = now_ns - 10**9 * np.arange(PRELOAD_S)
            measured["recv_time"], measured["window_ms"] = measured["time"], 1000
            for number, name in enumerate(measured.dtype.names[4:]):
                measured[name] = number + np.arange(PRELOAD_S) % 61 / 7
            for batch in (
                deltas(symbol, count, now_ns, PRELOAD_S * 10**9, -count),
                TableBatch("market_depth_analysis", "binance", symbol, measured),
            ):
                await make_partitions(connection, batch)
                for piece in batch.pieces(8 * 2**20):
                    await copy(connection, piece)
                total += len(batch)
        # As maintenance does: each partition is one more for the planner to leave out.
        await connection.fetchval("SELECT ap_ensure_partitions(now(), interval '24 hours')")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return total


async def while_writing(dsn: str, folder: Path, times: int) -> dict[str, Any]:
    """Ask every question `times` times while rows arrive."""
    connection = await connect(dsn)
    try:
        async with _load(dsn, folder) as told:
            found = [await _timed(name, ask, times) for name, ask in _questions(connection).items()]
    finally:
        await connection.close()
    return {"questions": found, "rows_per_s": round(told["rows"] / told["seconds"])}


def _questions(connection: Any) -> dict[str, Callable[[str], Awaitable[Any]]]:
    async def latest(table: str, symbol: str, count: int) -> None:
        now = time.time_ns()
        rows = await newest_records(connection, table, ("binance", symbol), count, now)
        if len(rows) != count:
            raise RuntimeError(f"Expected {count} rows of {table}, was {len(rows)}.")

    async def aggregate(symbol: str) -> None:
        start = queries.to_datetime(time.time_ns() - 300 * 10**9)
        row = await connection.fetchrow(AGGREGATE, "binance", symbol, start)
        if not row["count"]:
            raise RuntimeError("Expected rows of the past 5 minutes, was none.")

    return {
        "latest 1 delta": lambda symbol: latest("order_book_deltas", symbol, 1),
        "latest 100 deltas": lambda symbol: latest("order_book_deltas", symbol, 100),
        "latest 1 depth analysis": lambda symbol: latest("market_depth_analysis", symbol, 1),
        "latest 100 depth analyses": lambda symbol: latest("market_depth_analysis", symbol, 100),
        "5 minutes of depth analyses, aggregated": aggregate,
    }


async def _timed(name: str, ask: Callable[[str], Awaitable[Any]], times: int) -> Latency:
    taken = []
    for number in range(times):
        begun = time.perf_counter()
        await ask(SYMBOLS[number % len(SYMBOLS)])
        taken.append(time.perf_counter() - begun)
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    return Latency(
        question=name, times=times, p50_ms=round(float(p50), 3), p99_ms=round(float(p99), 3)
    )


@asynccontextmanager
async def _load(dsn: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Run the process that writes; what it says at the end is in the result then."""
    told: dict[str, Any] = {}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.storage.load"),
        *(dsn, str(folder / "load"), str(WRITTEN_PER_S)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("The process that writes ended early; see its message above.")
        yield told
    finally:
        said, _ = await process.communicate(b"")  # the end of its input stops it
    told |= json.loads(said)
