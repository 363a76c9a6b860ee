import math
from typing import Any

import numpy as np
import pytest

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.evaluation import evaluate, run_models, to_hours
from alphaplus.risk.evt import fit_pareto_tail
from alphaplus.risk.ewma import ewma_variances, normal_factors
from alphaplus.risk.figures import DAY_NS, HOUR_NS
from alphaplus.risk.filtered import filter_returns, simulate_returns
from alphaplus.risk.returns import ReturnSeries, non_overlapping
from alphaplus.risk.rolling import (
    SIDES,
    Forecasts,
    filtered_forecasts,
    historical_forecasts,
    normal_forecasts,
    pareto_forecasts,
    realised_losses,
    simulated_forecasts,
)
from tests.risk.value_at_risk_series import garch_series, holed

SERIES = holed(garch_series(1100, seed=3), [700, 701, 950])


def _losses(returns: Any, side: str) -> Any:
    return 1 - np.exp(returns) if side == "long" else np.exp(returns) - 1


def _check_origin(found: Forecasts, sample: Any, scales: Any, window: int, fewest: int) -> None:
    """The naive twin of the window kernel: everything from slices, at every time."""
    at = 0
    for t in range(len(SERIES)):
        past = sample[:t]
        past = past[np.isfinite(past)][-window:]
        if len(past) < fewest or math.isnan(scales[t]) or math.isnan(SERIES.values[t]):
            continue
        scenario = _losses(scales[t] * past, found.side)
        risk = tail_risk(scenario, found.level)
        assert found.times[at] == SERIES.times[t]
        assert found.value_at_risk[at] == pytest.approx(risk.value_at_risk, rel=1e-9)
        assert found.expected_shortfall[at] == pytest.approx(risk.expected_shortfall, rel=1e-9)
        assert found.tails.probabilities[at] == pytest.approx(
            np.mean(scenario > risk.value_at_risk), abs=1e-12
        )
        assert found.losses[at] == pytest.approx(_losses(SERIES.values[t], found.side))
        at += 1
    assert at == len(found) > 100


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("level", "window", "fewest"), [(0.99, 600, 200), (0.95, 300, 300)])
def test_window_forecasts_equal_their_definition(
    side: Any, level: float, window: int, fewest: int
) -> None:
    found = historical_forecasts(SERIES, level, side, window=window, fewest=fewest)
    _check_origin(found, SERIES.values, np.ones(len(SERIES)), window, fewest)
    filtered = filter_returns(SERIES)
    found = filtered_forecasts(filtered, level, side, window=window, fewest=fewest)
    _check_origin(found, filtered.residuals, filtered.scales, window, fewest)


def test_stored_tails_are_those_of_the_forecast() -> None:
    found = historical_forecasts(SERIES, 0.95, "long", window=400, fewest=400)
    place = int(np.flatnonzero(found.tails.rows != found.tails.rows[0])[0])
    t = int(np.flatnonzero(SERIES.times == found.times[place])[0])
    past = SERIES.values[:t]
    losses = realised_losses(past[np.isfinite(past)][-400:], "long")
    worst = np.sort(losses[losses > found.value_at_risk[place]])
    ratios = found.tails.ratios[found.tails.rows[place]]
    ratios = ratios[np.isfinite(ratios)]
    assert ratios == pytest.approx(worst / found.expected_shortfall[place])


def test_simulated_days_equal_single_simulations() -> None:
    filtered = filter_returns(SERIES)
    found = simulated_forecasts(filtered, DAY_NS, (0.95, 0.99), paths=400, seed=11)
    assert [(item.level, item.side) for item in found] == [
        (level, side) for level in (0.95, 0.99) for side in SIDES
    ]
    for item in found:
        assert (item.times % DAY_NS == 0).all()
        assert (np.diff(item.times) >= DAY_NS).all()
        for place in (0, len(item) - 1):
            t = int(np.flatnonzero(SERIES.times == item.times[place])[0])
            paths = simulate_returns(
                [filtered], steps=24, paths=400, seed=11 + t, origin=t
            ).terminal[:, 0]
            risk = tail_risk(realised_losses(paths, item.side), item.level)
            assert item.value_at_risk[place] == risk.value_at_risk
            assert item.expected_shortfall[place] == risk.expected_shortfall
            realised = SERIES.values[t : t + 24].sum()
            assert item.losses[place] == pytest.approx(_losses(realised, item.side))


def test_normal_forecasts_scale_the_deviation() -> None:
    days = garch_series(300, step_ns=DAY_NS, clock=False)
    found = normal_forecasts(days, 0.99, "short", fewest=60)
    deviations = np.sqrt(ewma_variances(realised_losses(days.values, "short"), 0.94))[60:-1]
    quantile, shortfall = normal_factors(0.99)
    assert found.value_at_risk == pytest.approx(deviations * quantile)
    assert found.expected_shortfall == pytest.approx(deviations * shortfall)


def test_pareto_forecasts_use_the_tail_of_the_past() -> None:
    scales = filter_returns(SERIES).scales
    (found,) = pareto_forecasts(SERIES, (0.99,), "long", scales=scales, refresh=24)
    for place in (0, 30, len(found) - 1):
        t = int(np.flatnonzero(SERIES.times == found.times[place])[0])
        past = (realised_losses(SERIES.values, "long") / scales)[: t // 24 * 24]
        tail = fit_pareto_tail(past[np.isfinite(past)])
        assert tail is not None
        risk = tail.tail_risk(0.99)
        assert risk is not None
        assert found.value_at_risk[place] == pytest.approx(scales[t] * risk.value_at_risk)
        assert found.expected_shortfall[place] == pytest.approx(scales[t] * risk.expected_shortfall)


def _every_forecast(series: ReturnSeries) -> list[Forecasts]:
    filtered = filter_returns(series)
    garch = filter_returns(series, kind="garch")
    return [
        *(
            item
            for side in SIDES
            for item in (
                historical_forecasts(series, 0.99, side),
                normal_forecasts(series, 0.99, side),
                filtered_forecasts(filtered, 0.99, side),
                filtered_forecasts(garch, 0.99, side, fewest=100),
                *pareto_forecasts(series, (0.99,), side),
            )
        ),
        *simulated_forecasts(filtered, DAY_NS, (0.99,), paths=300),
    ]


def test_changing_the_future_changes_no_earlier_forecast() -> None:
    place = 900
    values = SERIES.values.copy()
    values[place:] = 5 * values[place:][::-1]
    changed = ReturnSeries(times=SERIES.times, values=values, step_ns=HOUR_NS)
    differs = 0
    for before, after in zip(_every_forecast(SERIES), _every_forecast(changed), strict=True):
        known, same = (
            {
                time: (var, es)
                for time, var, es in zip(
                    item.times, item.value_at_risk, item.expected_shortfall, strict=True
                )
            }
            for item in (before, after)
        )
        early = [time for time in known if time <= SERIES.times[place] and time in same]
        assert len(early) > 5
        assert all(known[time] == same[time] for time in early), before.model
        differs += any(known[time] != same[time] for time in known if time in same)
    assert differs > 5


def test_shortfall_covers_value_at_risk_and_both_rise_with_the_level() -> None:
    low = {
        (item.model, item.horizon_ns, item.forecasts.side): item.forecasts
        for item in run_models(SERIES, levels=(0.95,), paths=300, draws=5_000)
        if item.forecasts is not None
    }
    high = {
        (item.model, item.horizon_ns, item.forecasts.side): item.forecasts
        for item in run_models(SERIES, levels=(0.99,), paths=300, draws=5_000)
        if item.forecasts is not None
    }
    assert set(low) == set(high)
    assert {name for name, _, _ in low} == {
        "fhs", "fhs_garch", "historical", "ewma_normal", "evt",
    }  # fmt: skip
    for key, item in low.items():
        assert (item.expected_shortfall >= item.value_at_risk).all()
        assert (high[key].value_at_risk >= item.value_at_risk).all()
        assert (high[key].expected_shortfall >= item.expected_shortfall).all()


def test_default_model_covers_made_up_markets() -> None:
    series = garch_series(9000, seed=8)
    filtered = filter_returns(series)
    for side in SIDES:
        tests = evaluate(filtered_forecasts(filtered, 0.99, side), draws=5_000)
        assert tests["coverage_accepted"]
        assert tests["traffic_light"]["zone"] == "green"
        assert tests["christoffersen"]["p_value"] > 0.01
        assert tests["acerbi_szekely_z2"]["accepted"]


def test_model_that_is_half_as_wide_is_found_out() -> None:
    right = filtered_forecasts(filter_returns(garch_series(4000, seed=8)), 0.99, "long")
    wrong = Forecasts(
        model="half",
        side="long",
        level=0.99,
        horizon_ns=HOUR_NS,
        times=right.times,
        losses=right.losses,
        value_at_risk=right.value_at_risk / 2,
        expected_shortfall=right.expected_shortfall / 2,
        tails=right.tails,
    )
    tests = evaluate(wrong, draws=5_000)
    assert not tests["coverage_accepted"]
    assert tests["traffic_light"]["zone"] == "red"
    assert not tests["acerbi_szekely_z2"]["accepted"]


def test_too_few_forecasts_have_no_tests_but_a_reason() -> None:
    tests = evaluate(historical_forecasts(SERIES, 0.99, "long", window=1090, fewest=1080))
    assert tests["missing"] == ["17 of 30 forecasts"]
    assert tests["kupiec"] is None
    assert tests["coverage_accepted"] is None


def test_short_bars_are_joined_to_hours() -> None:
    minutes = garch_series(600, step_ns=HOUR_NS // 12)
    hours = to_hours(minutes)
    assert hours.step_ns == HOUR_NS
    assert hours.values == pytest.approx(non_overlapping(minutes, 12).values)
    assert to_hours(SERIES) is SERIES
    with pytest.raises(RiskError, match="divide an hour"):
        to_hours(garch_series(60, step_ns=HOUR_NS * 7 // 60))
    with pytest.raises(RiskError, match="whole periods"):
        simulated_forecasts(filter_returns(SERIES), HOUR_NS, (0.99,))
    with pytest.raises(RiskError, match="fewest"):
        historical_forecasts(SERIES, 0.99, "long", window=10, fewest=20)
