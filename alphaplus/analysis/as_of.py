"""Values in force at the points of a grid: the join of series that change at their own times."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


def as_of(
    times: Times, values: Floats, grid: npt.ArrayLike, max_age_ns: int | None = None
) -> Floats:
    """Return for each grid point the last value at or before it, nan before the first.

    `times` ascend (of equal ones the last counts). A value older than `max_age_ns` at the
    grid point is nan too; one of exactly that age still counts.
    """
    points = np.asarray(grid, np.int64)
    if not len(times):
        return np.full(points.shape, np.nan)
    at = np.searchsorted(times, points, "right") - 1
    found = np.where(at >= 0, np.asarray(values, np.float64)[at], np.nan)
    if max_age_ns is not None:
        found[points - np.asarray(times)[at] > max_age_ns] = np.nan
    return found


def common_grid(times_x: Times, times_y: Times, step_ns: int) -> Times:
    """Return steps from the later of both first times to the earlier of both last ones.

    Integers on purpose: nanoseconds since 1970 held in float64 are multiples of 256, so a
    grid of 50-ms steps would drift by 128 ns a step. Empty if the series have no common time.
    """
    if not len(times_x) or not len(times_y):
        return np.empty(0, np.int64)
    begin, end = max(times_x[0], times_y[0]), min(times_x[-1], times_y[-1])
    return np.arange(begin, end + 1, step_ns, dtype=np.int64)
