import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.partial import (
    Distressed,
    liquidate,
    maintenance_of,
    policy_reduction,
    smallest_reduction,
)
from alphaplus.leverage.profiles import PartialPolicy
from tests.leverage.margin_books import table

TABLE = table()
POLICIES: tuple[PartialPolicy, ...] = (
    "below_bracket", "two_tiers", "one_tier", "fifth_first", "block_limit",
)  # fmt: skip


def state(**changes: Any) -> Distressed:
    base: dict[str, Any] = {
        "quantity": 100.0,
        "lot": 0.5,
        "equity": 40.0,
        "unit_notional": 100.0,
        "unit_cost": 0.1,
    }
    return Distressed(**(base | changes))


@st.composite
def distressed(draw: st.DrawFn) -> Distressed:
    quantity = draw(st.integers(1, 300)) * 0.5
    price = draw(st.floats(1.0, 200_000.0))
    notional = quantity * price
    due = float(TABLE.maintenance_margin(notional))
    return state(
        quantity=quantity,
        unit_notional=price,
        equity=due * draw(st.floats(0.3, 1.2)),
        unit_cost=price * draw(st.floats(0.0, 0.02)),
        other_maintenance=draw(st.sampled_from((0.0, 10.0))),
    )


@settings(max_examples=100)
@given(distressed(), st.sampled_from((0.0, 0.1)))
def test_the_smallest_cure_is_what_trying_every_lot_finds(case: Distressed, buffer: float) -> None:
    due = maintenance_of(TABLE, case)
    lots = math.ceil(case.quantity / case.lot)

    def margin(count: int) -> float:
        x = min(count * case.lot, case.quantity)
        wanted = (1 + buffer) * (due(case.quantity - x) + case.other_maintenance)
        return case.equity - x * case.unit_cost - wanted

    cures = [count for count in range(lots + 1) if margin(count) >= 0]
    found = smallest_reduction(case, due, buffer=buffer)
    if cures:
        slack = 1e-9 * max(1.0, case.equity)
        exact = min(cures[0] * case.lot, case.quantity)
        assert found.closed == exact or abs(margin(round(found.closed / case.lot))) < slack
    else:
        assert found.closed == case.quantity
    if found.remaining:
        assert found.cured


def test_one_tier_follows_the_closed_form() -> None:
    case = state(equity=30.0)  # due 40 in the first tier
    found = smallest_reduction(case, maintenance_of(TABLE, case))
    bound = (40.0 - 30.0) / (100.0 * 0.004 - 0.1)
    assert found.closed == math.ceil(bound / 0.5) * 0.5
    assert found.cured


def test_where_closing_costs_more_than_it_frees_all_is_closed() -> None:
    case = state(equity=30.0, unit_cost=0.5)
    found = smallest_reduction(case, maintenance_of(TABLE, case))
    assert found.closed == 100.0
    assert found.remaining == 0.0


@settings(max_examples=150)
@given(distressed(), st.sampled_from(POLICIES))
def test_steps_end_and_only_ever_reduce(case: Distressed, policy: PartialPolicy) -> None:
    steps = liquidate(case, TABLE, policy, split_above=10_000.0, max_portion=0.5)
    left, equity = case.quantity, case.equity
    for step in steps:
        assert 0 < step.closed <= left
        assert 0 <= step.remaining < left  # never flips, never grows
        assert step.equity <= equity
        left, equity = step.remaining, step.equity
    due = maintenance_of(TABLE, case)(left) + case.other_maintenance
    assert left == 0 or equity >= due
    if case.equity >= maintenance_of(TABLE, case)(case.quantity) + case.other_maintenance:
        assert steps == ()


def test_okx_goes_down_two_tiers_from_the_third_on() -> None:
    third = state(quantity=8_000.0, lot=1.0, equity=1.0, unit_cost=0.0)  # 800,000
    assert policy_reduction(third, TABLE, "two_tiers").remaining == 500.0  # 50,000
    second = state(quantity=2_000.0, lot=1.0, equity=1.0, unit_cost=0.0)
    assert policy_reduction(second, TABLE, "two_tiers").remaining == 0.0


def test_binance_goes_below_the_bracket() -> None:
    third = state(quantity=8_000.0, lot=1.0, equity=1.0, unit_cost=0.0)
    assert policy_reduction(third, TABLE, "below_bracket").remaining == 6_000.0
    first = state(quantity=400.0, lot=1.0, equity=1.0)
    assert policy_reduction(first, TABLE, "below_bracket").remaining == 0.0


def test_hyperliquid_closes_a_fifth_of_a_large_position_first() -> None:
    assert policy_reduction(state(), TABLE, "fifth_first", split_above=9_999.0).closed == 20.0
    assert policy_reduction(state(), TABLE, "fifth_first", split_above=10_000.0).closed == 100.0


def test_dydx_keeps_to_the_limits_of_a_block() -> None:
    deep = state(equity=1.0)
    assert policy_reduction(deep, TABLE, "block_limit", max_portion=0.25).closed == 25.0
    shallow = state(equity=39.9)
    step = policy_reduction(shallow, TABLE, "block_limit", min_notional=1_000.0)
    assert step.closed == 10.0


@pytest.mark.parametrize(
    "wrong", [{"equity": math.nan}, {"lot": 0.0}, {"unit_notional": 0.0}, {"quantity": -1.0}]
)
def test_unknown_inputs_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RiskError):
        state(**wrong)
