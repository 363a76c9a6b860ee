"""Scores, advice and value at risk follow a market that moves; nothing is timed, all is bounded."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import ray

from actors import names
from benchmarks.follow import DIRECTIONS, SYMBOL, follow
from jobs.stress import run as stress
from tests.fleet.conftest import Fleet, running_fleet, until

pytestmark = pytest.mark.ray

PATIENCE_S = 150.0
"""For the first history, tiers and model; the move and the liquidation have bounds of their own."""


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("follow")
    with running_fleet(database, folder, ["--symbols=2", "--seed=23"]) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def test_risk_follows_and_the_account_goes_where_the_portfolio_said(fleet: Fleet) -> None:
    found = follow(fleet.venue_url, PATIENCE_S)
    print(found)
    assert found["missing"] == {}
    assert found["liquidated_where_said"] is True
    delays = found["seconds_until_followed"]
    assert set(delays) == set(DIRECTIONS) - {"venue_mark"}
    assert None not in delays.values(), "each value left its calm range in the right direction"


def test_a_stress_run_takes_the_live_markets(fleet: Fleet, tmp_path: Path) -> None:
    portfolio: Any = names.portfolio()
    account = {
        "id": "cross",
        "exchange": "binance",
        "wallet_balance": 50_000.0,
        "positions": [{"symbol": SYMBOL, "quantity": 1.0, "entry_price": 60_000.0, "leverage": 5}],
    }
    ray.get(portfolio.set_accounts.remote("stressed", [account]))
    order = tmp_path / "order.json"
    order.write_text('{"common": -0.1, "levels": "none"}')
    arguments = Namespace(scenario=None, file=order, portfolio="stressed", json=True)
    until(lambda: not stress(arguments)["missing"], timeout_s=PATIENCE_S, poll_s=0.5)
    found = stress(arguments)
    market = next(item for item in found["markets"] if item["symbol"] == SYMBOL)
    assert found["figures"]["portfolio_loss"] == pytest.approx(0.1 * market["price"], rel=1e-6)
    assert found["figures"]["exit_cost"] > 0, "there is a live book to close it in"
    whole = stress(Namespace(scenario="common_down_10", file=None, portfolio="stressed", json=True))
    loss, lacks = whole["figures"]["portfolio_loss"], whole["missing"].get("portfolio_loss", [])
    assert (loss is None) == bool(lacks)
    assert loss is None or loss >= found["figures"]["portfolio_loss"]
    assert all("liquidation levels" in reason for reason in lacks)
