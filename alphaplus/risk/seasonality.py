"""Volatility by hour of the week: 168 factors, so that a filter sees returns without the clock.

    a_t = |r_t| / sigma_t,  raw_h = mean of a in hour h / mean over hours,
    f_h = 1 + w (raw_h - 1), then divided so that the mean square of f is 1.

sigma_t is a slow moving level (half-life one week) of the past. Absolute values, as squares of
fat-tailed returns need ten times the weeks. The weight w shrinks to 1: one minus the share of
the spread between hours that sampling alone explains (James and Stein 1961; Efron and Morris
1973), 0 until every hour was seen twice. A factor uses data strictly before the return that it
is applied to.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.jit import kernel
from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.returns import ReturnSeries

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

HOURS: Final = 168
FLOOR: Final = 0.1
"""Least factor before normalising: an hour without a move is no hour without risk."""
_MONDAY: Final = 4 * 24
"""1970 began on a Thursday: hours from Monday 1970-01-05 00:00 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seasonality:
    """Factors as they were known over time."""

    table: Floats
    """(refreshes, 168), each row from the data before it."""
    row_of: Integers
    """(n + 1,): the row in force for each return, and last for the return to come."""
    hours: Integers
    """(n,): hour of the week of each return, 0 = Monday 00:00 UTC."""

    @property
    def factors(self) -> Floats:
        """(n,): the factor of each return, from earlier data only."""
        found: Floats = self.table[self.row_of[:-1], self.hours]
        return found

    @property
    def latest(self) -> Floats:
        """(168,): what is known after the last return."""
        found: Floats = self.table[self.row_of[-1]]
        return found


def hour_of_week(times: npt.ArrayLike) -> Integers:
    """Return the hour of the week of each time (ns UTC): 0 is Monday 00:00 to 01:00 UTC."""
    stamps = np.asarray(times, dtype=np.int64)
    found: Integers = (stamps // HOUR_NS - _MONDAY) % HOURS
    return found


def rolling_seasonality(series: ReturnSeries, *, refresh: int | None = None) -> Seasonality:
    """Return the factors of each return from the returns before it.

    The factors are made anew every `refresh` returns (default: those of a day, at least one).
    Returns that are nan are passed over. Raises RiskError for an empty series.
    """
    if not len(series):
        raise RiskError("Expected at least one return, was none.")
    every = refresh or max(1, 24 * HOUR_NS // series.step_ns)
    if every < 1:
        raise RiskError(f"Expected refresh above 0, was {refresh}.")
    hours = hour_of_week(series.times)
    week = max(2, HOURS * HOUR_NS // series.step_ns)
    table = np.ones((len(series) // every + 1, HOURS))
    row_of = np.minimum(np.arange(len(series) + 1) // every, len(table) - 1)
    _roll(series.values, hours, week, every, table)
    return Seasonality(table=table, row_of=row_of, hours=hours)


@kernel
def _roll(returns: Floats, hours: Integers, week: int, every: int, table: Floats) -> None:
    """Fill `table`: row k from the returns before k * every."""
    sums = np.zeros((3, 168))
    level = 0.0
    known = 0
    decay = 0.5 ** (1.0 / week)
    for t in range(len(returns) + 1):
        if t % every == 0 and t // every < len(table):
            _factors(sums, table[t // every])
        if t == len(returns):
            break
        value = returns[t]
        if np.isnan(value):
            continue
        if known >= week and level > 0:
            size = abs(value) / np.sqrt(level)
            hour = hours[t]
            sums[0, hour] += 1.0
            sums[1, hour] += size
            sums[2, hour] += size * size
        known += 1
        gain = max(1.0 / known, 1.0 - decay)
        level += gain * (value * value - level)


@kernel
def _factors(sums: Floats, out: Floats) -> None:
    """Turn counts, sums and sums of squares by hour into factors of mean square 1."""
    out[:] = 1.0
    hours = 0
    grand = 0.0
    for h in range(168):
        if sums[0, h] > 0:
            if sums[0, h] < 2:
                return
            hours += 1
            grand += sums[1, h] / sums[0, h]
    if hours < 2 or grand <= 0:
        return
    grand /= hours
    total = 0.0
    within = 0.0
    freedom = 0.0
    inverse = 0.0
    for h in range(168):
        n = sums[0, h]
        if n > 0:
            mean = sums[1, h] / n
            total += (mean / grand - 1.0) ** 2
            within += sums[2, h] - n * mean * mean
            freedom += n - 1.0
            inverse += 1.0 / n
    noise = within / freedom / (grand * grand) * inverse
    if total <= noise:
        return
    weight = 1.0 - noise / total
    squares = 0.0
    for h in range(168):
        if sums[0, h] > 0:
            out[h] = max(FLOOR, 1.0 + weight * (sums[1, h] / sums[0, h] / grand - 1.0))
        squares += out[h] * out[h]
    out /= np.sqrt(squares / 168)
