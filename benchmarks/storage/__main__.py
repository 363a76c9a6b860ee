"""What storing costs: rows a second, questions meanwhile, bytes a row, on either flavour.

python -m benchmarks.storage [--dsn URL] [--capture FILE] [--rows 600000] [--times 2000] [--json]
"""

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from alphaplus.config import Storage
from alphaplus.storage.connection import connect
from alphaplus.storage.migrations import migrate
from alphaplus.storage.tables import TableBatch
from benchmarks.storage.database import open_folder, own_database
from benchmarks.storage.ingest import by_copy, empty, stretched, through_writer
from benchmarks.storage.reads import preload, while_writing
from benchmarks.storage.recorded import recorded_rows
from benchmarks.storage.sizes import size_of

DEFAULT: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
INTERVAL_MS: Final = 100.0
"""Of snapshots and measures in the recording's rows."""
TARGETS: Final = {
    "order_book_deltas": 100_000,
    "market_depth_analysis": 100_000,
    "enhanced_order_book_snapshots": 40_000,
}
"""Rows a second on one connection, each measured with this share of `--rows`."""
SHARES: Final = {
    "order_book_deltas": 1.0,
    "market_depth_analysis": 1 / 3,
    "enhanced_order_book_snapshots": 1 / 6,
}
SAVED: Final = {"order_book_deltas": 0.95, "enhanced_order_book_snapshots": 0.90}
LATEST_100_MS: Final = 0.5


def measure(dsn: str, folder: Path, recorded: dict[str, TableBatch], options: Any) -> Any:
    """Run all parts in turn on an empty database."""
    flavor = asyncio.run(migrate(dsn)).flavor
    found: dict[str, Any] = {"flavor": flavor, **asyncio.run(_server(dsn))}
    found["ingest"] = [
        {**asdict(rate), "target": target, "reached": rate.rows_per_s >= target}
        for table, target in TARGETS.items()
        for rate in _rates(
            dsn, folder, stretched(recorded[table], round(options.rows * SHARES[table]))
        )
    ]
    asyncio.run(empty(dsn))
    preloaded = asyncio.run(preload(dsn, time.time_ns()))
    asked = asyncio.run(while_writing(dsn, folder, options.times))
    found["reads"] = {
        "rows_before": preloaded,
        "rows_written_per_s": asked["rows_per_s"],
        "questions": [asdict(latency) for latency in asked["questions"]],
        "reached": asked["questions"][1].p50_ms < LATEST_100_MS,
    }
    asyncio.run(empty(dsn))
    found["sizes"] = []
    for table, batch in recorded.items():
        size = asyncio.run(size_of(dsn, batch, flavor))
        target = SAVED.get(table)
        reached = None if target is None else size.saved >= target and size.equal
        found["sizes"].append({**asdict(size), "target": target, "reached": reached})
    return found


def _rates(dsn: str, folder: Path, batch: TableBatch) -> Any:
    asyncio.run(empty(dsn))
    yield asyncio.run(through_writer(dsn, folder, batch, Storage().flush_rows))
    asyncio.run(empty(dsn))
    yield asyncio.run(by_copy(dsn, batch))


async def _server(dsn: str) -> dict[str, str]:
    """Say what server it is, and that it keeps what it commits."""
    connection = await connect(dsn)
    try:
        names = ("server_version", "synchronous_commit", "fsync", "full_page_writes")
        return {name: await connection.fetchval(f"SHOW {name}") for name in names}
    finally:
        await connection.close()


def main() -> None:
    """Measure once and print what was found."""
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", help="a server where databases may be made; default an own one")
    parser.add_argument("--capture", type=Path, default=data / DEFAULT)
    parser.add_argument("--rows", type=int, default=600_000, help="delta rows to write")
    parser.add_argument("--times", type=int, default=2_000, help="how often each question is asked")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    if not options.capture.exists():
        sys.exit(f"There is no recording {options.capture}; name one with --capture.")
    recorded = recorded_rows(options.capture, interval_ms=INTERVAL_MS)
    with open_folder() as folder, own_database(options.dsn, folder) as dsn:
        found = measure(dsn, folder, recorded, options)
    result = {"benchmark": "storage", "capture": options.capture.name, **found}
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
