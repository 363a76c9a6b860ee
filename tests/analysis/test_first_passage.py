"""First-passage probability: simulation, an integral, limits, symmetries and extremes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from alphaplus.analysis.first_passage import first_passage_probability, liquidation_probability

prices = st.floats(1.0, 1e5)
ratios = st.floats(0.5, 2.0)
variances = st.floats(1e-12, 1e-4)
horizons = st.floats(1.0, 1e5)
sides = st.sampled_from([1, -1])


def simulated(a: float, h: float, variance: float, drift: float, seed: int) -> tuple[float, float]:
    """Return mean and standard error over paths of few steps.

    Between two points of a path the chance that a Brownian bridge touches the barrier is
    known, so the steps add no bias.
    """
    random = np.random.default_rng(seed)
    steps, paths = 20, 20_000
    dt = h / steps
    moves = random.normal(drift * dt, math.sqrt(variance * dt), size=(paths, steps))
    above = a + np.concatenate((np.zeros((paths, 1)), np.cumsum(moves, axis=1)), axis=1)
    bridge = -np.expm1(-2 * above[:, :-1] * above[:, 1:] / (variance * dt))
    survives = np.where((above[:, 1:] > 0) & (above[:, :-1] > 0), bridge, 0.0)
    touched = 1 - np.prod(survives, axis=1)
    return float(touched.mean()), float(touched.std(ddof=1) / math.sqrt(paths))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("drift", [0.0, -0.5e-6, 3e-6, -3e-6])
@pytest.mark.parametrize("distance", [0.005, 0.02])
def test_simulation_agrees_within_three_standard_errors(
    side: int, drift: float, distance: float
) -> None:
    """An hour with volatility of 1 % an hour."""
    h, variance = 3600.0, 1e-4 / 3600
    mean, error = simulated(distance, h, variance, side * drift, seed=17)
    price = 60_000.0
    barrier = price * math.exp(-side * distance)
    found = float(liquidation_probability(side, price, barrier, h, variance, drift))
    assert abs(found - mean) < 3 * error


@given(
    a=st.floats(0.05, 3.0), h=st.floats(0.1, 4.0), s=st.floats(0.3, 2.0), mu=st.floats(-2.0, 2.0)
)
def test_it_is_the_integral_of_the_passage_density(a: float, h: float, s: float, mu: float) -> None:
    def density(t: float) -> float:
        exponent = -((a + mu * t) ** 2) / (2 * s * s * t)
        return a / (s * math.sqrt(2 * math.pi * t**3)) * math.exp(exponent)

    expected = quad(density, 0, h, epsabs=1e-11, epsrel=1e-9, points=[h / 100, h / 10])[0]
    assert float(first_passage_probability(a, h, s * s, mu)) == pytest.approx(expected, abs=1e-7)


@given(price=prices, ratio=ratios, h=horizons, variance=variances)
def test_without_drift_it_is_the_reflection_and_symmetric(
    price: float, ratio: float, h: float, variance: float
) -> None:
    below, above = price / max(ratio, 1 / ratio), price * max(ratio, 1 / ratio)
    long = float(liquidation_probability(1, price, below, h, variance))
    short = float(liquidation_probability(-1, price, above, h, variance))
    # a + 1 ulp of a price moves the far tail of Phi by this much, more for a near barrier, whose
    # distance is the small difference of two prices
    z2 = np.log(ratio) ** 2 / (variance * h)
    ulps = 16 * np.finfo(float).eps / max(abs(np.log(ratio)), 1e-300)
    tolerance = 1e-10 * (1 + z2) + z2 * ulps
    assert long == pytest.approx(short, rel=tolerance, abs=1e-300)
    expected = 2 * norm.cdf(-np.log(price / below) / math.sqrt(variance * h))
    assert long == pytest.approx(min(1.0, expected), rel=tolerance, abs=1e-300)


@given(
    side=sides, price=prices, ratio=ratios, h=horizons, variance=variances,
    drift=st.floats(-1e-6, 1e-6), scale=st.sampled_from([2.0**-20, 8.0, 1024.0]),
)  # fmt: skip
def test_scale_free_and_within_bounds(
    *, side: int, price: float, ratio: float, h: float, variance: float, drift: float, scale: float
) -> None:
    one = float(liquidation_probability(side, price, price * ratio, h, variance, drift))
    other = float(
        liquidation_probability(side, price * scale, price * ratio * scale, h, variance, drift)
    )
    assert 0 <= one <= 1
    tolerance = 1e-9 * (1 + (np.log(ratio) ** 2 + (drift * h) ** 2) / (variance * h))
    assert one == pytest.approx(other, rel=tolerance, abs=1e-300)


@given(
    a=st.floats(1e-4, 0.5), h=horizons, variance=variances, drift=st.floats(-1e-6, 1e-6),
    more=st.floats(1.0, 3.0),
)  # fmt: skip
def test_monotone_in_horizon_distance_and_volatility(
    a: float, h: float, variance: float, drift: float, more: float
) -> None:
    base = float(first_passage_probability(a, h, variance, drift))
    slack = 1e-12
    assert float(first_passage_probability(a, h * more, variance, drift)) >= base - slack
    assert float(first_passage_probability(a * more, h, variance, drift)) <= base + slack
    if drift >= 0:  # noise cannot help a price that drifts into its barrier to reach it
        assert float(first_passage_probability(a, h, variance * more, drift)) >= base - slack
    assert float(first_passage_probability(a, h, variance, drift + 1e-7)) <= base + slack


def test_edges() -> None:
    def chance(a: float, h: float, variance: float, drift: float = 0.0) -> float:
        return float(first_passage_probability(a, h, variance, drift))

    assert chance(0.0, 10.0, 1e-6) == 1.0
    assert chance(-1.0, 0.0, 0.0) == 1.0
    assert chance(0.1, 0.0, 1e-6) == 0.0
    assert chance(0.1, 0.0, 0.0) == 0.0
    assert chance(0.1, 10.0, 0.0) == 0.0
    assert chance(0.1, 10.0, 0.0, 1.0) == 0.0
    assert chance(0.1, 10.0, 0.0, -0.009) == 0.0
    assert chance(0.1, 10.0, 0.0, -0.011) == 1.0
    assert chance(math.inf, 10.0, 1e-6) == 0.0
    assert math.isnan(chance(math.nan, 10.0, 1e-6))
    assert math.isnan(chance(0.1, 10.0, math.nan))
    assert math.isnan(chance(0.1, 10.0, 1e-6, math.nan))


def test_beyond_the_liquidation_price_it_is_certain() -> None:
    found = liquidation_probability([1, 1, 1, -1, -1], 100.0, [101, 100, 0, 99, 1e9], 1.0, 1e-8)
    assert found.tolist() == [1.0, 1.0, 0.0, 1.0, 0.0]


def test_nothing_overflows_under_strong_drift() -> None:
    """The exponential alone would be e^(2e6) and the distribution function e^(-2e6)."""
    found = first_passage_probability(0.1, 3600.0, 1e-10, [-1e-3, -1e-9, 0.0, 1e-9, 1e-3])
    assert np.isfinite(found).all()
    assert found[0] == 1.0
    assert found[-1] == 0.0
    # toward the barrier at just the speed that reaches it: a little above one half
    near = float(first_passage_probability(0.1, 1000.0, 1e-12, -1e-4))
    assert near == pytest.approx(0.5 + 0.5 / math.sqrt(2 * math.pi * 1e7), rel=1e-3)


def test_broadcasts_over_positions_and_horizons() -> None:
    found = liquidation_probability(
        np.array([[1], [-1]]), 100.0, np.array([[90.0], [120.0]]), [60.0, 600.0, 3600.0], 1e-6
    )
    assert found.shape == (2, 3)
    assert (np.diff(found, axis=1) > 0).all()
    assert found[0, 2] == float(liquidation_probability(1, 100.0, 90.0, 3600.0, 1e-6))


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        first_passage_probability(0.1, -1.0, 1e-6)
    with pytest.raises(ValueError, match="at least 0"):
        first_passage_probability(0.1, 1.0, -1e-6)
    with pytest.raises(ValueError, match="side"):
        liquidation_probability(0, 100.0, 90.0, 1.0, 1e-6)
    with pytest.raises(ValueError, match="price above 0"):
        liquidation_probability(1, 0.0, 90.0, 1.0, 1e-6)
