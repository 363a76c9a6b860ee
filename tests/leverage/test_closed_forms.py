"""Closed forms of each venue are fast paths: they equal the engine."""

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.leverage import bybit, dydx, hyperliquid, okx
from alphaplus.leverage.engine import POSITION, evaluate
from alphaplus.leverage.liquidation_price import (
    entry_valued_liquidation_price,
    hedge_liquidation_price,
    inverse_bankruptcy_price,
    inverse_liquidation_price,
    linear_bankruptcy_price,
    linear_liquidation_price,
    read_liquidation_price,
    round_outward,
)
from alphaplus.leverage.tiers import TIER
from tests.leverage.margin_books import legs_of, run, table
from tests.leverage.margin_twin import Leg

ROWS = table().rows
sides = st.sampled_from((1, -1))


def single(
    side: int, q: float, entry: float, *, wallet: float, rate: float, amount: float = 0.0,
    fee: float = 0.0, inverse: bool = False, entry_valued: bool = False,
) -> tuple[float, float]:  # fmt: skip
    """Liquidation and bankruptcy price by the engine, with one tier."""
    row = (0, 0, side, q, entry, entry, 0.1, fee, fee, 0, 1, inverse, entry_valued)
    tiers = np.array([(0.0, math.inf, rate, amount, 1.0)], TIER)
    found, _ = evaluate(np.array([row], POSITION), tiers, np.array([wallet]))
    return float(found["liquidation_price"][0]), float(found["bankruptcy_price"][0])


@settings(max_examples=100)
@given(
    sides,
    st.tuples(st.floats(1e-3, 1e3), st.floats(1e-2, 1e5)),
    st.floats(1.5, 100.0),
    st.tuples(st.floats(1e-3, 0.1), st.floats(0.0, 1e-3)),
    st.booleans(),
)
def test_single_tier_forms_equal_the_engine(
    side: int,
    size: tuple[float, float],
    leverage: float,
    rates: tuple[float, float],
    inverse: bool,
) -> None:
    (q, e), (rate, fee) = size, rates
    wallet = (q / e if inverse else q * e) / leverage
    form = inverse_liquidation_price if inverse else linear_liquidation_price
    bankrupt = inverse_bankruptcy_price if inverse else linear_bankruptcy_price
    price, bankruptcy = single(side, q, e, wallet=wallet, rate=rate, fee=fee, inverse=inverse)
    closed = form(side, q, e, wallet, rate, close_fee=fee)
    assert price == pytest.approx(float(closed), rel=1e-9, nan_ok=True)
    zero = bankrupt(side, q, e, wallet, fee)
    assert bankruptcy == pytest.approx(float(zero), rel=1e-9, nan_ok=True)


@settings(max_examples=60)
@given(legs_of([ROWS]), st.floats(2.0, 100.0))
def test_the_accepted_tier_of_the_closed_form_is_the_engine_price(
    leg: Leg, leverage: float
) -> None:
    leg = replace(leg, close_fee=0.0)
    wallet = leg.notional(leg.entry) / leverage
    price = float(run([[leg]], [wallet])[0]["liquidation_price"][0])
    assume(not math.isnan(price))
    prices = linear_liquidation_price(
        leg.side, leg.quantity, leg.entry, wallet, ROWS["rate"], amount=ROWS["amount"]
    )
    caps = np.append(ROWS["cap"][:-1], math.inf)
    notional = leg.quantity * prices
    accepted = prices[(notional >= ROWS["floor"] * (1 - 1e-12)) & (notional <= caps * (1 + 1e-12))]
    assert len(accepted) >= 1
    assert accepted.tolist() == pytest.approx([price] * len(accepted), rel=1e-9)


@settings(max_examples=60)
@given(st.floats(0.2, 5.0), st.floats(50.0, 2_000.0))
def test_the_hedge_form_is_a_root_of_the_engine(ratio: float, wallet: float) -> None:
    tiers = ((0.0, math.inf, 0.01, 0.0),)
    legs = [
        Leg(side=1, quantity=10.0, entry=100.0, mark=100.0, tiers=tiers),
        Leg(side=-1, quantity=10.0 * ratio, entry=101.0, mark=100.0, tiers=tiers),
    ]
    form = hedge_liquidation_price(
        [1, -1], [10.0, 10.0 * ratio], [100.0, 101.0], wallet, rates=[0.01, 0.01], amounts=[0, 0]
    )
    found = run([legs], [wallet], joined=True)[0]["liquidation_price"][0]
    assert found == pytest.approx(form, rel=1e-9, nan_ok=True)


@settings(max_examples=60)
@given(sides, st.floats(0.1, 10.0), st.floats(10.0, 1e5), st.floats(2.0, 100.0))
def test_entry_valued_margin_equals_the_simple_form_of_bybit(
    side: int, q: float, e: float, leverage: float
) -> None:
    wallet = q * e / leverage
    price, _ = single(side, q, e, wallet=wallet, rate=0.005, entry_valued=True)
    assert price == pytest.approx(
        bybit.simple_liquidation_price(side, e, leverage, 0.005), rel=1e-9
    )
    closed = entry_valued_liquidation_price(side, q, e, wallet, q * e * 0.005)
    assert price == pytest.approx(float(closed), rel=1e-9)


@settings(max_examples=60)
@given(st.floats(100.0, 1e6), st.floats(100.0, 1e5), st.floats(1.5, 100.0), st.floats(0.0, 0.01))
def test_inverse_forms_of_bybit_equal_the_engine(
    face: float, e: float, leverage: float, extra: float
) -> None:
    form = bybit.inverse_long_liquidation_price(
        face, e, leverage, 0.005, extra=extra, taker_fee=0.00055, deduction=1e-4
    )
    wallet = face / e / leverage + extra / 1.00055
    price, _ = single(1, face, e, wallet=wallet, rate=0.005, amount=1e-4, inverse=True)
    assert price == pytest.approx(form, rel=1e-9)
    balance = face / e / leverage
    older = bybit.inverse_long_cross(face, e, balance, 0.005, 0.0006)
    _, bankruptcy = single(1, face, e, wallet=balance, rate=0.005, fee=0.0006, inverse=True)
    assert older.bankruptcy_price == pytest.approx(bankruptcy, rel=1e-9)
    # the constant maintenance of the page: m and the fee at the bankruptcy price, per coin at entry
    fixed = 0.005 + 0.0006 * e / older.bankruptcy_price
    price, _ = single(1, face, e, wallet=balance, rate=fixed, inverse=True, entry_valued=True)
    assert older.liquidation_price == pytest.approx(price, rel=1e-4)


@settings(max_examples=60)
@given(sides, st.floats(0.1, 10.0), st.floats(10.0, 1e5), st.floats(2.0, 30.0))
def test_hyperliquid_and_dydx_forms_equal_the_engine(
    side: int, q: float, e: float, leverage: float
) -> None:
    wallet = q * e / leverage
    price, _ = single(side, q, e, wallet=wallet, rate=1 / 80)
    own = hyperliquid.liquidation_price(side, q, e, wallet, 40.0)
    assert own == pytest.approx(price, rel=1e-9)
    assert dydx.liquidation_price(wallet, side * q, e, 1 / 80) == pytest.approx(price, rel=1e-9)


def test_bankruptcy_at_leverage_is_one_over_it_away() -> None:
    prices = linear_bankruptcy_price([1, -1], 2.0, 100.0, 2.0 * 100.0 / 25)
    assert prices.tolist() == pytest.approx([96.0, 104.0], rel=1e-12)


@settings(max_examples=60)
@given(sides, st.floats(1.0, 1e5), st.sampled_from([Decimal("0.5"), Decimal("0.01")]))
def test_display_rounds_away_from_the_mark(side: int, price: float, tick: Decimal) -> None:
    shown = round_outward(price, side, tick)
    assert shown % tick == 0
    assert 0 <= (Decimal(repr(price)) - shown) * side < tick


@pytest.mark.parametrize("stated", [None, "", "0", "--", 0.0, "-1", "nan", "inf"])
def test_no_price_of_a_venue_is_none(stated: str | float | None) -> None:
    assert read_liquidation_price(stated) is None


def test_a_price_of_a_venue_is_a_number() -> None:
    assert read_liquidation_price("51764.83003276") == 51764.83003276


def test_margin_levels_of_okx() -> None:
    level = okx.isolated_margin_level(100.0, -40.0, 1_000.0, 0.0594, 0.0006)
    assert level == pytest.approx(1.0, rel=1e-9)
    assert okx.cross_margin_level(300.0, [60.0, 30.0], 10.0) == 3.0
    assert okx.isolated_margin_level(1.0, 0.0, 0.0, 0.01, 0.0) is None
    assert okx.cross_margin_level(1.0, [], 0.0) is None
    assert [okx.alarm_of(x) for x in (None, 1.0, 1.01, 3.0, 3.01)] == [
        None, "liquidation", "warning", "warning", "safe",
    ]  # fmt: skip


def test_stages_of_hyperliquid() -> None:
    stages = [hyperliquid.stage_of(equity, 30.0) for equity in (30.0, 29.0, 20.0, 19.0, -1.0)]
    assert stages == ["safe", "market_order", "market_order", "backstop_vault", "auto_deleveraging"]
    assert hyperliquid.stage_of(-1.0, 0.0) == "safe"
