"""A planted account of the local venue is liquidated where the margin engine said it would be."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import ccxt
import pytest

from alphaplus.leverage.account import MarginAccount, MarginPosition
from alphaplus.leverage.account_margin import evaluate_account
from alphaplus.leverage.tier_files import tiers_from_ccxt
from alphaplus.leverage.tiers import TierBook
from tests.fleet.conftest import Fleet, running_fleet, until
from tests.venue.test_venue_ccxt import moved

pytestmark = pytest.mark.ray

SYMBOLS = {"BTCUSDT": "BTC/USDT:USDT", "ETHUSDT": "ETH/USDT:USDT"}


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two generated symbols in a fleet, both fresh."""
    folder = tmp_path_factory.mktemp("planted")
    with running_fleet(database, folder, ["--symbols=2", "--seed=23"]) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def tiers_of_venue(url: str) -> TierBook:
    """Ask the venue for its brackets as any client would."""
    client = ccxt.binanceusdm({"apiKey": "any", "secret": "any", "enableRateLimit": False})
    client.options["fetchCurrencies"] = False
    client.urls["api"] = moved(client.urls["api"], url)
    return tiers_from_ccxt(client.fetch_leverage_tiers(), venue="binance", source=url)


def liquidation_price(account: dict[str, Any], leverage: float, book: TierBook) -> float:
    """What the margin engine says of an account as the venue describes it."""
    (held,) = account["positions"]
    found = evaluate_account(
        MarginAccount(
            venue="binance",
            margin_mode="isolated",
            position_mode="one_way",
            wallet_balance=account["wallet_balance"],
            positions=(
                MarginPosition(
                    symbol=SYMBOLS[held["symbol"]],
                    side=held["side"],
                    quantity=held["quantity"],
                    entry_price=held["entry_price"],
                    mark_price=held["mark_price"],
                    leverage=leverage,
                ),
            ),
        ),
        book,
    )
    price = found.positions[0].liquidation_price
    assert price is not None
    return price


async def liquidations(dsn: str, symbol: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(
            await connection.fetch(
                "SELECT side, qty, price, time FROM liquidation_events WHERE symbol = $1",
                symbol,
            )
        )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("symbol", "side", "quantity", "leverage"),
    [("BTCUSDT", "long", 40.0, 50.0), ("ETHUSDT", "short", 900.0, 40.0)],
)
def test_it_goes_at_the_price_and_arrives_as_an_event(
    fleet: Fleet, database: str, *, symbol: str, side: str, quantity: float, leverage: float
) -> None:
    book = tiers_of_venue(fleet.venue_url)
    account = fleet.venue(
        "/control/accounts",
        {"symbol": symbol, "side": side, "quantity": quantity, "leverage": leverage},
    )
    price = liquidation_price(account, leverage, book)
    sign = 1 if side == "long" else -1
    fleet.venue("/control/market", {"symbol": symbol, "shock": -sign * 0.03, "over_s": 10})

    def told() -> dict[str, Any]:
        accounts = fleet.venue("/control/accounts")["accounts"]
        return next(dict(item) for item in accounts if item["account"] == account["account"])

    until(lambda: told()["state"] == "liquidated", timeout_s=60)
    at = told()["liquidated_at"]
    # it was safe at the mark before, and is not at this one: the engine's price lies between
    assert sign * (at["mark_price_before"] - price) > 0
    assert sign * (at["mark_price"] - price) <= 0
    error_bps = abs(at["mark_price"] / price - 1) * 1e4
    print(
        f"{symbol}: engine {price:.4f}, liquidated at {at['mark_price']:.4f}, {error_bps:.3f} bps"
    )
    ours = symbol.removesuffix("USDT") + "-USDT-PERP"

    def event() -> asyncpg.Record | None:
        rows = asyncio.run(liquidations(database, ours))
        return next((row for row in rows if row["qty"] == pytest.approx(quantity)), None)

    until(lambda: event() is not None, timeout_s=30, poll_s=0.2)
    row = event()
    assert row is not None
    assert row["side"] == (0 if side == "long" else 1)
    (held,) = told()["positions"]
    backing = account["wallet_balance"] / quantity
    assert row["price"] == pytest.approx(held["entry_price"] - sign * backing, rel=1e-4)
    assert row["time"].timestamp() * 1000 >= at["time_ms"]


def test_open_interest_counts_the_planted(fleet: Fleet, tmp_path: Path) -> None:
    before = fleet.venue("/fapi/v1/openInterest?symbol=BTCUSDT")
    fleet.venue(
        "/control/accounts",
        {"symbol": "BTCUSDT", "side": "short", "quantity": 500, "wallet_balance": 1e8},
    )
    after = fleet.venue("/fapi/v1/openInterest?symbol=BTCUSDT")
    # accounts of the venue's own come and go by fractions of this
    assert float(after["openInterest"]) - float(before["openInterest"]) == pytest.approx(
        500, abs=50
    )
