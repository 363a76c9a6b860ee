"""Waits grow, are capped and scattered; the weight of any minute stays within the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.feeds.pacing import Backoff, WeightBudget


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(first_s=0.5, cap_s=3.0, jitter=0.5)
    assert [backoff.delay_s(n, chance=0.0) for n in (1, 2, 3, 4, 5000)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.delay_s(2, chance=1.0) == 0.5


def test_requests_within_the_limit_do_not_wait() -> None:
    budget = WeightBudget(100)
    assert [budget.reserve(0.0, 20) for _ in range(5)] == [0.0] * 5
    assert budget.reserve(0.0, 20) == 60.0
    assert budget.reserve(61.0, 20) == 0.0


def test_request_above_the_whole_limit_waits_for_an_empty_window() -> None:
    budget = WeightBudget(10)
    assert budget.reserve(0.0, 4) == 0.0
    assert budget.reserve(1.0, 50) == 59.0


def test_count_of_the_venue_overrules_ours() -> None:
    budget = WeightBudget(100)
    budget.reserve(0.0, 20)
    budget.observe(1.0, 95)
    assert budget.reserve(2.0, 20) == pytest.approx(58.0)  # when our own 20 are forgotten
    budget.observe(2.0, 3)
    assert budget.reserve(200.0, 100) == 0.0


def test_block_holds_every_request() -> None:
    budget = WeightBudget(100)
    budget.block(10.0, 5.0)
    assert budget.reserve(12.0, 1) == 3.0
    assert budget.reserve(16.0, 1) == 0.0


PAUSES = st.integers(0, 120).map(lambda quarters: quarters / 4)
"""Binary fractions, so that sums of times are exact and may be compared."""


@given(
    st.lists(st.tuples(PAUSES, st.integers(1, 50)), min_size=1, max_size=60),
    st.integers(50, 200),
)
def test_no_minute_exceeds_the_limit(asked: list[tuple[float, int]], limit: int) -> None:
    budget = WeightBudget(limit)
    now, granted = 0.0, []
    for pause, weight in asked:
        now += pause
        granted.append((now + budget.reserve(now, weight), weight))
    moments = [moment for moment, _ in granted]
    assert moments == sorted(moments)
    for end in moments:
        inside = [weight for moment, weight in granted if end - 60.0 < moment <= end]
        assert sum(inside) <= limit
