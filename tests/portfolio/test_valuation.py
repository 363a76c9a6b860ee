from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.portfolio.desk import RiskDesk
from tests.portfolio.desk_cases import BTC, ETH, INVERSE, NOW, account, desk, move, position, state


def value(made: RiskDesk, *positions: dict[str, Any]) -> dict[str, Any]:
    made.set_accounts("main", [account(*positions)])
    return made.value("main", NOW)


def test_long_linear() -> None:
    made = desk()
    move(made, BTC, 1.02)
    found = value(made, position(leverage=10))
    assert found["gross_notional"] == found["net_notional"] == 102_000.0
    assert found["unrealized_pnl"] == 2_000.0
    assert found["margin_used"] == 10_200.0
    assert (found["currency"], found["missing"]) == ("USDT", [])


def test_short_inverse_gains_when_the_price_falls() -> None:
    made = desk()
    move(made, INVERSE, 0.8)
    found = value(made, position(INVERSE, quantity=-10.0))
    # 1000 USD short from 50000: 1000 * (1/40000 - 1/50000) BTC = 0.005 BTC = 200 USD
    assert found["unrealized_pnl"] == pytest.approx(200.0)
    assert (found["net_notional"], found["currency"]) == (-1_000.0, "USD")
    assert found["margin_used"] == 200.0, "by the default leverage"


def test_an_unknown_mark_makes_every_total_unknown() -> None:
    made = desk()
    made.take_state(state(ETH, ts_recv=0))
    found = value(made, position(), position(ETH))
    assert found["positions"][0]["notional"] == 100_000.0
    assert found["positions"][1]["notional"] is None
    assert found["gross_notional"] is None
    assert "nothing has been received" in found["missing"][0]


def test_currencies_are_never_added_up_in_silence() -> None:
    two = [
        account(position(), id="a"),
        account(position("SOL-USDC-PERP"), id="b"),
    ]
    made = desk()
    made.set_accounts("main", two)
    found = made.value("main", NOW)
    assert found["gross_notional"] is None
    assert "were USDC and USDT" in found["missing"][0]
    parity = desk(at_par=("USDT", "USDC"))
    parity.set_accounts("main", two)
    found = parity.value("main", NOW)
    assert found["gross_notional"] == 100_200.0
    assert (found["currency"], found["at_par"]) == ("USDT", ["USDC", "USDT"])


def test_an_empty_portfolio_is_worth_nothing() -> None:
    found = desk().value("main", NOW)
    assert (found["gross_notional"], found["missing"]) == (0.0, [])


@given(st.floats(0.001, 1e6), st.floats(0.01, 1e6), st.floats(0.01, 100.0))
def test_mirrored_positions_cancel(quantity: float, entry: float, factor: float) -> None:
    made = desk(tiers=False)
    move(made, BTC, factor)
    long = value(made, position(quantity=quantity, entry_price=entry))
    short = value(made, position(quantity=-quantity, entry_price=entry))
    assert long["unrealized_pnl"] == -short["unrealized_pnl"]
    assert long["gross_notional"] == short["gross_notional"]
    assert long["margin_used"] == short["margin_used"]
