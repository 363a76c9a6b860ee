import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.impact import BUY, SELL, Depth, exit_costs, market_order

LADDER = Depth(
    distance=np.array([[[0.001, 0.002, 0.004], [0.001, 0.003, 0.004]]]),
    quantity=np.array([[[10.0, 0.0, 30.0], [5.0, 5.0, 10.0]]]),
    sigma=np.array([0.04]),
    volume=np.array([10_000.0]),
)
quantities = st.floats(0.0, 500.0)
sides = st.sampled_from([SELL, BUY])


def test_a_walk_by_hand() -> None:
    sell = market_order(LADDER, 0, SELL, 20.0)
    assert sell is not None
    assert sell.mean == pytest.approx((10 * 0.999 + 10 * 0.996) / 20)
    assert sell.last == 0.996
    buy = market_order(LADDER, 0, BUY, 10.0)
    assert buy is not None
    assert (buy.mean, buy.last) == (pytest.approx(1.002), 1.003)


def test_beyond_the_ladder_the_root_law_goes_on() -> None:
    fill = market_order(LADDER, 0, SELL, 140.0, impact=0.8)
    assert fill is not None
    assert fill.last == pytest.approx(0.996 * math.exp(-0.8 * 0.04 * math.sqrt(100 / 10_000)))


@given(quantities, sides, st.floats(0.1, 1.0))
def test_kernel_agrees_with_slices(quantity: float, side: int, survival: float) -> None:
    fill = market_order(LADDER, 0, side, quantity, survival=survival)
    assert fill is not None
    mean, last = plain_walk(quantity / survival, side)
    assert fill.mean == pytest.approx(mean, rel=1e-7)  # the twin takes a thousand slices
    assert fill.last == pytest.approx(last, rel=1e-12)


def plain_walk(quantity: float, side: int) -> tuple[float, float]:
    sign = -1 if side == SELL else 1
    left, paid, last = quantity, 0.0, 1.0
    for distance, resting in zip(LADDER.distance[0, side], LADDER.quantity[0, side], strict=True):
        part = min(left, resting)
        if part > 0:
            last = 1 + sign * distance
            paid += part * last
            left -= part
    if left <= 0:
        return (paid / quantity if quantity else 1.0), last
    roots = (np.arange(1000) + 0.5) / 1000 * math.sqrt(left)
    slope = sign * 0.04 / math.sqrt(10_000)
    tail = 2 * roots * math.sqrt(left) / 1000
    paid += float((tail * last * np.exp(slope * roots)).sum())
    return paid / quantity, last * math.exp(slope * math.sqrt(left))


@given(quantities, st.floats(0.0, 100.0), sides, st.floats(0.1, 1.0))
def test_more_quantity_or_less_depth_is_never_better(
    quantity: float, more: float, side: int, survival: float
) -> None:
    sign = -1 if side == SELL else 1
    fill = market_order(LADDER, 0, side, quantity)
    larger = market_order(LADDER, 0, side, quantity + more)
    thinner = market_order(LADDER, 0, side, quantity, survival=survival)
    assert fill is not None
    assert larger is not None
    assert thinner is not None
    for worse in (larger, thinner):
        assert sign * (worse.mean - fill.mean) >= -1e-12
        assert sign * (worse.last - fill.last) >= -1e-12
    assert sign * (fill.mean - 1) >= 0
    assert sign * (fill.last - fill.mean) >= -1e-12


def test_unknown_volume_matters_only_beyond_the_ladder() -> None:
    unknown = Depth(
        distance=LADDER.distance,
        quantity=LADDER.quantity,
        sigma=LADDER.sigma,
        volume=np.array([math.nan]),
    )
    assert market_order(unknown, 0, SELL, 40.0) is not None
    assert market_order(unknown, 0, SELL, 40.1) is None
    costs = exit_costs(unknown, np.array([41.0 * 50]), np.array([50.0]))
    assert math.isnan(costs[0])


def test_exit_costs_take_the_side_that_closes() -> None:
    long, short, flat = (
        exit_costs(LADDER, np.array([size * 50.0]), np.array([50.0]))[0] for size in (20, -10, 0)
    )
    assert long == pytest.approx(1000 * (1 - (10 * 0.999 + 10 * 0.996) / 20))
    assert short == pytest.approx(500 * 0.002)
    assert flat == 0.0


def test_a_power_law_holds_at_every_level() -> None:
    made = Depth.of_power_law([100.0], 1.16, 0.04, 1e6, reach=0.05, levels=5)
    within = np.cumsum(made.quantity[0, SELL])
    assert within == pytest.approx(100 * made.distance[0, SELL] ** 1.16)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"distance": np.ones((1, 2))}, "ladders"),
        ({"sigma": np.ones(2)}, "sigma"),
        ({"distance": np.full((1, 2, 3), 1.0)}, "below 1"),
        ({"distance": LADDER.distance[:, :, ::-1]}, "ascend"),
        ({"quantity": -LADDER.quantity - 1}, "quantities"),
    ],
)
def test_wrong_ladders_are_refused(changes: dict[str, Any], says: str) -> None:
    given = {
        "distance": LADDER.distance,
        "quantity": LADDER.quantity,
        "sigma": LADDER.sigma,
        "volume": LADDER.volume,
    }
    with pytest.raises(RiskError, match=says):
        Depth(**(given | changes))


@pytest.mark.parametrize(("quantity", "survival"), [(-1.0, 1.0), (math.nan, 1.0), (1.0, 0.0)])
def test_wrong_orders_are_refused(quantity: float, survival: float) -> None:
    with pytest.raises(RiskError, match="quantity"):
        market_order(LADDER, 0, SELL, quantity, survival=survival)
