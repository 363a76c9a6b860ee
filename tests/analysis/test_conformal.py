"""Adaptive conformal intervals: the bound on the miss rate, for any data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.analysis.conformal import AdaptiveConformal, Interval
from alphaplus.errors import ConfigError

outcomes = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=120)


@given(
    data=outcomes,
    alpha=st.floats(0.01, 0.99),
    gamma=st.floats(0.005, 2.0),
    window=st.integers(1, 50),
)
def test_miss_rate_is_bounded_for_any_data(
    data: list[float], alpha: float, gamma: float, window: int
) -> None:
    conformal = AdaptiveConformal(alpha=alpha, gamma=gamma, window=window)
    misses = 0
    for outcome in data:
        held = outcome in conformal.interval(0.0)
        assert conformal.update(0.0, outcome) == held
        misses += not held
        assert -gamma - 1e-9 <= conformal.level <= 1 + gamma + 1e-9
    bound = (max(alpha, 1 - alpha) + gamma) / (gamma * len(data))
    assert abs(misses / len(data) - alpha) <= bound + 1e-9
    assert conformal.values()["miss_rate"] == misses / len(data)


@given(data=outcomes, window=st.integers(1, 30))
def test_width_is_the_rank_among_the_last_errors(data: list[float], window: int) -> None:
    conformal = AdaptiveConformal(alpha=0.3, gamma=0.05, window=window)
    for at, outcome in enumerate(data):
        errors = sorted(abs(value) for value in data[max(0, at - window) : at])
        rank = math.ceil((len(errors) + 1) * (1 - conformal.level) - 1e-9)
        found = conformal.interval(5.0)
        if rank > len(errors):
            assert found == Interval(-math.inf, math.inf)
        elif rank >= 1:
            assert found == Interval(5.0 - errors[rank - 1], 5.0 + errors[rank - 1])
        else:
            assert 5.0 not in found
        conformal.update(0.0, outcome)


def test_it_follows_a_change_of_scale() -> None:
    random = np.random.default_rng(3)
    conformal = AdaptiveConformal(alpha=0.1, gamma=0.02, window=200)
    scale = np.repeat([1.0, 10.0, 1.0], 2000)
    held = [conformal.update(0.0, value) for value in (random.normal(size=6000) * scale).tolist()]
    for block in range(3):
        assert np.mean(held[2000 * block : 2000 * (block + 1)]) == pytest.approx(0.9, abs=0.02)
    assert conformal.values()["half_width"] == pytest.approx(1.645, rel=0.3)


def test_too_few_outcomes_give_no_width() -> None:
    conformal = AdaptiveConformal(alpha=0.1, gamma=1e-6)
    assert conformal.values()["half_width"] is None
    assert conformal.missing() == {"miss_rate": "a first outcome", "half_width": "0 of 9 outcomes"}
    conformal = AdaptiveConformal(alpha=0.5, gamma=1.0)
    conformal.update(0.0, 1.0)
    assert conformal.level == 1.0
    assert 0.0 not in conformal.interval(0.0)
    assert conformal.missing() == {"half_width": "a miss after so many hits"}
    assert not conformal.update(0.0, 2.0)
    assert not conformal.update(0.0, 3.0)
    assert conformal.level == 0.0
    assert 1e300 in conformal.interval(0.0)
    assert conformal.missing() == {"half_width": "hits after so many misses"}


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="alpha"):
        AdaptiveConformal(alpha=1.0)
    with pytest.raises(ConfigError, match="gamma"):
        AdaptiveConformal(gamma=0.0)
    with pytest.raises(ConfigError, match="window"):
        AdaptiveConformal(window=0)
    with pytest.raises(ValueError, match="finite"):
        AdaptiveConformal().update(0.0, math.nan)
