"""Spread between the best ask and the best bid: of one quote, and averaged over time.

The functions take numbers or arrays of equal shape (0 < best bid < best ask); ticks and prices
give the same ratios.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", float, npt.NDArray[np.float64])


def spread(best_bid: Number, best_ask: Number) -> Number:
    """Return a1 - b1, in the unit of the prices: exact for ticks."""
    return best_ask - best_bid


def spread_bps(best_bid: Number, best_ask: Number) -> Number:
    """Return the spread over the mid in basis points; ticks and prices give the same.

    >>> round(spread_bps(10_000.0, 10_010.0), 3)
    9.995
    """
    return 2e4 * (best_ask - best_bid) / (best_ask + best_bid)


def log_spread(best_bid: Number, best_ask: Number) -> Number:
    """Return ln(a1 / b1), the width of the spread as a log return.

    >>> round(1e4 * log_spread(10_000.0, 10_010.0), 3)
    9.995
    """
    # log1p keeps the digits that a ratio close to 1 would lose.
    result: Number = np.log1p((best_ask - best_bid) / best_bid)
    return result


def time_weighted_average(
    times: npt.ArrayLike, values: npt.ArrayLike, begin: float, end: float
) -> float:
    """Return sum(v_i dt_i) / sum(dt_i) of values in force over [begin, end); nan if no time.

    A value holds from its time (ascending, any unit) until the next one, the last until `end`.
    What is nan is unknown: its time is left out, as is the time before the first value.
    """
    starts = np.asarray(times)
    held = np.asarray(values, dtype=np.float64)
    stops = np.append(starts[1:], end)
    weights = (np.clip(stops, begin, end) - np.clip(starts, begin, end)).astype(np.float64)
    weights[np.isnan(held)] = 0.0
    total = weights.sum()
    return float(np.nansum(held * weights) / total) if total > 0 else np.nan
