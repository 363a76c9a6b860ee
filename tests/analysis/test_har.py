"""HAR against published coefficients and forecasts, and a planted model."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from alphaplus.analysis.har import DAILY_LAGS, MINUTE_LAGS, HarModel, fit_har, har_means, qlike
from alphaplus.errors import ConfigError


def _published(data_dir: Path) -> npt.NDArray[np.float64]:
    with (data_dir / "analysis/spyrm_2014_2019.csv").open() as file:
        return np.array([float(row["RV5"]) for row in csv.DictReader(file)])


def simulated(count: int, constant: float, coefficients: tuple[float, ...], lags: Any) -> Any:
    rng = np.random.default_rng(1)
    values = list(rng.uniform(0.5e-5, 1.5e-5, lags[-1]))
    for _ in range(count):
        means = [sum(values[-lag:]) / lag for lag in lags]
        center = constant + sum(b * mean for b, mean in zip(coefficients, means, strict=True))
        values.append(center * rng.uniform(0.5, 1.5))
    return np.array(values)


def test_coefficients_of_published_variances(data_dir: Path) -> None:
    """highfrequency (R): HAR(1, 5, 22) of the S&P 500 fund's five-minute variances."""
    expected = json.loads((data_dir / "analysis/har_expected.json").read_text())["coef"]
    model = fit_har(_published(data_dir), DAILY_LAGS)
    found = dict(zip(expected, (model.constant, *model.coefficients), strict=True))
    assert found == pytest.approx(expected, rel=1e-7)
    assert model.observations == 1473


def test_forecasts_beat_yesterday_and_a_decayed_mean(data_dir: Path) -> None:
    """The last 442 days, by a fit of those before: QLIKE .242, .286 and .350."""
    variances = _published(data_dir)
    first = len(variances) - 442
    model = fit_har(variances[:first])
    decayed = [variances[0]]
    for value in variances[:-1]:
        decayed.append(0.94 * decayed[-1] + 0.06 * value)
    forecasts = {
        "har": model.forecasts(variances),
        "yesterday": np.concatenate(([np.nan], variances[:-1])),
        "decayed": np.array(decayed),
    }
    scores = {
        name: qlike(variances[first:], np.maximum(values[first:], 1e-7))
        for name, values in forecasts.items()
    }
    assert scores == pytest.approx({"har": 0.242, "yesterday": 0.286, "decayed": 0.350}, abs=5e-4)


def test_forecasts_use_the_past_alone() -> None:
    variances = simulated(300, 1e-6, (0.4, 0.3, 0.2), DAILY_LAGS)
    model = fit_har(variances)
    series = model.forecasts(variances)
    assert np.isnan(series[:22]).all()
    for at in (22, 100, 321):
        assert model.forecast(variances[:at]) == pytest.approx(series[at], rel=1e-12)
    changed = variances.copy()
    changed[200:] *= 7
    assert np.array_equal(model.forecasts(changed)[:201], series[:201], equal_nan=True)
    assert model.forecast(variances[:21]) is None
    assert np.isnan(model.forecasts(variances[:22])).all()


def test_a_planted_model_is_recovered() -> None:
    variances = simulated(60_000, 1e-6, (0.4, 0.3, 0.2), DAILY_LAGS)
    model = fit_har(variances)
    assert model.constant == pytest.approx(1e-6, rel=0.1)
    assert model.coefficients == pytest.approx((0.4, 0.3, 0.2), abs=0.03)


def test_intraday_lags_of_minutes() -> None:
    variances = simulated(6000, 1e-6, (0.3, 0.3, 0.2, 0.1), MINUTE_LAGS)
    model = fit_har(variances, MINUTE_LAGS)
    assert model.lags == (1, 15, 240, 1440)
    assert model.observations == 6000
    means = har_means(variances, MINUTE_LAGS)
    assert means.shape == (6001, 4)
    for row, at in ((0, 1440), (777, 2217), (6000, 7440)):
        plain = [sum(variances[at - lag : at]) / lag for lag in MINUTE_LAGS]
        assert means[row].tolist() == pytest.approx(plain, rel=1e-12)
    score = qlike(variances[1440:], model.forecasts(variances)[1440:])
    naive = qlike(variances[1440:], variances[1439:-1])
    assert score is not None
    assert naive is not None
    assert score < naive


def test_scale_of_the_variances_does_not_matter() -> None:
    variances = simulated(500, 1e-6, (0.4, 0.3, 0.2), DAILY_LAGS)
    one, other = fit_har(variances), fit_har(variances * 2.0**-30)
    assert other.coefficients == pytest.approx(one.coefficients, rel=1e-9)
    assert other.constant == pytest.approx(one.constant * 2.0**-30, rel=1e-9)


def test_no_forecast_is_below_the_smallest_variance_seen() -> None:
    model = HarModel(lags=(1, 2), constant=-1.0, coefficients=(0.5, 0.1), floor=0.3, observations=9)
    assert model.forecast([1.0, 1.0]) == 0.3
    assert model.forecast([9.0, 9.0]) == pytest.approx(4.4)
    assert fit_har([0.5, 0.2, 0.9, 0.4, 0.7, 0.6, 0.8], (1, 2)).floor == 0.2


def test_unknown_periods_are_left_out() -> None:
    variances = simulated(400, 1e-6, (0.4, 0.3, 0.2), DAILY_LAGS)
    variances[100] = np.nan
    model = fit_har(variances)
    assert model.observations == 400 - 23
    assert model.forecast(variances[:101]) is None
    series = model.forecasts(variances)
    assert np.isnan(series[101:123]).all()
    assert not np.isnan(series[22:101]).any()
    assert not np.isnan(series[123:]).any()


def test_score_is_perfect_at_zero_and_dearer_below() -> None:
    actual = np.array([1.0, 2.0])
    assert qlike(actual, actual) == 0.0
    assert qlike(actual, 0.5 * actual) == pytest.approx(1 - math.log(2))
    assert qlike(actual, 2 * actual) == pytest.approx(math.log(2) - 0.5)
    assert qlike([np.nan, 0.0], [1.0, 1.0]) is None
    assert qlike([np.nan, 2.0], [1.0, 2.0]) == 0.0


@pytest.mark.parametrize(
    ("count", "lags"),
    [(27, DAILY_LAGS), (100, ()), (100, (0, 1)), (100, (5, 1)), (100, (1, 1))],
)
def test_bad_parameters_are_refused(count: int, lags: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        fit_har(np.linspace(1, 2, count) ** 2, lags)


def test_too_few_known_periods_are_refused() -> None:
    variances = np.full(100, np.nan)
    variances[:25] = 1.0
    with pytest.raises(ConfigError, match="Expected at least 6 periods with a known past, was 3"):
        fit_har(variances)
