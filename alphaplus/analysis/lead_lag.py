"""Which of two markets moves first, and by how long.

The contrast of Hoffmann, Rosenbaum and Yoshida (2013): the Hayashi-Yoshida correlation of x
with y taken earlier by each lag of a grid. Where its size peaks is the lag, + = x leads.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.hayashi_yoshida import Floats, Times, moves, overlap_sum
from alphaplus.errors import ConfigError

MIN_MOVES: Final = 100
"""Moves that each side needs before a lag is named."""
_TIE: Final = 1e-12
"""Relative difference of two contrasts below which only the rounding tells them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadLag:
    """Where the contrast peaks and how lopsided it is; None where the data cannot tell.

    All of it is None if either side has too few moves or the peak is at an end of the grid
    (the true one may lie beyond it), and the lag also if x leading and y leading tie.
    """

    lag_ns: int | None
    """The lag of the peak, + = x leads."""
    correlation: float | None
    """The contrast there, with its sign; never clipped, so it may pass 1 in size."""
    lead_lag_ratio: float | None
    """Sum of |contrast| over lags above 0 by the same below 0; above 1 where x leads."""
    lead_lag_ratio_squared: float | None
    """The same with squares, which gives the peak more weight."""
    moves_x: int
    moves_y: int
    missing: str | None
    """Why the lag is None, None where it is known."""


def lag_grid(max_lag_ns: int, step_ns: int) -> Times:
    """Return the lags from -max_lag_ns to max_lag_ns; raises ConfigError unless steps fit.

    >>> lag_grid(20, 10)
    array([-20, -10,   0,  10,  20])
    """
    if step_ns < 1 or max_lag_ns < step_ns or max_lag_ns % step_ns:
        raise ConfigError(
            f"Expected max_lag_ns a multiple of step_ns above 0, was {max_lag_ns}, {step_ns}."
        )
    return np.arange(-max_lag_ns, max_lag_ns + 1, step_ns, dtype=np.int64)


def contrast(
    times_x: Times,
    values_x: Floats,
    times_y: Times,
    values_y: Floats,
    lags_ns: npt.ArrayLike,
) -> Floats:
    """Return the correlation of x at t and y at t + lag, for each lag; nan without moves.

    Times are int64 ns and both series go through `moves`. One pass over both series a lag.
    """
    x, y = moves(times_x, values_x), moves(times_y, values_y)
    lags = np.atleast_1d(np.asarray(lags_ns, np.int64))
    scale = _norm(x[1]) * _norm(y[1])
    if scale == 0:
        return np.full(len(lags), np.nan)
    return np.array([overlap_sum(*x, *y, lag) for lag in lags.tolist()]) / scale


def lead_lag(
    times_x: Times,
    values_x: Floats,
    times_y: Times,
    values_y: Floats,
    lags_ns: Times,
    *,
    min_moves: int = MIN_MOVES,
) -> LeadLag:
    """Find the lag between two series on a grid that is the same on both sides of 0.

    With receive times the lag includes the latency of each feed; report such lags apart.
    Raises ConfigError if the grid is not sorted and symmetric.
    """
    x, y = moves(times_x, values_x), moves(times_y, values_y)
    curve = contrast(*x, *y, lags_ns)
    return read_contrast(
        curve, lags_ns, max(0, len(x[0]) - 1), max(0, len(y[0]) - 1), min_moves=min_moves
    )


def read_contrast(
    curve: Floats, lags_ns: Times, moves_x: int, moves_y: int, *, min_moves: int = MIN_MOVES
) -> LeadLag:
    """Read lag and ratios off a contrast that is already known (see `contrast`)."""
    lags = np.asarray(lags_ns, np.int64)
    if len(lags) < 3 or (np.diff(lags) <= 0).any() or (lags != -lags[::-1]).any():
        raise ConfigError(f"Expected lags sorted and symmetric about 0, was {lags.tolist()}.")
    fewest = min(moves_x, moves_y)
    if fewest < min_moves or not np.isfinite(curve).all():
        return _unknown(moves_x, moves_y, f"{fewest} of {max(1, min_moves)} moves")
    size = np.abs(curve)
    peaks = np.flatnonzero(size >= size.max() * (1 - _TIE))
    if peaks[0] == 0 or peaks[-1] == len(lags) - 1:
        return _unknown(moves_x, moves_y, "a peak inside the grid of lags")
    nearest = peaks[np.abs(lags[peaks]) == np.abs(lags[peaks]).min()]
    tied = len(nearest) > 1
    return LeadLag(
        lag_ns=None if tied else int(lags[nearest[0]]),
        correlation=None if tied else float(curve[nearest[0]]),
        lead_lag_ratio=_ratio(size, lags),
        lead_lag_ratio_squared=_ratio(size**2, lags),
        moves_x=moves_x,
        moves_y=moves_y,
        missing="one peak: x leading and y leading tie" if tied else None,
    )


def _unknown(moves_x: int, moves_y: int, missing: str) -> LeadLag:
    return LeadLag(
        lag_ns=None,
        correlation=None,
        lead_lag_ratio=None,
        lead_lag_ratio_squared=None,
        moves_x=moves_x,
        moves_y=moves_y,
        missing=missing,
    )


def _ratio(size: Floats, lags: Times) -> float | None:
    above, below = float(size[lags > 0].sum()), float(size[lags < 0].sum())
    return above / below if below > 0 else None


def _norm(values: Floats) -> float:
    return float(np.sqrt(np.sum(np.diff(values) ** 2)))
