import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alphaplus.errors import RiskError
from alphaplus.risk.cornish_fisher import (
    MOST_SKEW,
    cornish_fisher_value_at_risk,
    expansion,
    is_monotone,
)
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.evt import ParetoTail, fit_pareto, fit_pareto_tail

shapes = st.integers(-30, 80).map(lambda hundredths: hundredths / 100)


@given(shape=shapes, scale=st.floats(1e-4, 1e3), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_fit_is_at_least_as_likely_as_that_of_scipy(shape: float, scale: float, seed: int) -> None:
    law = stats.genpareto(shape, scale=scale)
    values = law.rvs(200, random_state=seed) + 1e-12 * scale
    ours = fit_pareto(values)
    theirs = stats.genpareto.fit(values / values.mean(), floc=0)

    def likelihood(c: float, b: float) -> float:
        return float(stats.genpareto.logpdf(values, c, scale=b).sum())

    assert likelihood(*ours) >= likelihood(theirs[0], theirs[2] * values.mean()) - 1e-3
    assert ours[0] == pytest.approx(shape, abs=0.45)
    scaled = fit_pareto(3 * values)
    assert scaled[0] == pytest.approx(ours[0], abs=1e-3)
    assert scaled[1] == pytest.approx(3 * ours[1], rel=1e-2)


@given(shape=shapes, level=st.floats(0.91, 0.999), threshold=st.floats(-1, 5))
@settings(max_examples=30)
def test_tail_equals_the_law_it_stands_for(shape: float, level: float, threshold: float) -> None:
    tail = ParetoTail(threshold=threshold, shape=shape, scale=2.0, exceedances=100, n_obs=1000)
    risk = tail.tail_risk(level)
    assert risk is not None
    law = stats.genpareto(shape, loc=threshold, scale=2.0)
    assert risk.value_at_risk == pytest.approx(law.isf((1 - level) * 10), rel=1e-6, abs=1e-6)
    assert risk.expected_shortfall >= risk.value_at_risk
    points = law.isf((1 - level) * 10 * (np.arange(4_000) + 0.5) / 4_000)
    if shape < 0.3:
        assert risk.expected_shortfall == pytest.approx(points.mean(), rel=0.02, abs=0.02)


def test_shape_near_zero_is_the_exponential_limit() -> None:
    risks = [
        ParetoTail(threshold=1, shape=shape, scale=2, exceedances=10, n_obs=100).tail_risk(0.99)
        for shape in (-2e-7, 0.0, 1e-9, 2e-7)
    ]
    for risk in risks:
        assert risk is not None
        assert risk.value_at_risk == pytest.approx(1 + 2 * math.log(10), rel=1e-5)
        assert risk.expected_shortfall == pytest.approx(3 + 2 * math.log(10), rel=1e-5)


def test_without_a_mean_or_inside_the_threshold_there_is_no_answer() -> None:
    heavy = ParetoTail(threshold=1, shape=1.0, scale=2, exceedances=10, n_obs=100)
    assert heavy.tail_risk(0.99) is None
    light = ParetoTail(threshold=1, shape=0.1, scale=2, exceedances=10, n_obs=100)
    assert light.tail_risk(0.89) is None
    assert light.tail_risk(0.90) is not None


def test_fewer_than_fifty_exceedances_are_no_tail() -> None:
    losses = np.random.default_rng(0).standard_t(4, 499)
    assert fit_pareto_tail(losses[:480]) is None
    found = fit_pareto_tail(np.append(losses, 0.0))
    assert found is not None
    assert found.exceedances == 50
    assert fit_pareto_tail(np.ones(1000)) is None
    with pytest.raises(RiskError, match="share"):
        fit_pareto_tail(losses, share=1.0)
    with pytest.raises(RiskError, match="above 0"):
        fit_pareto([1.0, 0.0])


@given(seed=st.integers(0, 99), low=st.floats(0.91, 0.995), high=st.floats(0.91, 0.995))
@settings(max_examples=40)
def test_fitted_tail_rises_with_the_level(seed: int, low: float, high: float) -> None:
    tail = fit_pareto_tail(np.random.default_rng(seed).standard_t(5, 1000))
    assert tail is not None
    below, above = (tail.tail_risk(level) for level in sorted((low, high)))
    if below is not None and above is not None:
        assert below.value_at_risk <= above.value_at_risk + 1e-12
        assert below.expected_shortfall >= below.value_at_risk


@given(skew=st.floats(-4, 4), kurtosis=st.floats(-3, 25))
def test_monotone_exactly_where_the_expansion_rises(skew: float, kurtosis: float) -> None:
    scores = np.linspace(-60, 60, 24_001)
    steps = np.diff(expansion(scores, skew, kurtosis))  # type: ignore[arg-type]
    if is_monotone(skew, kurtosis):
        assert steps.min() > -1e-9
        assert abs(skew) <= MOST_SKEW + 1e-6
    else:  # it turns down far out, or the least slope, at the middle, is not above 0
        cubic = kurtosis / 24 - skew**2 / 18
        middle = -skew / (18 * cubic) if cubic else 0.0
        slope = 3 * cubic * middle**2 + skew / 3 * middle + 1 - kurtosis / 8 + 5 * skew**2 / 36
        assert cubic < 0 or slope <= 0 or (cubic == 0 and skew != 0)


@pytest.mark.parametrize(
    ("skew", "kurtosis", "valid"),
    [
        (0.0, 0.0, True), (0.0, 8.0, True), (0.0, 8.01, False), (0.0, -0.01, False),
        (MOST_SKEW + 0.01, 4.0, False), (0.0, 9.2, False), (0.0, 18.7, False), (0.0, 9.4, False),
    ],
)  # fmt: skip
def test_region_where_the_expansion_is_a_quantile(
    skew: float, kurtosis: float, valid: bool
) -> None:
    assert is_monotone(skew, kurtosis) is valid


def test_expansion_is_refused_outside_and_close_to_the_sample_inside() -> None:
    source = np.random.default_rng(0)
    assert cornish_fisher_value_at_risk(source.standard_t(3, 5000), 0.99) is None
    mild = source.gamma(20, 1, 20_000)
    found = cornish_fisher_value_at_risk(mild, 0.99)
    assert found == pytest.approx(tail_risk(mild, 0.99).value_at_risk, rel=0.02)
    assert cornish_fisher_value_at_risk([2.0, 2.0], 0.99) == 2.0
