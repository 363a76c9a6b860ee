"""How the correlation of two markets falls as the returns get shorter (Epps, 1979).

Quotes of two markets never change at one moment, so on a fine grid one market's move is often
missing from the other's return. Where the curve is flat, the grid is coarse enough.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.as_of import Floats, Times, as_of, common_grid

STEPS_S: Final = (0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Lengths of the returns, seconds."""


def previous_tick_correlation(
    times_x: Times, values_x: Floats, times_y: Times, values_y: Floats, grid: npt.ArrayLike
) -> float | None:
    """Return Pearson's correlation, in [-1, 1], of both series' returns from point to point.

    Values are log prices, times and grid ns. None with fewer than two returns that both series
    have, or if either never moves on the grid.
    """
    x = np.diff(as_of(times_x, values_x, grid))
    y = np.diff(as_of(times_y, values_y, grid))
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 2 or not x.any() or not y.any():
        return None
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt(np.dot(x, x)) * np.sqrt(np.dot(y, y))
    return float(np.clip(np.dot(x, y) / scale, -1.0, 1.0)) if scale > 0 else None


def epps_curve(
    times_x: Times,
    values_x: Floats,
    times_y: Times,
    values_y: Floats,
    steps_s: Sequence[float] = STEPS_S,
) -> list[float | None]:
    """Return the correlation for each length of the returns, over the time both series span."""
    curve = []
    for step in steps_s:
        grid = common_grid(times_x, times_y, round(step * 1e9))
        curve.append(previous_tick_correlation(times_x, values_x, times_y, values_y, grid))
    return curve
