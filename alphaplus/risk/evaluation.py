"""Run the models over a history and test what they claimed.

Bars shorter than an hour are joined to hours. The hour is forecast by every model one step
ahead; the day by filtered simulation from hours, and by the other models on days. Nothing
overlaps, so that exceedances of a right model are independent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alphaplus.errors import RiskError
from alphaplus.risk.backtests import (
    TestResult,
    christoffersen,
    conditional_coverage,
    duration_test,
    exceedances,
    kupiec,
    kupiec_mid_p,
    traffic_light,
    transitions,
)
from alphaplus.risk.figures import DAY_NS, HOUR_NS, figure_name, horizon_name
from alphaplus.risk.filtered import FEWEST, PATHS, FilteredReturns, filter_returns
from alphaplus.risk.returns import ReturnSeries, non_overlapping
from alphaplus.risk.rolling import (
    SIDES,
    Forecasts,
    filtered_forecasts,
    historical_forecasts,
    normal_forecasts,
    pareto_forecasts,
    simulated_forecasts,
)
from alphaplus.risk.shortfall_backtest import DRAWS, acerbi_szekely_z2, shortfall_test

LEVELS: Final[tuple[float, ...]] = (0.95, 0.975, 0.99)
COVERAGE_SIGNIFICANCE: Final = 0.01
FEWEST_DAYS: Final = 250
FEWEST_FORECASTS: Final = 30
"""Below that a test says nothing, and none is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A model's forecasts and their tests, or the reason why there are none."""

    model: str
    horizon_ns: int
    forecasts: Forecasts | None
    tests: dict[str, Any]
    """Plain values, ready for JSON."""


def to_hours(series: ReturnSeries) -> ReturnSeries:
    """Return the series in hours if its bars are shorter, else as it is."""
    if series.step_ns >= HOUR_NS:
        return series
    if HOUR_NS % series.step_ns:
        raise RiskError(f"Expected bars that divide an hour, was {series.step_ns} ns.")
    return non_overlapping(series, HOUR_NS // series.step_ns)


def run_models(
    series: ReturnSeries,
    *,
    levels: Sequence[float] = LEVELS,
    paths: int = PATHS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Iterator[Outcome]:
    """Yield every model's outcome on one symbol: the base horizon, then the day.

    Raises RiskError for a series without a move.
    """
    base = to_hours(series)
    filters = [filter_returns(base, kind=kind) for kind in ("ewma", "garch")]
    models: list[tuple[str, int, Callable[[], list[Forecasts]]]] = [
        *_one_step(base, filters[0], levels),
        *((f"fhs{suffix}", base.step_ns, _filtered(item, levels))
          for suffix, item in zip(("", "_garch"), filters, strict=True)),
    ]  # fmt: skip
    if base.step_ns < DAY_NS and DAY_NS % base.step_ns == 0:
        days = non_overlapping(base, DAY_NS // base.step_ns)
        if len(days) and np.any(np.nan_to_num(days.values)):
            models += _one_step(days, None, levels, fewest=FEWEST_DAYS)
        models += [
            (f"fhs{suffix}", DAY_NS, _simulated(item, levels, paths, seed))
            for suffix, item in zip(("", "_garch"), filters, strict=True)
        ]
    for model, horizon_ns, make in models:
        for forecasts in make():
            yield Outcome(
                model=model,
                horizon_ns=horizon_ns,
                forecasts=forecasts,
                tests=evaluate(forecasts, draws=draws, seed=seed),
            )


def evaluate(forecasts: Forecasts, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Test one model's forecasts; with fewer than 30 the tests are None and `missing` says so."""
    count, level = len(forecasts), forecasts.level
    found: dict[str, Any] = {
        "model": forecasts.model,
        "figure": figure_name("var", level, forecasts.horizon_ns),
        "horizon": horizon_name(forecasts.horizon_ns),
        "level": level,
        "side": forecasts.side,
        "n_obs": count,
        "expected": count * (1 - level),
    }
    if count < FEWEST_FORECASTS:
        names = (
            "exceedances", "kupiec", "kupiec_mid_p", "christoffersen", "conditional_coverage",
            "duration", "traffic_light", "acerbi_szekely_z2", "coverage_accepted",
        )  # fmt: skip
        missing = f"{count} of {FEWEST_FORECASTS} forecasts"
        return found | dict.fromkeys(names) | {"missing": [missing]}
    hits = exceedances(forecasts.losses, forecasts.value_at_risk)
    failures = int(hits.sum())
    coverage = kupiec(count, failures, level)
    light = traffic_light(count, failures, level)
    statistic = acerbi_szekely_z2(
        forecasts.losses, forecasts.value_at_risk, forecasts.expected_shortfall, level
    )
    shortfall = shortfall_test(statistic, forecasts.tails, level, draws=draws, seed=seed)
    return found | {
        "exceedances": failures,
        "kupiec": _plain(coverage),
        "kupiec_mid_p": kupiec_mid_p(count, failures, level),
        "christoffersen": _plain(christoffersen(*transitions(hits))),
        "conditional_coverage": _plain(conditional_coverage(hits, level)),
        "duration": _plain(duration_test(hits)),
        "traffic_light": {
            "zone": light.zone, "cumulative": light.cumulative, "type_1": light.type_1,
        },
        "acerbi_szekely_z2": {
            "statistic": shortfall.statistic, "critical": shortfall.critical,
            "p_value": shortfall.p_value, "accepted": shortfall.accepted,
        },
        "coverage_accepted": coverage.accepted(COVERAGE_SIGNIFICANCE),
        "missing": [],
    }  # fmt: skip


def _plain(result: TestResult | None) -> dict[str, float] | None:
    if result is None:
        return None
    return {"statistic": result.statistic, "p_value": result.p_value}


def _one_step(
    series: ReturnSeries,
    filtered: FilteredReturns | None,
    levels: Sequence[float],
    *,
    fewest: int = FEWEST,
) -> list[tuple[str, int, Callable[[], list[Forecasts]]]]:
    """Return the models that need no simulation, as calls to make when their turn comes."""
    keys = [(level, side) for level in levels for side in SIDES]
    scales = None if filtered is None else filtered.scales
    return [
        (
            "historical",
            series.step_ns,
            lambda: [historical_forecasts(series, *key, fewest=fewest) for key in keys],
        ),
        (
            "ewma_normal",
            series.step_ns,
            lambda: [normal_forecasts(series, *key, fewest=fewest) for key in keys],
        ),
        (
            "evt",
            series.step_ns,
            lambda: [
                item
                for side in SIDES
                for item in pareto_forecasts(series, levels, side, scales=scales)
            ],
        ),
    ]


def _filtered(filtered: FilteredReturns, levels: Sequence[float]) -> Callable[[], list[Forecasts]]:
    keys = [(level, side) for level in levels for side in SIDES]
    return lambda: [filtered_forecasts(filtered, *key) for key in keys]


def _simulated(
    filtered: FilteredReturns, levels: Sequence[float], paths: int, seed: int
) -> Callable[[], list[Forecasts]]:
    return lambda: simulated_forecasts(filtered, DAY_NS, levels, paths=paths, seed=seed)
