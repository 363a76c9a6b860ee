"""Histories made for the tests: returns whose volatility clusters and follows the clock."""

from typing import Any

import numpy as np

from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.returns import ReturnSeries

MONDAY_NS = 4 * 24 * HOUR_NS  # 1970-01-05
START_NS = MONDAY_NS + 2_800 * 168 * HOUR_NS


def clock_factors() -> Any:
    """Factors by hour of the week, quiet at night and on weekends, mean square 1."""
    hours = np.arange(168)
    shape = 1 + 0.6 * np.sin(2 * np.pi * (hours % 24) / 24) - 0.3 * (hours >= 120)
    return shape / np.sqrt(np.mean(shape**2))


def garch_series(
    count: int, *, seed: int = 1, clock: bool = True, step_ns: int = HOUR_NS
) -> ReturnSeries:
    """Hourly GARCH(1,1) returns with Student errors of 5 degrees, times the clock."""
    source = np.random.default_rng(seed)
    errors = source.standard_t(5, count) / np.sqrt(5 / 3)
    plain, variance = np.empty(count), 1e-4
    for t in range(count):
        plain[t] = np.sqrt(variance) * errors[t]
        variance = 3e-6 + 0.07 * plain[t] ** 2 + 0.9 * variance
    times = START_NS + step_ns * np.arange(count, dtype=np.int64)
    factors = clock_factors()[np.arange(count) % 168] if clock else 1.0
    return ReturnSeries(times=times, values=plain * factors, step_ns=step_ns)


def holed(series: ReturnSeries, places: Any) -> ReturnSeries:
    """The series with nan at `places`."""
    values = series.values.copy()
    values[places] = np.nan
    return ReturnSeries(times=series.times, values=values, step_ns=series.step_ns)
