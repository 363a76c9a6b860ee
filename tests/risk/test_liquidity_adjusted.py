import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.liquidity_adjusted import constant_spread, depth_aware, random_spread

amounts = st.floats(0, 1e6)
PRICES, SIZES = (99.0, 98.0, 97.0), (1.0, 2.0, 3.0)


def _walk(quantity: float) -> float:
    cost, left = 0.0, quantity
    for price, size in zip(PRICES, SIZES, strict=True):
        taken = min(left, size)
        cost += taken * (100 - price)
        left -= taken
    if left > 0:  # slices of the square-root law, one after the other
        parts = left * (np.arange(20_000) + 0.5) / 20_000
        cost += left * float(np.mean(3 + 100 * 0.04 * np.sqrt(parts / 1000)))
    return cost


@given(var=st.floats(-1e6, 1e6), notional=st.floats(-1e6, 1e6), spread=amounts, sd=amounts)
def test_liquidity_is_added_and_never_subtracted(
    var: float, notional: float, spread: float, sd: float
) -> None:
    plain = constant_spread(var, notional, spread)
    assert plain.liquidity_cost == pytest.approx(0.5 * abs(notional) * spread)
    assert plain.total >= var
    worse = random_spread(var, notional, spread, sd, factor=4.5)
    assert worse.liquidity_cost >= plain.liquidity_cost
    assert random_spread(var, notional, spread, 0.0).total == plain.total


@given(quantity=st.floats(0, 50))
def test_depth_aware_cost_equals_a_walk_in_slices(quantity: float) -> None:
    found = depth_aware(
        7.0, quantity, 100.0, PRICES, SIZES, daily_volatility=0.04, daily_volume=1000.0
    )
    assert found.value_at_risk == 7.0
    assert found.liquidity_cost == pytest.approx(_walk(quantity), rel=1e-4, abs=1e-9)


@given(quantity=st.floats(0.1, 50), more=st.floats(1, 3), thin=st.floats(0.05, 1))
def test_cost_rises_with_quantity_and_with_thinness(
    quantity: float, more: float, thin: float
) -> None:
    def cost(q: float, share: float) -> float:
        return depth_aware(
            0.0, q, 100.0, PRICES, np.array(SIZES) * share,
            daily_volatility=0.04, daily_volume=1000.0,
        ).liquidity_cost  # fmt: skip

    assert cost(more * quantity, 1.0) >= cost(quantity, 1.0) - 1e-9
    # what lies beyond a thin book starts where the book ends, so compare within the ladder
    inside = min(quantity, 6 * thin)
    assert cost(inside, thin) >= cost(inside, 1.0) - 1e-9


def test_exponent_of_temporary_impact_is_an_option() -> None:
    found = depth_aware(
        0.0, 10.0, 100.0, [], [], daily_volatility=0.04, daily_volume=1000.0, exponent=0.6
    )
    assert found.liquidity_cost == pytest.approx(10 * 100 * 0.04 * 0.01**0.6 / 1.6)


def test_inputs_that_are_not_usable_are_errors() -> None:
    with pytest.raises(RiskError, match="spread"):
        constant_spread(1.0, 100.0, -0.01)
    with pytest.raises(RiskError, match="finite"):
        constant_spread(math.nan, 100.0, 0.01)
    with pytest.raises(RiskError, match="daily_volume"):
        depth_aware(0.0, 9.0, 100.0, PRICES, SIZES, daily_volatility=0.04, daily_volume=0.0)
    with pytest.raises(RiskError, match="mid"):
        depth_aware(0.0, 1.0, 0.0, PRICES, SIZES, daily_volatility=0.04, daily_volume=1.0)
    with pytest.raises(RiskError, match="prices"):
        depth_aware(0.0, 1.0, 100.0, PRICES, (1.0,), daily_volatility=0.04, daily_volume=1.0)
