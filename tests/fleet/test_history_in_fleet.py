"""A fleet that has just started fills its own history and knows its leverage tiers."""

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import ray

from actors import names
from alphaplus.storage.history import candle_histories, tier_book
from tests.fleet.conftest import running_fleet, until

pytestmark = [pytest.mark.ray, pytest.mark.db]

HOUR_NS = 3600 * 10**9


def test_history_and_tiers_come_by_themselves(cluster: None, database: str, tmp_path: Path) -> None:
    risk = {"history_days": 20.0, "history_pause_s": 0.05}
    with running_fleet(database, tmp_path, ["--symbols", "2", "--seed", "11"], risk=risk) as fleet:
        until(lambda: _candles(database, fleet.symbols) >= 2 * 478, 60.0)
        until(lambda: all(map(_has_map, fleet.symbols)), 60.0)
        book = asyncio.run(_tiers(database))
        assert book.table(fleet.symbols[1]).tiers[0].max_leverage == 125
        report = fleet.drain()
    assert report["feeds"][0]["rows_sent"] > 2 * 478
    assert sum(item["rows_dead"] for item in report["stores"]) == 0


def _candles(dsn: str, symbols: list[str]) -> int:
    return asyncio.run(_count(dsn, symbols))


async def _count(dsn: str, symbols: list[str]) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        start = time.time_ns() - 21 * 24 * HOUR_NS
        found = await candle_histories(connection, "binance", symbols, HOUR_NS, start_ns=start)
        return sum(map(len, found.values()))
    finally:
        await connection.close()


async def _tiers(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await tier_book(connection, "binance", time.time_ns())
    finally:
        await connection.close()


def _has_map(symbol: str) -> bool:
    """The map of liquidation levels stands on tiers, and states them with its assumptions."""
    found = ray.get(names.symbol(symbol).liquidation_map.remote())
    return found["assumptions"] is not None
