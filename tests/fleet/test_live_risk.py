"""Risk of a portfolio in a running fleet: it follows the marks, and history from the database."""

import time
from typing import Any

import pytest
import ray

from actors import names
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from tests.fleet.conftest import Fleet, running_fleet, until

pytestmark = pytest.mark.ray

BTC = "BTC-USDT-PERP"
QUOTE = {
    "margin_mode": "cross",
    "position_mode": "one_way",
    "wallet_balance": 5_000.0,
    "positions": [
        {"symbol": BTC, "side": "long", "quantity": 1.0, "entry_price": 60_000.0, "leverage": 10}
    ],
}
TIER = LeverageTier(
    min_notional=0.0, max_notional=1e9, maintenance_margin_rate=0.01, max_leverage=50.0
)


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A generated symbol in a fleet that fills its history at once and looks for it often."""
    folder = tmp_path_factory.mktemp("live-risk")
    arguments = ["--symbols=1", "--seed=29"]
    history = {"history_reload_s": 1.0, "history_days": 40.0, "history_pause_s": 0.05}
    with running_fleet(database, folder, arguments, risk=history) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def risk(fleet: Fleet) -> dict[str, Any]:
    return dict(ray.get(names.portfolio().risk.remote("main")))


def observations(fleet: Fleet) -> int:
    return int(risk(fleet)["figures"]["var_99_1h"]["n_obs"])


def settled_observations(fleet: Fleet) -> bool:
    """Whether value at risk is there and no more history is on its way."""
    before = observations(fleet)
    time.sleep(3.0)
    return before > 0 and before == observations(fleet)


def has_map(symbol: str) -> bool:
    """Whether the fleet has shared the tiers of the venue, which it does once a day."""
    found = ray.get(names.symbol(symbol).liquidation_map.remote())
    return found["assumptions"] is not None


def test_risk_follows_the_market(fleet: Fleet) -> None:
    (symbol,) = fleet.symbols
    portfolio = names.portfolio()
    until(lambda: fleet.summary(symbol)["mark_price"] is not None)
    until(lambda: has_map(symbol), 60)
    price = fleet.summary(symbol)["mark_price"]
    book = TierBook([TierTable.of("BTC/USDT:USDT", [TIER])], venue="binance")
    ray.get(portfolio.set_tiers.remote("binance", book))
    held = {"symbol": symbol, "quantity": 1.0, "entry_price": price, "leverage": 10}
    account = {
        "id": "a",
        "exchange": "binance",
        "wallet_balance": price / 5,
        "positions": [held],
    }
    ray.get(portfolio.set_accounts.remote("main", [account]))
    before = risk(fleet)["figures"]["var_99_1d"]
    assert before["value"] is not None or before["missing"]
    until(lambda: settled_observations(fleet), 60)
    found = risk(fleet)
    (row,) = found["positions"]
    # (W - q E) / (q m - q) with one tier of 1 %
    expected = (price / 5 - price) / (0.01 - 1)
    assert row["liquidation_price"] == pytest.approx(expected, rel=1e-9)
    until(lambda: risk(fleet)["positions"][0]["score"]["score"] is not None)
    first = risk(fleet)["positions"][0]
    fleet.venue("/control/market", {"symbol": "BTCUSDT", "shock": -0.05, "over_s": 15})
    until(lambda: risk(fleet)["positions"][0]["mark_price"] < 0.97 * price)
    moved = risk(fleet)
    # The score also follows the volatility, which falls on the way: its distance is the market's.
    assert moved["positions"][0]["score"]["score"] is not None
    assert moved["positions"][0]["score"]["distance"] < first["score"]["distance"]
    assert moved["figures"]["equity"]["value"] < found["figures"]["equity"]["value"]
    advice = ray.get(portfolio.leverage.remote(symbol, None, "main", None))
    assert advice["long"]["inputs"]["equity_source"] == "portfolio"
    quote = ray.get(portfolio.margin_quote.remote("binance", QUOTE))
    assert quote["live_marks"] == [symbol]
    assert quote["positions"][0]["liquidation_price"] > 0
