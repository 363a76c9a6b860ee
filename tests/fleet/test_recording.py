"""A real recording, through the real client and the whole fleet, against the replay of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from alphaplus.feeds.replay import replay
from alphaplus.local.ports import free_ports
from alphaplus.storage.tables import TABLES
from tests.fleet.conftest import Fleet, get_json, running_fleet, served, until

pytestmark = pytest.mark.ray

PERP = "captures/binance_usdm_btcusdt_20240808.raw.gz"
SPEED = 20
SNAPSHOT_LEVELS = 2000


def test_the_fleet_ends_with_the_books_of_the_replay(
    cluster: None, database: str, tmp_path: Path, data_dir: Path
) -> None:
    expected = replay(data_dir / PERP)
    rows_before = asyncio.run(_rows(database))
    arguments = [
        "--source=capture",
        f"--capture={data_dir / PERP}",
        "--symbols=2",
        f"--speed={SPEED}",
    ]
    two = {"data_dir": tmp_path, "writers": 2}  # what one symbol sends, and what the other does
    with running_fleet(database, tmp_path, arguments, storage=two) as fleet:
        assert fleet.symbols[0] == "BTC-USDT-PERP"
        until(lambda: _has_ended(fleet.venue("/control/state")), timeout_s=120)
        for symbol in fleet.symbols:
            until(_ends_with(fleet, symbol, expected.book_hash), timeout_s=10)
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        with served(url):
            for symbol in fleet.symbols:
                over_http = get_json(f"{url}/v1/symbols/{symbol}/book?depth=1000")
                book = fleet.book(symbol)
                for name in ("bids", "asks", "sequence", "book_hash", "known_range"):
                    assert over_http[name] == book[name]
                listed = get_json(f"{url}/v1/symbols/{symbol}")
                assert listed["best_bid"] == book["bids"][0][0]
                assert listed["best_ask_quantity"] == book["asks"][0][1]
        report = fleet.drain()
    for item in report["symbols"]:
        assert item["book_hash"] == {"binance": expected.book_hash}
        state = item["states"][0][0]
        assert state["gaps"] == 0
        assert state["dropped"] == 0
        assert state["audit_different"] == 0
        # Depth that came before the first ticker was subscribed to cannot be judged.
        assert state["audit_equal"] > 0.95 * expected.audit.equal
        assert state["level_updates"] == expected.level_updates + SNAPSHOT_LEVELS
    assert all(store["rows_written"] for store in report["stores"])
    counts = ("rows_accepted", "rows_written", "rows_dead")
    store = {name: sum(store[name] for store in report["stores"]) for name in counts}
    sent = sum(item["rows_sent"] for item in (*report["symbols"], *report["feeds"]))
    assert store["rows_accepted"] == sent
    assert store["rows_written"] == sent
    assert store["rows_dead"] == 0
    assert asyncio.run(_rows(database)) - rows_before == sent


def _ends_with(fleet: Fleet, symbol: str, book_hash: str) -> Callable[[], bool]:
    return lambda: fleet.book(symbol)["book_hash"] == book_hash


def _has_ended(state: dict[str, Any]) -> bool:
    return all(item["ended"] for item in state["symbols"].values())


async def _rows(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        counts = [await connection.fetchval(f"SELECT count(*) FROM {name}") for name in TABLES]
        return sum(counts)
    finally:
        await connection.close()
