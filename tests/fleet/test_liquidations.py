"""The liquidation map through a whole fleet: events to map, record, answer over HTTP, and rows."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import ray

from actors import names
from alphaplus.local.ports import free_ports
from serve.liquidation_schemas import LiquidationMap
from tests.fleet.conftest import Fleet, get_json, running_fleet, served, until
from tests.leverage.map_cases import tiers

pytestmark = pytest.mark.ray


def test_map_grows_from_the_venues_events_and_is_stored(
    cluster: None, database: str, tmp_path: Path
) -> None:
    sections = {"feeds": {"open_interest_poll_s": 0.3}, "fleet": {"liquidation_bar_s": 3}}
    arguments = ["--symbols=1", "--seed=5"]
    with running_fleet(database, tmp_path, arguments, **sections) as fleet:
        (symbol,) = fleet.symbols
        actor = names.symbol(symbol)

        def answer() -> dict[str, Any]:
            return dict(ray.get(actor.liquidation_map.remote()))

        ray.get(actor.set_tiers.remote("binance", tiers()))
        until(lambda: answer()["status"] == "ok", timeout_s=60)
        plant_accounts(fleet)
        until(lambda: len(answer()["cells"] or ()) > 0, timeout_s=60)
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        with served(url):
            told = get_json(f"{url}/v1/symbols/{symbol}/liquidations/map")
            LiquidationMap.model_validate(told)
            assert told["assumptions"]["hash"]
            near = get_json(f"{url}/v1/symbols/{symbol}/liquidations?levels=5")["estimated"]
            assert near["status"] == "ok"
            assert 0 < len(near["levels"]) <= 5
            for level in near["levels"]:
                assert (level["price_level"] < near["mark_price"]) == (level["side"] == "long")
        report = fleet.drain()
    assert sum(item["rows_dead"] for item in report["stores"]) == 0
    levels, assumptions = asyncio.run(_stored(database, symbol))
    assert levels
    known = {row["id"]: json.loads(row["assumptions"]) for row in assumptions}
    assert all(known[row["assumptions_id"]]["symbol"] == symbol for row in levels)
    assert all(len(row["long_px"]) == len(row["long_usd"]) for row in levels)


def plant_accounts(fleet: Fleet) -> None:
    """Let the open interest rise: so much is new."""
    for side in ("long", "short"):
        account = {"symbol": "BTCUSDT", "side": side, "quantity": 50, "leverage": 10}
        fleet.venue("/control/accounts", account)


async def _stored(dsn: str, symbol: str) -> tuple[list[Any], list[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        return (
            await connection.fetch("SELECT * FROM liquidation_levels WHERE symbol = $1", symbol),
            await connection.fetch(
                "SELECT * FROM liquidation_assumptions WHERE symbol = $1", symbol
            ),
        )
    finally:
        await connection.close()
