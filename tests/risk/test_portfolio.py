import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.instruments import Instrument
from alphaplus.risk.portfolio import Portfolio

LINEAR = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)
INVERSE = Instrument(
    symbol="BTC-USD-BTC-PERP",
    exchange="binance",
    venue_symbol="BTCUSD_PERP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    contract_size=100.0,
    inverse=True,
)
L, I = ("binance", LINEAR.symbol), ("binance", INVERSE.symbol)  # noqa: E741


def portfolio(*items: dict[str, Any]) -> Portfolio:
    made = Portfolio([LINEAR, INVERSE], default_leverage=5.0)
    made.replace(items)
    return made


def position(symbol: str = LINEAR.symbol, **changes: Any) -> dict[str, Any]:
    return {"symbol": symbol, "quantity": 2.0, "entry_price": 50_000.0, **changes}


def test_long_linear() -> None:
    value = portfolio(position(leverage=10)).value({L: 51_000.0})
    assert value["gross_notional"] == 102_000.0
    assert value["net_notional"] == 102_000.0
    assert value["unrealized_pnl"] == 2_000.0
    assert value["margin_used"] == 10_200.0


def test_short_inverse_gains_when_the_price_falls() -> None:
    value = portfolio(position(INVERSE.symbol, quantity=-10.0)).value({I: 40_000.0})
    # 1000 USD short from 50000: 1000 * (1/40000 - 1/50000) BTC = 0.005 BTC = 200 USD
    assert value["unrealized_pnl"] == pytest.approx(200.0)
    assert value["net_notional"] == -1_000.0
    assert value["margin_used"] == 200.0  # default leverage


def test_an_unknown_mark_makes_every_total_unknown() -> None:
    value = portfolio(position(), position(INVERSE.symbol)).value({L: 50_000.0, I: None})
    assert value["positions"][0]["notional"] == 100_000.0
    assert value["positions"][1]["notional"] is None
    assert value["gross_notional"] is None
    assert value["margin_used"] is None


def test_an_empty_portfolio_is_worth_nothing() -> None:
    assert portfolio().value({})["gross_notional"] == 0.0


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_mirrored_positions_cancel(quantity: float, entry: float, mark: float) -> None:
    long = portfolio(position(quantity=quantity, entry_price=entry)).value({L: mark})
    short = portfolio(position(quantity=-quantity, entry_price=entry)).value({L: mark})
    assert long["unrealized_pnl"] == -short["unrealized_pnl"]
    assert long["gross_notional"] == short["gross_notional"]
    assert long["margin_used"] == short["margin_used"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (position(quantity=math.nan), "quantity"),
        (position(quantity=math.inf), "quantity"),
        (position(entry_price=0.0), "entry_price"),
        (position(entry_price=-1.0), "entry_price"),
        (position(entry_price=math.nan), "entry_price"),
        (position(leverage=0.5), "leverage"),
        (position(leverage=math.nan), "leverage"),
        (position("DOGE-USDT-PERP"), "DOGE-USDT-PERP"),
        (position(exchange="okx"), "okx"),
    ],
)
def test_wrong_positions_are_refused_and_the_old_ones_stay(
    wrong: dict[str, Any], says: str
) -> None:
    made = portfolio(position())
    with pytest.raises(RiskError, match=says):
        made.replace([wrong])
    assert len(made.positions) == 1
    with pytest.raises(RiskError, match="one position"):
        made.replace([position(), position()])
    assert len(made.positions) == 1
