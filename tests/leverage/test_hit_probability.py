import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.first_passage import first_passage_probability
from alphaplus.errors import RiskError
from alphaplus.leverage.hit_probability import hit_probability, simulate_extremes

distances = st.floats(1e-4, 2.0)
sigmas = st.floats(1e-4, 0.2)
hours = st.floats(0.01, 240.0)


@given(distances, sigmas, hours)
def test_it_is_the_first_passage_without_drift(d: float, sigma: float, h: float) -> None:
    plain = float(hit_probability(d, sigma, h))
    other = float(first_passage_probability(d, h * 3600.0, sigma**2 / 3600.0))
    assert plain == pytest.approx(other, rel=1e-9, abs=1e-300)


@given(distances, sigmas, hours, st.floats(1.0, 5.0))
def test_it_falls_with_distance_and_rises_with_volatility_and_time(
    d: float, sigma: float, h: float, more: float
) -> None:
    p = float(hit_probability(d, sigma, h))
    assert 0 <= p <= 1
    assert float(hit_probability(d * more, sigma, h)) <= p
    assert float(hit_probability(d, sigma * more, h)) >= p
    assert float(hit_probability(d, sigma, h * more)) >= p


def test_limits_and_unknown_values() -> None:
    assert hit_probability([0.0, -0.1, np.inf, 0.1], 0.01, 24.0)[:3].tolist() == [1.0, 1.0, 0.0]
    assert hit_probability([0.0, 0.1], 0.0, 24.0).tolist() == [1.0, 0.0]
    assert float(hit_probability(0.1, 0.01, 0.0)) == 0.0
    assert np.isnan(hit_probability([np.nan, 0.1, 0.1], [0.01, np.nan, 0.01], [1, 1, np.nan])).all()
    with pytest.raises(RiskError, match="at least 0"):
        hit_probability(0.1, -0.01, 24.0)


def naive_paths(bars: np.ndarray, sigma: float, steps: int, paths: int, seed: int) -> list[float]:
    drawn = np.random.default_rng(seed).integers(len(bars), size=(steps, paths))
    falls = []
    for path in range(paths):
        level = lowest = 0.0
        for k in range(steps):
            change, _, low = bars[drawn[k, path]] * sigma
            lowest = min(lowest, level + low)
            level += change
        falls.append(-lowest)
    return sorted(falls)


@settings(max_examples=20)
@given(st.integers(0, 100), st.integers(1, 6), st.floats(0.001, 0.1))
def test_simulation_equals_a_loop_over_paths(seed: int, steps: int, sigma: float) -> None:
    rng = np.random.default_rng(seed)
    change = rng.normal(size=20)
    bars = np.column_stack(
        (change, np.maximum(change, 0) + rng.random(20), np.minimum(change, 0) - rng.random(20))
    )
    found = simulate_extremes(bars, sigma=sigma, steps=steps, paths=30, seed=seed)
    np.testing.assert_allclose(found.falls, naive_paths(bars, sigma, steps, 30, seed), rtol=1e-12)
    distance = float(np.median(found.falls))
    share = float(found.hit_probability(1, distance))
    assert share == np.mean(found.falls >= distance)


def test_a_simulated_brownian_motion_meets_the_closed_form() -> None:
    fine = np.random.default_rng(1).normal(size=(2000, 200)).cumsum(axis=1) / math.sqrt(200)
    bars = np.column_stack((fine[:, -1], fine.max(axis=1).clip(0), fine.min(axis=1).clip(max=0)))
    mirrored = np.concatenate((bars, -bars[:, [0, 2, 1]]))  # no drift in the sample
    found = simulate_extremes(mirrored, sigma=0.01, steps=24, paths=20_000, seed=3)
    for distance in (0.02, 0.05, 0.1):
        expected = float(hit_probability(distance, 0.01, 24.0))
        assert float(found.hit_probability(1, distance)) == pytest.approx(expected, abs=0.025)
        assert float(found.hit_probability(-1, distance)) == pytest.approx(expected, abs=0.025)


def test_looking_only_at_closes_understates_the_chance() -> None:
    change = np.random.default_rng(2).normal(size=500)
    wide = np.column_stack((change, np.maximum(change, 0) + 0.5, np.minimum(change, 0) - 0.5))
    closes = np.column_stack((change, np.maximum(change, 0), np.minimum(change, 0)))
    seen, missed = (
        float(simulate_extremes(bars, sigma=0.01, steps=8, seed=5).hit_probability(1, 0.03))
        for bars in (wide, closes)
    )
    assert seen > missed + 0.05


def test_simulation_is_seeded_and_refuses_what_it_cannot_use() -> None:
    bars = np.column_stack((np.linspace(-1, 1, 9), np.ones(9), -np.ones(9)))
    first, second, other = (
        simulate_extremes(bars, sigma=0.01, steps=5, paths=50, seed=seed, decay=0.94)
        for seed in (1, 1, 2)
    )
    assert first.falls.tolist() == second.falls.tolist() != other.falls.tolist()
    assert np.isnan(first.hit_probability(1, np.nan))
    with pytest.raises(RiskError, match="shape"):
        simulate_extremes(bars[:, :2], sigma=0.01, steps=5)
    with pytest.raises(RiskError, match="above 0"):
        simulate_extremes(bars, sigma=0.0, steps=5)
    with pytest.raises(RiskError, match="side"):
        first.hit_probability(0, 0.1)
