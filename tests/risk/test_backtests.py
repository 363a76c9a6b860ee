import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alphaplus.errors import RiskError
from alphaplus.risk.backtests import (
    BASEL_250_PLUS_FACTORS,
    MAR99_MULTIPLIERS,
    TrafficLight,
    christoffersen,
    conditional_coverage,
    duration_test,
    exceedances,
    kupiec,
    kupiec_bounds,
    kupiec_mid_p,
    traffic_light,
    transitions,
)
from alphaplus.risk.ewma import normal_factors
from alphaplus.risk.shortfall_backtest import (
    TailDraws,
    acerbi_szekely_z2,
    normal_draws,
    shortfall_test,
    simulate_z2,
)


def _vector(data_dir: Path, place: int, test: str) -> dict:  # type: ignore[type-arg]
    vectors = json.loads((data_dir / "risk" / "var_backtests.json").read_text())["vectors"]
    assert len(vectors) == 5
    assert vectors[place]["test"] == test
    return dict(vectors[place])


def test_published_kupiec(data_dir: Path) -> None:
    row = _vector(data_dir, 0, "kupiec_pof")
    found = kupiec(row["n"], row["failures"], row["var_level"])
    assert round(found.statistic, 5) == row["expected_lr"]
    assert round(found.p_value, 5) == row["expected_p"]


def test_published_christoffersen(data_dir: Path) -> None:
    row = _vector(data_dir, 1, "christoffersen_independence")
    found = christoffersen(row["n00"], row["n01"], row["n10"], row["n11"])
    assert round(found.statistic, 5) == row["expected_lr"]
    assert round(found.p_value, 5) == row["expected_p"]


def test_published_traffic_light(data_dir: Path) -> None:
    row = _vector(data_dir, 2, "traffic_light")
    found = traffic_light(row["n"], row["failures"], row["var_level"])
    assert found.zone == row["expected_zone"]
    assert round(found.cumulative, 5) == row["expected_cum_prob"]
    assert round(found.type_1, 5) == row["expected_type1"]


def test_published_regions_of_acceptance(data_dir: Path) -> None:
    row = _vector(data_dir, 3, "kupiec_nonrejection_95pct")
    for length, bounds in row["T"].items():
        assert list(kupiec_bounds(int(length), row["var_level"])) == bounds


def test_published_acerbi_szekely(data_dir: Path) -> None:
    row = _vector(data_dir, 4, "acerbi_szekely_Z2_critical_normal")
    tails = normal_draws(row["n"], row["var_level"])
    found = shortfall_test(
        row["statistic"],
        tails,
        row["var_level"],
        significance=1 - row["test_level"],
        draws=60_000,
    )
    assert found.critical == pytest.approx(row["expected_critical"], abs=0.01)
    assert found.p_value == pytest.approx(row["p"], abs=0.002)
    assert found.accepted is (row["result"] != "reject")


def test_multipliers_of_the_basel_texts_rise_from_five_exceedances() -> None:
    assert BASEL_250_PLUS_FACTORS[4:6] == (0.0, 0.4)
    assert BASEL_250_PLUS_FACTORS[-1] == 1.0
    assert MAR99_MULTIPLIERS[4:6] == (1.5, 1.7)
    assert MAR99_MULTIPLIERS[-1] == 2.0
    zones = [traffic_light(250, x, 0.99).zone for x in (4, 5, 9, 10)]
    assert zones == ["green", "yellow", "yellow", "red"]


def _log(count: float, chance: float) -> float:
    return 0.0 if count == 0 else count * math.log(chance)


def _kupiec(n: int, x: int, level: float) -> float:
    p, share = 1 - level, x / n
    return -2 * (_log(n - x, 1 - p) + _log(x, p) - _log(n - x, 1 - share) - _log(x, share))


@given(n=st.integers(1, 3000), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_kupiec_equals_its_definition(n: int, share: float, level: float) -> None:
    x = round(share * n)
    found = kupiec(n, x, level)
    assert found.statistic == pytest.approx(_kupiec(n, x, level), rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1))


@given(hits=st.lists(st.booleans(), min_size=2, max_size=300))
def test_christoffersen_equals_its_definition(hits: list[bool]) -> None:
    counts = {(a, b): 0 for a in (False, True) for b in (False, True)}
    for pair in pairwise(hits):
        counts[pair] += 1
    n00, n01, n10, n11 = counts.values()
    assert transitions(hits) == (n00, n01, n10, n11)
    pi01 = n01 / (n00 + n01) if n00 + n01 else 0.0
    pi11 = n11 / (n10 + n11) if n10 + n11 else 0.0
    pi = (n01 + n11) / (len(hits) - 1)
    expected = -2 * (
        _log(n00 + n10, 1 - pi) + _log(n01 + n11, pi)
        - _log(n00, 1 - pi01) - _log(n01, pi01) - _log(n10, 1 - pi11) - _log(n11, pi11)
    )  # fmt: skip
    found = christoffersen(n00, n01, n10, n11)
    assert found.statistic == pytest.approx(max(0.0, expected), abs=1e-8)
    both = conditional_coverage(hits, 0.9)
    alone = kupiec(len(hits), sum(hits), 0.9).statistic
    assert both.statistic == pytest.approx(alone + found.statistic)
    assert both.p_value == pytest.approx(stats.chi2.sf(both.statistic, 2))


@given(n=st.integers(1, 500), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
@settings(max_examples=60)
def test_traffic_light_and_mid_p_are_binomial(n: int, share: float, level: float) -> None:
    x = round(share * n)
    law = stats.binom(n, 1 - level)
    light: TrafficLight = traffic_light(n, x, level)
    assert light.cumulative == pytest.approx(law.cdf(x), abs=1e-12)
    assert light.type_1 == pytest.approx(law.sf(x - 1), abs=1e-12)
    below = law.cdf(x - 1) + law.pmf(x) / 2
    expected = min(1.0, 2 * min(below, law.sf(x) + law.pmf(x) / 2))
    assert kupiec_mid_p(n, x, level) == pytest.approx(expected, abs=1e-9)


def test_exceedance_is_strict() -> None:
    assert exceedances([1.0, 1.0, 1.0], [1.0, 0.9, 1.1]).tolist() == [False, True, False]
    with pytest.raises(RiskError, match="finite"):
        exceedances([math.nan], [1.0])
    with pytest.raises(RiskError, match="one shape"):
        exceedances([1.0, 2.0], [1.0])


def test_clustered_exceedances_fail_independence_but_not_coverage() -> None:
    hits = np.zeros(1000, dtype=bool)
    hits[500:510] = True
    assert kupiec(1000, 10, 0.99).p_value > 0.99
    assert christoffersen(*transitions(hits)).p_value < 1e-6
    clustered = duration_test(hits)
    assert clustered is not None
    assert clustered.p_value < 1e-6


def test_duration_test_keeps_its_size_on_exceedances_without_memory() -> None:
    source = np.random.default_rng(5)
    rejected = 0
    for _ in range(200):
        found = duration_test(source.random(2000) < 0.02)
        assert found is not None
        rejected += not found.accepted(0.05)
    assert 2 <= rejected <= 22
    assert duration_test([False, True, False]) is None


@pytest.mark.parametrize(("n", "x"), [(0, 0), (10, 11), (10, -1)])
def test_counts_that_cannot_be_are_an_error(n: int, x: int) -> None:
    for test in (kupiec, traffic_light, kupiec_mid_p):
        with pytest.raises(RiskError, match="failures"):
            test(n, x, 0.99)  # type: ignore[operator]


def test_z2_is_zero_on_average_and_negative_where_shortfall_is_too_small() -> None:
    level = 0.975
    quantile, shortfall = normal_factors(level)
    losses = np.random.default_rng(3).standard_normal(400_000)
    ones = np.ones_like(losses)
    assert acerbi_szekely_z2(losses, quantile * ones, shortfall * ones, level) == pytest.approx(
        0, abs=0.03
    )
    assert acerbi_szekely_z2(1.2 * losses, quantile * ones, shortfall * ones, level) < -0.3
    naive = 1 - sum(loss / shortfall for loss in losses if loss > quantile) / (
        len(losses) * (1 - level)
    )
    assert acerbi_szekely_z2(losses, quantile * ones, shortfall * ones, level) == pytest.approx(
        naive
    )
    with pytest.raises(RiskError, match="above 0"):
        acerbi_szekely_z2(losses, quantile * ones, 0 * ones, level)


def test_simulated_z2_agrees_with_simulating_every_loss() -> None:
    level, length = 0.95, 120
    tails = TailDraws(
        ratios=np.array([[0.8, 1.0, 1.2], [0.9, 1.1, np.nan]]),
        rows=np.arange(length) % 2,
        probabilities=np.where(np.arange(length) < 60, 0.05, 0.02),
    )
    fast = simulate_z2(tails, level, draws=20_000, seed=1)
    source = np.random.default_rng(2)
    hit = source.random((20_000, length)) < tails.probabilities
    choices = [np.array([0.8, 1.0, 1.2]), np.array([0.9, 1.1])]
    drawn = np.empty(hit.shape)
    for row, values in enumerate(choices):
        drawn[:, row::2] = source.choice(values, (20_000, length // 2))
    slow = 1 - (hit * drawn).sum(axis=1) / (length * (1 - level))
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.02)
    assert fast.std() == pytest.approx(slow.std(), rel=0.05)
    assert np.array_equal(fast, simulate_z2(tails, level, draws=20_000, seed=1))
    assert not np.array_equal(fast, simulate_z2(tails, level, draws=20_000, seed=2))
    with pytest.raises(RiskError, match="5000 draws"):
        simulate_z2(tails, level, draws=100)


def test_model_without_chance_of_exceedance_simulates_none() -> None:
    tails = TailDraws(
        ratios=np.empty((1, 0)), rows=np.zeros(40, dtype=np.int64), probabilities=np.zeros(40)
    )
    assert (simulate_z2(tails, 0.99, draws=5_000) == 1).all()
