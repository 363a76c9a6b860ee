"""What reading back costs: rows a second in each format, and the newest 100 rows.

python -m benchmarks.history [--dsn URL] [--capture FILE] [--rows 500000] [--times 500] [--json]

Rows are those of a recording, again and again with later times. They are streamed from the table,
and once more from the archive, packed as maintenance does on plain PostgreSQL.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphaplus.storage.archive.block import pack_all
from alphaplus.storage.archive.blocks import insert_blocks
from alphaplus.storage.connection import connect
from alphaplus.storage.history_formats import encoder_of
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import stream_rows
from alphaplus.storage.latest_rows import RowRing
from alphaplus.storage.migrations import migrate
from alphaplus.storage.newest_stored import newest_records
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.tables import TableBatch
from benchmarks.storage.database import open_folder, own_database
from benchmarks.storage.ingest import copy, empty, make_partitions, pieces, stretched
from benchmarks.storage.recorded import recorded_rows

DEFAULT: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
SHARES: Final = {
    "order_book_deltas": 1.0,
    "market_depth_analysis": 0.2,
    "enhanced_order_book_snapshots": 0.2,
}
FORMATS: Final = ("arrow", "parquet", "csv")
HOUR_NS: Final = 3600 * 10**9
NEWEST: Final = 100
KEPT: Final = 1000


async def measure(dsn: str, batch: TableBatch, times: int) -> dict[str, Any]:
    """Store the rows of one table and read them back in every way."""
    connection = await connect(dsn, write=True)
    try:
        await make_partitions(connection, batch)
        for piece in pieces(batch, 50_000):
            await copy(connection, piece)
        await connection.execute(f"ANALYZE {batch.table}")
        found: dict[str, Any] = {"table": batch.table, "rows": len(batch)}
        found["newest_100_ms"] = await _newest(connection, batch, times)
        found["rows_per_s"] = await _rates(connection, batch)
        await connection.execute(f"TRUNCATE {batch.table}")
        await _archive(connection, batch)
        found["rows_per_s_archived"] = await _rates(connection, batch)
        await connection.execute("TRUNCATE archive_blocks")
    finally:
        await connection.close()
    return found


async def _rates(connection: Any, batch: TableBatch) -> dict[str, int]:
    query = HistoryQuery(table=batch.table, exchange=batch.exchange, symbols=(batch.symbol,))
    rates = {}
    for form in (None, *FORMATS):
        encoder = None if form is None else encoder_of(form, query)
        begun, rows = time.perf_counter(), 0
        async for piece in stream_rows(connection, query):
            rows += len(piece)
            if encoder is not None:
                encoder.add(piece)
        if encoder is not None:
            encoder.finish()
        if rows != len(batch):
            raise RuntimeError(f"Expected {len(batch)} rows of {batch.table}, was {rows}.")
        rates[form or "arrays"] = round(rows / (time.perf_counter() - begun))
    return rates


async def _newest(connection: Any, batch: TableBatch, times: int) -> dict[str, Any]:
    series, now = (batch.exchange, batch.symbol), int(batch.rows["time"][-1])
    ring = RowRing(batch.table, KEPT)
    ring.add(batch.rows[-2 * KEPT :])

    async def by_sql() -> int:
        return len(await newest_records(connection, batch.table, series, NEWEST, now))

    async def in_memory() -> int:
        rows = ring.newest(NEWEST)
        return 0 if rows is None else len(rows)

    return {
        "sql": await _timed(by_sql, times),
        "memory": await _timed(in_memory, times),
        "memory_kb_of_1000_rows": round(ring.nbytes / 1000),
    }


async def _timed(ask: Callable[[], Awaitable[int]], times: int) -> dict[str, float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        if await ask() != NEWEST:
            raise RuntimeError(f"Expected the newest {NEWEST} rows, was another number.")
        taken.append(time.perf_counter() - begun)
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


async def _archive(connection: Any, batch: TableBatch) -> None:
    """Pack the rows by hours, as maintenance does with closed partitions."""
    rows = batch.floored().rows
    hours = rows["time"] // HOUR_NS
    for hour in np.unique(hours):
        part = TableBatch(batch.table, batch.exchange, batch.symbol, rows[hours == hour])
        await insert_blocks(connection, list(pack_all(part)), to_datetime(int(hour) * HOUR_NS))


async def run(dsn: str, recorded: dict[str, TableBatch], rows: int, times: int) -> Any:
    """Measure every table on an empty database."""
    await migrate(dsn)
    found = []
    for table, share in SHARES.items():
        await empty(dsn)
        found.append(await measure(dsn, stretched(recorded[table], round(rows * share)), times))
    return found


def main() -> None:
    """Measure once and print what was found."""
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", help="a server where databases may be made; default an own one")
    parser.add_argument("--capture", type=Path, default=data / DEFAULT)
    parser.add_argument("--rows", type=int, default=500_000, help="delta rows")
    parser.add_argument("--times", type=int, default=500, help="how often the newest are asked for")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    if not options.capture.exists():
        sys.exit(f"There is no recording {options.capture}; name one with --capture.")
    recorded = recorded_rows(options.capture, interval_ms=100.0)
    with open_folder() as folder, own_database(options.dsn, folder) as dsn:
        found = asyncio.run(run(dsn, recorded, options.rows, options.times))
    result = {"benchmark": "history", "capture": options.capture.name, "tables": found}
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
