"""Bulk volume classification: buys and sells of data that names no aggressor.

Of the volume of a bar whose price moved by dP, the share Phi(dP / sigma) is called bought
(Easley, Lopez de Prado and O'Hara 2012). With true aggressors use `alphaplus.analysis.vpin`:
the two disagree, down to the sign of their relation with volatility (Andersen and Bondarenko
2014).
"""

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SECOND_NS = 1_000_000_000
_DAY_S = 86_400
_ROUNDING = 1e-9


def time_bars(
    times_ns: Ints, prices: Floats, volumes: Floats, *, bar_s: int = 300
) -> tuple[Floats, Floats]:
    """Return last - first price and the volume of each bar, without a break on days with trades.

    Bars begin at multiples of `bar_s` after UTC midnight, from the bar of the first trade to
    that of the last, as nothing is known of the hours before and after; one between them without
    trades has neither move nor volume. Trades are in the order of their times (nanoseconds since
    1970 UTC). Raises ConfigError unless `bar_s` divides a day.
    """
    if not 0 < bar_s <= _DAY_S or _DAY_S % bar_s:
        raise ConfigError(f"Expected bar_s to divide {_DAY_S}, was {bar_s}.")
    per_day = _DAY_S // bar_s
    if len(times_ns) == 0:
        return np.empty(0), np.empty(0)
    since_1970 = times_ns // (bar_s * _SECOND_NS)
    _, day = np.unique(since_1970 // per_day, return_inverse=True)
    bars = day * per_day + since_1970 % per_day
    bars -= bars[0]
    filled, first = np.unique(bars, return_index=True)
    last = np.append(first[1:], len(bars)) - 1
    changes = np.zeros(bars[-1] + 1)
    changes[filled] = prices[last] - prices[first]
    totals = np.zeros(len(changes))
    totals[filled] = np.add.reduceat(volumes, first)
    return changes, totals


def bought_volumes(changes: Floats, volumes: Floats) -> Floats:
    """Return the volume of each bar that counts as bought; half of it if no price moved.

    sigma is the standard deviation of the changes of all bars (n - 1).
    """
    from scipy.special import ndtr

    sigma = float(np.std(changes, ddof=1)) if len(changes) > 1 else 0.0
    shares = ndtr(changes / sigma) if sigma > 0 else np.full(len(changes), 0.5)
    bought: Floats = volumes * shares
    return bought


def bulk_vpin(
    changes: Floats, volumes: Floats, bucket_volume: float, *, window: int = 50
) -> Floats:
    """Return VPIN after each bucket, in [0, 1], nan before `window` of them.

    A bar that overflows its bucket is split in proportion; a last bucket that is not full is
    kept. `bucket_volume` and volumes share a unit.
    """
    if not bucket_volume > 0:
        raise ConfigError(f"Expected bucket_volume above 0, was {bucket_volume}.")
    volume = np.concatenate(([0.0], np.cumsum(volumes)))
    bought = np.concatenate(([0.0], np.cumsum(bought_volumes(changes, volumes))))
    count = int(np.ceil(volume[-1] / bucket_volume - _ROUNDING))
    edges = np.minimum(bucket_volume * np.arange(count + 1), volume[-1])
    net = np.abs(2 * np.diff(np.interp(edges, volume, bought)) - np.diff(edges))
    found = np.full(count, np.nan)
    if count >= window:
        windows = np.lib.stride_tricks.sliding_window_view(net, window)
        found[window - 1 :] = windows.mean(axis=1) / bucket_volume
    return found
