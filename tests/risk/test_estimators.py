import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.drawdown import drawdown_at_risk
from alphaplus.risk.entropic import entropic_value_at_risk
from alphaplus.risk.estimators import (
    expected_shortfall,
    tail_risk,
    tail_weights,
    value_at_risk,
)
from alphaplus.risk.liquidity_adjusted import constant_spread

losses_of = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200)
levels = st.floats(0.01, 0.995)


def _rows() -> list[Any]:
    """The rows by place, so that each is a test of its own where the file is present."""
    return list(range(11))


def _edhec(folder: Path) -> Any:
    with (folder / "performanceanalytics" / "edhec.csv").open() as lines:
        rows = list(csv.DictReader(lines))[:100]
    return np.array([float(row["Convertible Arbitrage"]) for row in rows])


def _aapl(folder: Path) -> Any:
    with gzip.open(folder / "skfolio" / "sp500_dataset.csv.gz", "rt") as lines:
        prices = np.array([float(row["AAPL"]) for row in csv.DictReader(lines)])
    return prices[1:] / prices[:-1] - 1


def _measured(row: dict[str, Any], folder: Path) -> float:
    """Return what our functions say to a row; R and empyrical keep the sign of returns."""
    name, data = row["measure"], row["data"]
    if name.startswith("LVaR"):
        return constant_spread(100 * 1.65 * 0.02, 100, 0.01).total
    if isinstance(data, list):
        losses = -np.array(data, dtype=float)
        if name.startswith("skfolio"):
            both = tail_risk(losses, 0.95)
            assert both.expected_shortfall == both.value_at_risk
            return both.value_at_risk
        cutoff = float(name.split("cutoff ")[1].split(" ")[0])
        return -tail_risk(losses, 1 - cutoff, convention="type7").value_at_risk
    if data.startswith("edhec"):
        losses = -_edhec(folder)
        if "gaussian" in name:
            found = tail_risk(losses, 0.95, convention="gaussian_population").value_at_risk
        elif "VaR" in name:
            found = tail_risk(losses, 0.95, convention="type7").value_at_risk
        else:
            found = tail_risk(losses, 0.95, convention="type7").expected_shortfall
        return -found
    losses = -_aapl(folder)
    return {
        "skfolio VaR 95": lambda: tail_risk(losses, 0.95).value_at_risk,
        "skfolio CVaR 95 (Rockafellar-Uryasev, fractional tail weight)": lambda: (
            tail_risk(losses, 0.95).expected_shortfall
        ),
        "EVaR 95": lambda: entropic_value_at_risk(losses, 0.95),
        "CDaR 95 compounded": lambda: drawdown_at_risk(-losses, 0.95).expected_shortfall,
    }[name]()


@pytest.mark.parametrize("place", _rows())
def test_published_estimate(place: int, data_dir: Path) -> None:
    folder = data_dir / "risk"
    vectors = json.loads((folder / "var_es_estimators.json").read_text())["vectors"]
    assert len(vectors) == len(_rows())
    row = vectors[place]
    assert _measured(row, folder) == pytest.approx(row["expected"], abs=0.51 * 10.0 ** -row["dp"])


def _naive(losses: list[float], level: float) -> tuple[float, float]:
    """The definition of the convention, literally."""
    ordered = sorted(losses, reverse=True)
    a = (1 - level) * len(ordered)
    k = max(1, math.ceil(a - 1e-9))
    if a < 1 - 1e-9:
        return ordered[0], ordered[0]
    return ordered[k - 1], (sum(ordered[: k - 1]) + (a - (k - 1)) * ordered[k - 1]) / a


@given(losses=losses_of, level=levels)
def test_estimate_equals_its_definition(losses: list[float], level: float) -> None:
    risk = tail_risk(losses, level)
    quantile, shortfall = _naive(losses, level)
    assert risk.value_at_risk == quantile
    assert risk.expected_shortfall == pytest.approx(shortfall, rel=1e-9, abs=1e-9)
    assert risk.insufficient_tail == ((1 - level) * len(losses) < 1 - 1e-9)


@given(losses=losses_of, level=levels, other=levels)
def test_shortfall_covers_quantile_and_both_rise_with_level(
    losses: list[float], level: float, other: float
) -> None:
    for convention in ("order_statistic", "type7", "gaussian_population"):
        low, high = (
            tail_risk(losses, x, convention=convention)  # type: ignore[arg-type]
            for x in sorted((level, other))
        )
        assert low.expected_shortfall >= low.value_at_risk
        assert high.value_at_risk >= low.value_at_risk - 1e-9
        assert high.expected_shortfall >= low.expected_shortfall - 1e-9


@given(losses=losses_of, level=levels)
def test_equal_weights_change_nothing(losses: list[float], level: float) -> None:
    plain = tail_risk(losses, level)
    weighted = tail_risk(losses, level, weights=np.full(len(losses), 0.3))
    assert weighted.value_at_risk == plain.value_at_risk
    assert weighted.expected_shortfall == pytest.approx(plain.expected_shortfall, abs=1e-9)
    assert weighted.insufficient_tail == plain.insufficient_tail


@given(
    rows=st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 4)), min_size=1, max_size=40),
    level=levels,
)
def test_a_weight_of_two_is_the_loss_twice(rows: list[tuple[int, int]], level: float) -> None:
    repeated = [loss for loss, times in rows for _ in range(times)]
    if not repeated:
        return
    weighted = tail_risk([x for x, _ in rows], level, weights=[w for _, w in rows])
    if weighted.insufficient_tail:  # one heavy scenario fills the tail alone
        assert weighted.value_at_risk == max(repeated)
        return
    plain = tail_risk(repeated, level)
    if not plain.insufficient_tail:
        assert weighted.value_at_risk == plain.value_at_risk
        assert weighted.expected_shortfall == pytest.approx(plain.expected_shortfall, abs=1e-9)


@given(losses=losses_of, level=levels)
def test_tail_weights_average_to_the_shortfall(losses: list[float], level: float) -> None:
    weights = tail_weights(losses, level)
    assert weights.sum() == pytest.approx(1)
    assert weights @ np.array(losses) == pytest.approx(expected_shortfall(losses, level), abs=1e-8)


@given(
    pairs=st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=1, max_size=100),
    level=levels,
)
def test_shortfall_is_subadditive_and_scales(
    pairs: list[tuple[float, float]], level: float
) -> None:
    first, second = np.array(pairs).T
    together = expected_shortfall(first + second, level)
    apart = expected_shortfall(first, level) + expected_shortfall(second, level)
    assert together <= apart + 1e-9
    assert value_at_risk(2 * first, level) == 2 * value_at_risk(first, level)
    assert value_at_risk(first - first, level) == 0


@given(losses=losses_of, level=levels)
@settings(max_examples=50)
def test_order_of_scenarios_does_not_matter(losses: list[float], level: float) -> None:
    assert tail_risk(losses[::-1], level) == tail_risk(losses, level)


def test_quantile_survives_the_rounding_of_the_level() -> None:
    losses = np.arange(1.0, 101.0)
    assert (1 - 0.95) * 100 > 5
    assert value_at_risk(losses, 0.95) == 96.0
    assert expected_shortfall(losses, 0.95) == pytest.approx(98.0)


def test_gain_at_the_quantile_is_not_clipped() -> None:
    assert value_at_risk([-3.0, -2.0, -1.0], 0.9) == -1.0


@given(losses=losses_of, level=levels)
@settings(max_examples=50)
def test_entropic_lies_between_shortfall_and_worst(losses: list[float], level: float) -> None:
    found = entropic_value_at_risk(losses, level)
    assert found <= max(losses) + 1e-9
    assert found >= expected_shortfall(losses, level) - 1e-6 * (1 + np.ptp(losses))


def test_drawdown_of_a_rising_curve_is_zero() -> None:
    assert drawdown_at_risk([0.1, 0.2, 0.0], 0.95).expected_shortfall == 0
    assert drawdown_at_risk([0.0, -1.0, 0.5], 0.5).value_at_risk == 1
    with pytest.raises(RiskError, match="-1 or more"):
        drawdown_at_risk([0.1, -1.5], 0.9)


@pytest.mark.parametrize("losses", [[], [1.0, math.nan], [math.inf]])
def test_sample_that_is_not_usable_is_an_error(losses: list[float]) -> None:
    with pytest.raises(RiskError, match="Expected"):
        tail_risk(losses, 0.99)
    with pytest.raises(RiskError, match="Expected"):
        entropic_value_at_risk(losses, 0.99)


@pytest.mark.parametrize("level", [0.0, 1.0, 99.0, math.nan])
def test_level_that_is_no_probability_is_an_error(level: float) -> None:
    with pytest.raises(RiskError, match="level between 0 and 1"):
        tail_risk([1.0], level)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.nan]])
def test_weights_that_are_not_usable_are_an_error(weights: list[float]) -> None:
    with pytest.raises(RiskError, match="weights"):
        tail_risk([1.0, 2.0], 0.9, weights=weights)
