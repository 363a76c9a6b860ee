import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.ewma import (
    CANDIDATES,
    START,
    ewma_variances,
    fitted_variances,
    normal_factors,
    normal_tail,
)
from alphaplus.risk.figures import DAY_NS, HOUR_NS
from alphaplus.risk.filtered import (
    FilteredReturns,
    draw_indices,
    filter_returns,
    simulate_returns,
    step_scenarios,
    steps_per,
)
from alphaplus.risk.forecast import (
    align,
    filtered_scenarios,
    scaled_by_root_of_time,
    scenario_figures,
)
from alphaplus.risk.garch_filter import fit_garch_t, garch_variances
from alphaplus.risk.returns import ReturnSeries
from alphaplus.risk.seasonality import HOURS, hour_of_week, rolling_seasonality
from tests.risk.value_at_risk_series import MONDAY_NS, clock_factors, garch_series, holed


def _changed_after(series: ReturnSeries, place: int) -> ReturnSeries:
    values = series.values.copy()
    values[place:] *= -7.0
    values[place + 3 :: 5] = math.nan
    return ReturnSeries(times=series.times, values=values, step_ns=series.step_ns)


def _cut(series: ReturnSeries, place: int) -> ReturnSeries:
    return ReturnSeries(
        times=series.times[:place], values=series.values[:place], step_ns=series.step_ns
    )


# --- hour of the week


def test_week_begins_on_monday_at_midnight() -> None:
    assert hour_of_week([MONDAY_NS, MONDAY_NS + HOUR_NS, MONDAY_NS - 1]).tolist() == [0, 1, 167]
    assert hour_of_week([1_704_067_200_000_000_000]).tolist() == [0]  # 2024-01-01, a Monday


@given(seed=st.integers(0, 50), count=st.integers(1, 1500), holes=st.integers(0, 300))
@settings(max_examples=25)
def test_factors_have_mean_square_one(seed: int, count: int, holes: int) -> None:
    places = np.random.default_rng(seed).integers(0, count, holes)
    found = rolling_seasonality(holed(garch_series(count, seed=seed), places))
    assert (found.table > 0).all()
    assert np.mean(found.table**2, axis=1) == pytest.approx(1)
    assert found.factors.shape == (count,)


def _naive_factors(series: ReturnSeries) -> Any:
    """The definition for a whole history, in plain numpy."""
    level, known, sizes = 0.0, 0, [[] for _ in range(HOURS)]  # type: ignore[var-annotated]
    decay = 0.5 ** (1 / 168)
    for time, value in zip(series.times, series.values, strict=True):
        if math.isnan(value):
            continue
        if known >= 168 and level > 0:
            sizes[int(hour_of_week(time))].append(abs(value) / math.sqrt(level))
        known += 1
        level += max(1 / known, 1 - decay) * (value**2 - level)
    if min(map(len, sizes)) < 2:
        return np.ones(HOURS)
    means = np.array([np.mean(item) for item in sizes])
    grand = means.mean()
    within = sum(np.sum((np.array(item) - np.mean(item)) ** 2) for item in sizes)
    freedom = sum(len(item) - 1 for item in sizes)
    noise = within / freedom / grand**2 * sum(1 / len(item) for item in sizes)
    total = float(np.sum((means / grand - 1) ** 2))
    if total <= noise:
        return np.ones(HOURS)
    factors = np.maximum(0.1, 1 + (1 - noise / total) * (means / grand - 1))
    return factors / np.sqrt(np.mean(factors**2))


@pytest.mark.parametrize("count", [100, 504, 720, 3000])
def test_factors_equal_their_definition(count: int) -> None:
    series = holed(garch_series(count, seed=count), [5, 90])
    found = rolling_seasonality(series, refresh=1).latest
    assert found == pytest.approx(_naive_factors(series), rel=1e-9)


def test_factors_find_the_clock_and_none_where_there_is_none() -> None:
    seen = rolling_seasonality(garch_series(10_000)).latest
    assert np.corrcoef(seen, clock_factors())[0, 1] > 0.9
    none = rolling_seasonality(garch_series(10_000, clock=False)).latest
    assert np.abs(none - 1).max() < 0.25
    assert np.abs(seen - clock_factors()).mean() < 0.1


@pytest.mark.parametrize("place", [1, 500, 777, 1999])
def test_changing_the_future_changes_no_factor(place: int) -> None:
    series = garch_series(2000)
    before, after = rolling_seasonality(series), rolling_seasonality(_changed_after(series, place))
    assert np.array_equal(before.factors[: place + 1], after.factors[: place + 1])


def test_days_are_told_apart_by_weekday() -> None:
    series = garch_series(400, clock=False, step_ns=DAY_NS)
    series.values[5::7] *= 0.2
    found = rolling_seasonality(series).latest
    assert np.argmin(found) == hour_of_week(series.times[5])
    with pytest.raises(RiskError, match="one return"):
        rolling_seasonality(_cut(series, 0))


# --- volatility filters


@given(seed=st.integers(0, 50), decay=st.floats(0.5, 0.99), holes=st.integers(0, 40))
@settings(max_examples=30)
def test_ewma_equals_its_definition(seed: int, decay: float, holes: int) -> None:
    series = garch_series(200, seed=seed)
    places = np.random.default_rng(seed).integers(0, 200, holes)
    returns = holed(series, places).values
    found = ewma_variances(returns, decay)
    known, variance = [], math.nan
    for t in range(201):
        assert found[t] == pytest.approx(variance, nan_ok=True)
        if t < 200 and not math.isnan(returns[t]):
            known.append(returns[t] ** 2)
            if len(known) <= START:
                variance = float(np.mean(known)) if len(known) == START else math.nan
            else:
                variance = decay * variance + (1 - decay) * returns[t] ** 2


def test_decay_in_force_had_the_best_likelihood_of_the_past() -> None:
    returns = garch_series(600).values
    _, chosen = fitted_variances(returns)
    paths = {decay: ewma_variances(returns, decay) for decay in CANDIDATES}
    for t in (100, 333, 600):
        losses = {
            decay: np.sum(np.log(path[START:t]) + returns[START:t] ** 2 / path[START:t])
            for decay, path in paths.items()
        }
        assert chosen[t] == min(losses, key=lambda decay: losses[decay])


@pytest.mark.parametrize("place", [60, 555, 999])
def test_changing_the_future_changes_no_forecast(place: int) -> None:
    series = garch_series(1000)
    for kind in ("ewma", "garch"):
        first = filter_returns(series, kind=kind, refit=200)  # type: ignore[arg-type]
        second = filter_returns(_changed_after(series, place), kind=kind, refit=200)  # type: ignore[arg-type]
        assert np.array_equal(
            first.variances[: place + 1], second.variances[: place + 1], equal_nan=True
        )
        assert np.array_equal(first.scales[: place + 1], second.scales[: place + 1], equal_nan=True)
        assert np.array_equal(first.residuals[:place], second.residuals[:place], equal_nan=True)


def test_forecast_of_a_shorter_history_is_that_of_the_longer_one_then() -> None:
    series = garch_series(1500)
    whole, part = filter_returns(series), filter_returns(_cut(series, 1200))
    assert part.variances[-1] == whole.variances[1200]
    assert np.array_equal(
        simulate_returns([part], steps=24, paths=50, seed=4).terminal,
        simulate_returns([whole], steps=24, paths=50, seed=4, origin=1200).terminal,
    )


def test_decay_outside_zero_and_one_is_an_error() -> None:
    for decay in (0.0, 1.0, math.nan):
        with pytest.raises(RiskError, match="decay"):
            ewma_variances([0.1], decay)


def test_garch_finds_its_parameters_and_follows_its_definition() -> None:
    series = garch_series(8000, clock=False)
    fit = fit_garch_t(series.values)
    assert fit.converged
    assert fit.alpha == pytest.approx(0.07, abs=0.03)
    assert fit.beta == pytest.approx(0.9, abs=0.05)
    assert fit.nu == pytest.approx(5, abs=1)
    returns = series.values[:900]
    variances, parameters = garch_variances(returns, refit=150)
    assert np.isnan(variances[:500]).all()
    for begin in (500, 650, 800):
        fit = fit_garch_t(returns[:begin])
        assert parameters[begin] == pytest.approx([fit.omega, fit.alpha, fit.beta])
        variance = float(np.mean(returns[:begin] ** 2))
        for t in range(min(begin + 150, 900)):
            if t >= begin:
                assert variances[t] == pytest.approx(variance)
            variance = fit.omega + fit.alpha * returns[t] ** 2 + fit.beta * variance
    with pytest.raises(RiskError, match="500 finite"):
        fit_garch_t(returns[:499])
    with pytest.raises(RiskError, match="differ"):
        fit_garch_t(np.full(600, 0.1))


@given(level=st.floats(0.6, 0.999), deviation=st.floats(0, 100))
def test_normal_shortfall_covers_the_quantile(level: float, deviation: float) -> None:
    risk = normal_tail(deviation, level)
    assert risk.expected_shortfall >= risk.value_at_risk >= 0
    assert normal_tail(2 * deviation, level).value_at_risk == pytest.approx(2 * risk.value_at_risk)


def test_normal_factors_at_ninety_nine() -> None:
    assert normal_factors(0.99) == pytest.approx((2.326348, 2.665214), abs=1e-6)
    with pytest.raises(RiskError, match="deviation"):
        normal_tail(math.nan, 0.99)


# --- simulation


def _naive_path(filtered: FilteredReturns, draws: Any, pool: Any) -> list[float]:
    n = len(filtered.series)
    variance = filtered.variances[n]
    omega, alpha, beta = filtered.parameters[n]
    if filtered.kind == "ewma":
        alpha /= np.mean(pool**2)
    total, found = 0.0, [0.0]
    for step, draw in enumerate(draws, start=1):
        hour = hour_of_week(filtered.series.times[-1] + step * filtered.series.step_ns)
        plain = math.sqrt(variance) * pool[draw]
        total += filtered.seasonality.latest[hour] * plain
        variance = omega + alpha * plain**2 + beta * variance
        found.append(total)
    return found


@pytest.mark.parametrize("kind", ["ewma", "garch"])
def test_paths_equal_their_definition(kind: Any) -> None:
    filtered = filter_returns(holed(garch_series(1300), [600, 601]), kind=kind, refit=400)
    found = simulate_returns([filtered], steps=30, paths=20, seed=9, window=1000)
    pool = filtered.residuals[-1000:]
    pool = pool[np.isfinite(pool)]
    draws = draw_indices(len(pool), steps=30, paths=20, seed=9)
    for i in range(20):
        path = _naive_path(filtered, draws[i], pool)
        assert found.terminal[i, 0] == pytest.approx(path[-1], rel=1e-9)
        assert found.lowest[i, 0] == pytest.approx(min(path), rel=1e-9)
        assert found.highest[i, 0] == pytest.approx(max(path), rel=1e-9)
    assert found.residuals == len(pool)


def test_same_seed_gives_the_same_paths_and_another_gives_others() -> None:
    filtered = filter_returns(garch_series(1000))
    runs = [simulate_returns([filtered], steps=5, paths=50, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0].terminal, runs[1].terminal)
    assert not np.array_equal(runs[0].terminal, runs[2].terminal)


def test_symbols_keep_their_dependence() -> None:
    first = garch_series(1500)
    twin = ReturnSeries(times=first.times, values=2 * first.values, step_ns=HOUR_NS)
    other = garch_series(1500, seed=77)
    filtered = [filter_returns(item) for item in (first, twin, other)]
    found = simulate_returns(filtered, steps=24, paths=2000).terminal
    assert found[:, 1] == pytest.approx(2 * found[:, 0], rel=1e-6)
    assert abs(np.corrcoef(found[:, 0], found[:, 2])[0, 1]) < 0.15
    one = step_scenarios(filtered)
    assert one[:, 1] == pytest.approx(2 * one[:, 0], rel=1e-6)


def test_wild_hours_widen_the_forecast() -> None:
    calm = garch_series(1500)
    wild = ReturnSeries(times=calm.times, values=calm.values.copy(), step_ns=HOUR_NS)
    wild.values[-5:] = 0.08
    spreads = [
        np.std(simulate_returns([filter_returns(item)], steps=6, paths=2000).terminal)
        for item in (calm, wild)
    ]
    assert spreads[1] > 1.5 * spreads[0]


def test_history_that_cannot_be_filtered_is_an_error() -> None:
    series = garch_series(600)
    with pytest.raises(RiskError, match="moves"):
        filter_returns(ReturnSeries(times=series.times, values=0 * series.values, step_ns=HOUR_NS))
    endless = holed(series, [3])
    endless.values[3] = math.inf
    with pytest.raises(RiskError, match="infinite"):
        filter_returns(endless)
    short = filter_returns(_cut(series, 520))
    with pytest.raises(RiskError, match="500 residuals"):
        simulate_returns([short], steps=2)
    full = filter_returns(series)
    with pytest.raises(RiskError, match="same times"):
        simulate_returns([full, short], steps=2)
    with pytest.raises(RiskError, match="steps"):
        simulate_returns([full], steps=0)
    assert steps_per(DAY_NS, HOUR_NS) == 24
    with pytest.raises(RiskError, match="whole periods"):
        steps_per(HOUR_NS + 1, HOUR_NS)


# --- figures


def test_scenarios_name_who_has_none_and_why() -> None:
    long = garch_series(1500)
    histories = {
        "A": long,
        "B": _cut(long, 1400),
        "C": ReturnSeries(times=long.times, values=0 * long.values, step_ns=HOUR_NS),
        "D": ReturnSeries(times=long.times[-200:], values=long.values[-200:], step_ns=HOUR_NS),
    }
    found = filtered_scenarios(histories, HOUR_NS)
    assert found.symbols == ("A",)
    assert found.returns.shape == (found.n_obs, 1)
    assert (found.method, found.scaling) == ("fhs", "none")
    assert found.as_of == long.times[-1] + HOUR_NS
    assert "ends before" in found.missing["B"]
    assert "moves" in found.missing["C"]
    assert found.missing["D"] == "150 of 500 filtered returns"
    day = filtered_scenarios({"A": long}, DAY_NS, paths=700)
    assert day.returns.shape == (700, 1)
    assert day.scaling == "bootstrap"
    with pytest.raises(RiskError, match="enough history"):
        filtered_scenarios({"D": histories["D"]}, HOUR_NS)
    with pytest.raises(RiskError, match="one step"):
        align({"A": long, "E": garch_series(30, step_ns=DAY_NS)})


def test_figures_carry_their_origin_and_shortfall_covers() -> None:
    losses = np.random.default_rng(0).standard_t(4, 5000)
    found = scenario_figures(
        losses, horizon_ns=DAY_NS, method="fhs", n_obs=8760, as_of=5, scaling="bootstrap"
    )
    assert list(found) == ["var_95_1d", "var_99_1d", "es_975_1d"]
    values = [item.value for item in found.values()]
    assert None not in values
    assert values[0] < values[1]  # type: ignore[operator]
    assert {(i.method, i.n_obs, i.as_of, i.scaling) for i in found.values()} == {
        ("fhs", 8760, 5, "bootstrap")
    }
    few = scenario_figures(losses[:50], horizon_ns=HOUR_NS, method="historical", n_obs=50, as_of=5)
    assert few["var_99_1h"].flags == ("insufficient_tail",)
    assert few["var_95_1h"].flags == ()
    scaled = scaled_by_root_of_time(few["var_95_1h"], DAY_NS, 24)
    assert (scaled.name, scaled.scaling) == ("var_95_1d", "sqrt_time")
    assert scaled.value == pytest.approx(few["var_95_1h"].value * math.sqrt(24))  # type: ignore[operator]


def test_figures_are_none_when_anything_is_missing() -> None:
    for losses, missing in (([1.0, 2.0], ["history of SOL"]), (None, ())):
        found = scenario_figures(
            losses, horizon_ns=DAY_NS, method="fhs", n_obs=0, as_of=None, missing=missing
        )
        assert [item.value for item in found.values()] == [None] * 3
        assert all(item.missing for item in found.values())
