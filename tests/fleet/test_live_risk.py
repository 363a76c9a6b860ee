"""Risk of a portfolio in a running fleet: it follows the marks, and history from the database."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from actors import names
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.history_files import CandleHistory
from alphaplus.storage.history_rows import candle_rows
from alphaplus.storage.writer import Writer
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


def candles(price: float, now: int, hours: int = 800) -> CandleHistory:
    """Hourly candles up to the last full hour, ending near a price."""
    random = np.random.default_rng(3)
    close = np.exp(np.cumsum(random.normal(0, 0.006, hours)))
    close *= price / close[-1]
    opens = np.concatenate(([close[0]], close[:-1]))
    last = now // HOUR_NS * HOUR_NS - HOUR_NS
    return CandleHistory(
        times=last - HOUR_NS * np.arange(hours - 1, -1, -1),
        open=opens,
        high=np.maximum(opens, close) * 1.002,
        low=np.minimum(opens, close) * 0.998,
        close=close,
        volume=np.ones(hours),
    )


async def write_history(dsn: str, folder: Path, symbol: str, price: float, now: int) -> None:
    batch, _ = candle_rows(
        "binance", symbol, candles(price, now), step_ns=HOUR_NS, source="test", recv_ns=now
    )
    async with Writer(dsn, folder) as writer:
        await writer.accept([batch])
        await writer.drain()


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A generated symbol in a fleet that looks for history every second."""
    folder = tmp_path_factory.mktemp("live-risk")
    arguments = ["--symbols=1", "--seed=29"]
    with running_fleet(database, folder, arguments, risk={"history_reload_s": 1.0}) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def risk(fleet: Fleet) -> dict[str, Any]:
    return dict(ray.get(names.portfolio().risk.remote("main")))


def test_risk_follows_the_market(
    fleet: Fleet, database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (symbol,) = fleet.symbols
    portfolio = names.portfolio()
    until(lambda: fleet.summary(symbol)["mark_price"] is not None)
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
    before = risk(fleet)
    assert before["figures"]["var_99_1d"]["value"] is None, "no history yet"
    assert before["figures"]["var_99_1d"]["missing"]
    spool = tmp_path_factory.mktemp("history-spool")
    asyncio.run(write_history(database, spool, symbol, price, time.time_ns()))
    until(lambda: risk(fleet)["figures"]["var_99_1d"]["value"] is not None, 60)
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
    assert moved["positions"][0]["score"]["score"] > first["score"]["score"]
    assert moved["figures"]["equity"]["value"] < found["figures"]["equity"]["value"]
    advice = ray.get(portfolio.leverage.remote(symbol, None, "main", None))
    assert advice["long"]["inputs"]["equity_source"] == "portfolio"
    quote = ray.get(portfolio.margin_quote.remote("binance", QUOTE))
    assert quote["live_marks"] == [symbol]
    assert quote["positions"][0]["liquidation_price"] > 0
