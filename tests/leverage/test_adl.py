import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.adl import (
    AdlCandidate,
    adl_queue,
    deleverage,
    profit_effective_leverage_rank,
    profit_leverage_rank,
    profit_margin_ratio_rank,
    queue_percentiles,
)

candidates = st.lists(
    st.builds(
        AdlCandidate,
        account=st.integers(0, 50),
        quantity=st.integers(1, 1000).map(float),
        rank_score=st.sampled_from([-1.0, 0.0, 2.0, 3.0]),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda item: item.account,
)


@settings(max_examples=100)
@given(candidates, st.integers(1, 20_000).map(float), st.randoms())
def test_closed_quantity_equals_liquidated_quantity(
    others: list[AdlCandidate], quantity: float, random: object
) -> None:
    found = deleverage(quantity, 650.0, others)
    assert math.fsum(fill.closed for fill in found.fills) + found.unmatched == quantity
    assert found.unmatched == max(0.0, quantity - math.fsum(x.quantity for x in others))
    assert all(fill.remaining == 0 for fill in found.fills[:-1])  # only the last is partial
    assert all(fill.closed > 0 and fill.remaining >= 0 for fill in found.fills)
    assert {fill.price for fill in found.fills} <= {650.0}
    shuffled = list(others)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert deleverage(quantity, 650.0, shuffled) == found  # deterministic


@settings(max_examples=50)
@given(candidates)
def test_the_queue_is_sorted_and_its_lights_rise(others: list[AdlCandidate]) -> None:
    queue = adl_queue(others)
    keys = [(-x.rank_score, -x.quantity, x.account) for x in queue]
    assert keys == sorted(keys)  # type: ignore[type-var]
    lights = [queue_percentiles(others)[x.account] for x in queue]
    assert lights == sorted(lights)
    assert lights[-1] == 100


def test_bitmex_rank_multiplies_profit_and_divides_loss_by_leverage() -> None:
    # long 100 at entry: at 110 with bankruptcy at 90, profit 10 %, leverage 110 / 20
    ranks = profit_leverage_rank([1, 1, -1], [110, 95, 90], 100, [90, 90, 110])
    expected = [0.1 * 5.5, -0.05 / 19.0, 0.1 * 4.5]
    assert ranks.tolist() == pytest.approx(expected)


def test_other_ranks() -> None:
    own = profit_effective_leverage_rank([10.0, -10.0, 10.0], 100.0, 110.0, [20.0, 20.0, 0.0])
    assert own[:2].tolist() == pytest.approx([0.55, -0.1 / 5.5])
    assert math.isnan(own[2])
    ranks = profit_margin_ratio_rank([10.0, 10.0], [50.0, 0.0], 0.4)
    assert ranks[0] == pytest.approx(0.08)
    assert np.isnan(ranks[1])


def test_an_unknown_rank_is_refused() -> None:
    with pytest.raises(RiskError, match="account 7"):
        adl_queue([AdlCandidate(account=7, quantity=1.0, rank_score=math.nan)])


def test_the_leg_of_a_hedge_that_was_closed_is_named() -> None:
    hedged = [
        AdlCandidate(account="a", quantity=5.0, rank_score=1.0, leg="long"),
        AdlCandidate(account="b", quantity=5.0, rank_score=0.5, leg="long"),
    ]
    fill = deleverage(3.0, 10.0, hedged).fills[0]
    assert (fill.account, fill.leg, fill.closed, fill.remaining) == ("a", "long", 3.0, 2.0)
