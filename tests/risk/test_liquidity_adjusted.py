import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.impact import Depth
from alphaplus.risk.liquidity_adjusted import constant_spread, depth_aware, random_spread

amounts = st.floats(0, 1e6)
LADDER = Depth(
    distance=np.array([[[0.01, 0.02, 0.03], [0.01, 0.02, 0.03]]]),
    quantity=np.array([[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]]),
    sigma=np.array([0.04]),
    volume=np.array([1000.0]),
)
PRICE = np.array([100.0])


def cost(quantity: float, depth: Depth = LADDER, value_at_risk: float = 0.0) -> float:
    notional = np.array([quantity * 100.0])
    return depth_aware(value_at_risk, depth, notional, PRICE).liquidity_cost


def _walk(quantity: float, side: int) -> float:
    """A book that is taken level by level, then slices of the square-root law one by one."""
    total, left = 0.0, quantity
    for distance, size in ((0.01, 1.0), (0.02, 2.0), (0.03, 3.0)):
        taken = min(left, size)
        total += taken * 100 * distance
        left -= taken
    if left > 0:
        parts = left * (np.arange(20_000) + 0.5) / 20_000
        last = 1 + side * 0.03
        prices = 100 * last * np.exp(side * 0.04 * np.sqrt(parts / 1000))
        total += left * side * float(np.mean(prices - 100))
    return total


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


@given(quantity=st.floats(0, 50), side=st.sampled_from([-1, 1]))
def test_depth_aware_cost_equals_a_walk_in_slices(quantity: float, side: int) -> None:
    found = depth_aware(7.0, LADDER, np.array([-side * quantity * 100.0]), PRICE)
    assert found.value_at_risk == 7.0
    assert found.liquidity_cost == pytest.approx(_walk(quantity, side), rel=1e-4, abs=1e-9)
    assert found.total == 7.0 + found.liquidity_cost


@given(quantity=st.floats(0.1, 50), more=st.floats(1, 3), thin=st.floats(0.05, 1))
def test_cost_rises_with_quantity_and_with_thinness(
    quantity: float, more: float, thin: float
) -> None:
    assert cost(more * quantity) >= cost(quantity) - 1e-9
    # what lies beyond a thin book starts where the book ends, so compare within the ladder
    inside = min(quantity, 6 * thin)
    assert cost(inside, LADDER.scaled(thin)) >= cost(inside) - 1e-9


def test_inputs_that_are_not_usable_are_errors() -> None:
    with pytest.raises(RiskError, match="spread"):
        constant_spread(1.0, 100.0, -0.01)
    with pytest.raises(RiskError, match="finite"):
        constant_spread(math.nan, 100.0, 0.01)
    unknown = replace(LADDER, volume=np.array([math.nan]))
    assert depth_aware(0.0, unknown, np.array([500.0]), PRICE).liquidity_cost > 0
    with pytest.raises(RiskError, match="daily volume"):
        depth_aware(0.0, unknown, np.array([900.0]), PRICE)
    with pytest.raises(RiskError, match="prices"):
        depth_aware(0.0, LADDER, np.array([900.0]), np.array([math.nan]))
