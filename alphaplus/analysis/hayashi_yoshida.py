"""Covariance of two prices that change at different moments, without a common grid.

The estimator of Hayashi and Yoshida (2005): the sum of the products of all pairs of moves
whose intervals overlap, HY = sum over i, j of dx_i dy_j with (t_{i-1}, t_i] and (s_{j-1}, s_j]
not disjoint. Times are int64 ns, values are log prices (or prices; nothing here depends on it).

An observation that repeats the price is no move, and of several at one time the last counts.
"""

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.tape import QuoteArray
from alphaplus.errors import ConfigError
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Clock = Literal["ts_event", "ts_recv"]
"""Whose time orders a market's quotes: the venue's, or ours (with each feed's latency in it)."""

_SIDE: Final = np.dtype(
    [
        ("time", "<i8"),  # of the newest point that counts
        ("value", "<f8"),
        ("next_time", "<i8"),  # of the newest point of all, which a later one may still replace
        ("next_value", "<f8"),
        ("points", "<i8"),
        ("waits", "<i8"),  # whether next_time and next_value hold a point
        ("head", "<i8"),
        ("count", "<i8"),
        ("merged", "<i8"),
        ("square", "<f8"),
        ("product", "<f8"),
    ],
    align=True,
)


def log_mid_moves(quotes: QuoteArray, clock: Clock = "ts_event") -> tuple[Times, Floats]:
    """Return the times and the natural logarithms of the mid in ticks, where it changed.

    Takes rows of dtype `QUOTE`; quotes with an empty side or that cross are left out.
    """
    valid = (quotes["bid_quantity"] > 0) & (quotes["ask_quantity"] > 0)
    valid &= quotes["bid_tick"] < quotes["ask_tick"]
    kept = quotes[valid]
    times = np.maximum.accumulate(kept[clock]) if len(kept) else kept[clock]
    return moves(times, np.log((kept["bid_tick"] + kept["ask_tick"]) / 2.0))


def moves(times: Times, values: Floats) -> tuple[Times, Floats]:
    """Return the last observation of each time where its value differs from the one before.

    The first observation stays, as the point from which the first move starts. Raises
    ValueError if the lengths differ, a time goes back or a value is not finite.
    """
    times = np.ascontiguousarray(times, np.int64)
    values = np.ascontiguousarray(values, np.float64)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"Expected as many values as times, was {values.shape}, {times.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("Expected finite values, was nan or infinity; leave these out.")
    if (times[1:] < times[:-1]).any():
        raise ValueError("Expected times that never go back, was a step back; sort them.")
    if not len(times):
        return times, values
    last = np.append(times[1:] != times[:-1], True)
    times, values = times[last], values[last]
    moved = np.append(True, values[1:] != values[:-1])
    return times[moved], values[moved]


def hayashi_yoshida_covariance(
    times_x: Times, values_x: Floats, times_y: Times, values_y: Floats
) -> float:
    """Return the covariance of both over the whole time, in values squared; any sign.

    One pass over both series. 0 if either never moves.
    """
    x, y = moves(times_x, values_x), moves(times_y, values_y)
    return float(overlap_sum(*x, *y, 0))


def hayashi_yoshida_correlation(
    times_x: Times, values_x: Floats, times_y: Times, values_y: Floats
) -> float | None:
    """Return HY / sqrt(RV_x RV_y), None if either never moves.

    Noise of ticks enters each RV but hardly HY, and the estimate is not bounded: it may pass
    1 in size and is never clipped.
    """
    x, y = moves(times_x, values_x), moves(times_y, values_y)
    return _correlation(float(overlap_sum(*x, *y, 0)), _square(x[1]), _square(y[1]))


class HayashiYoshida:
    """Follow two markets' moves and keep their covariance since the start, O(1) a move.

    Either side may run ahead of the other and how the stream is cut changes nothing. A point
    counts once a later time has come on its side, because until then another point of the
    same time may replace it; a time that goes back is taken as the newest one.

    `capacity` points of each side are kept for the other to catch up with. Beyond it the
    oldest of them merge into one move (`merged_x`, `merged_y` count them), which changes the
    sum only if the other side then still brings a point of before.

    >>> hy = HayashiYoshida()
    >>> hy.update_x(np.array([0, 10, 20]), np.array([0.0, 1.0, 1.0]))
    >>> hy.update_y(np.array([0, 10, 20]), np.array([0.0, 2.0, 2.0]))
    >>> hy.covariance
    2.0
    """

    def __init__(self, *, capacity: int = 4096) -> None:
        if capacity < 2:
            raise ConfigError(f"Expected capacity of at least 2 points, was {capacity}.")
        self._capacity = capacity
        self.reset()

    def reset(self) -> None:
        """Start again from nothing."""
        self._x, self._y = np.zeros(1, _SIDE), np.zeros(1, _SIDE)
        self._times_x, self._times_y = np.zeros((2, self._capacity), np.int64)
        self._values_x, self._values_y = np.zeros((2, self._capacity), np.float64)

    def update_x(self, times: Times, values: Floats) -> None:
        """Take the next observations of x: times (ns) and finite values."""
        _follow(
            self._x,
            self._times_x,
            self._values_x,
            self._y,
            self._times_y,
            self._values_y,
            *_checked(times, values),
        )

    def update_y(self, times: Times, values: Floats) -> None:
        """Take the next observations of y: times (ns) and finite values."""
        _follow(
            self._y,
            self._times_y,
            self._values_y,
            self._x,
            self._times_x,
            self._values_x,
            *_checked(times, values),
        )

    @property
    def covariance(self) -> float:
        """HY of all points that count."""
        return float(self._x["product"][0] + self._y["product"][0])

    @property
    def correlation(self) -> float | None:
        """HY / sqrt(RV_x RV_y), never clipped; None while either has not moved."""
        squares = float(self._x["square"][0]), float(self._y["square"][0])
        return _correlation(self.covariance, *squares)

    @property
    def moves_x(self) -> int:
        """Moves of x that count."""
        return max(0, int(self._x["points"][0]) - 1)

    @property
    def moves_y(self) -> int:
        """Moves of y that count."""
        return max(0, int(self._y["points"][0]) - 1)

    @property
    def merged_x(self) -> int:
        """Points of x merged because y stayed behind by more than `capacity` of them."""
        return int(self._x["merged"][0])

    @property
    def merged_y(self) -> int:
        """Points of y merged because x stayed behind by more than `capacity` of them."""
        return int(self._y["merged"][0])

    def values(self) -> dict[str, float | int | None]:
        """Return what is known as plain values."""
        return {
            "covariance": self.covariance,
            "correlation": self.correlation,
            "moves_x": self.moves_x,
            "moves_y": self.moves_y,
        }


def _checked(times: Times, values: Floats) -> tuple[Times, Floats]:
    times = np.ascontiguousarray(times, np.int64)
    values = np.ascontiguousarray(values, np.float64)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"Expected as many values as times, was {values.shape}, {times.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("Expected finite values, was nan or infinity; leave these out.")
    return times, values


def _square(values: Floats) -> float:
    return float(np.sum(np.diff(values) ** 2))


def _correlation(covariance: float, square_x: float, square_y: float) -> float | None:
    scale = np.sqrt(square_x) * np.sqrt(square_y)
    return float(covariance / scale) if scale > 0 else None


@kernel
def overlap_sum(
    times_x: Times, values_x: Floats, times_y: Times, values_y: Floats, shift: int
) -> float:
    """Sum the products of overlapping moves with y taken `shift` ns earlier than it was.

    Both series as `moves` returns them. The moves of y that overlap one of x follow each
    other, so their sum is the difference of two values, and both ends only go forward.
    """
    total = 0.0
    last = len(times_y) - 1
    if last < 1:
        return total
    low = high = 0  # points of y: the last at or before an interval's begin, the first at its end
    for i in range(1, len(times_x)):
        begin, end = times_x[i - 1] + shift, times_x[i] + shift
        while low < last and times_y[low + 1] <= begin:
            low += 1
        if high < low:
            high = low
        while high < last and times_y[high] < end:
            high += 1
        total += (values_x[i] - values_x[i - 1]) * (values_y[high] - values_y[low])
    return total


@kernel
def _follow(
    own: Any,
    own_times: Times,
    own_values: Floats,
    other: Any,
    other_times: Times,
    other_values: Floats,
    times: Times,
    values: Floats,
) -> None:
    """Take observations of one side; each that counts meets the other side's known moves.

    A ring holds the points that the other side has not passed, and the one in force there.
    """
    me, them = own[0], other[0]
    size = len(own_times)
    for i in range(len(times)):
        time, value = times[i], values[i]
        if me.waits == 0:
            me.waits, me.next_time, me.next_value = 1, time, value
            continue
        if time <= me.next_time:
            me.next_value = value
            continue
        end, settled = me.next_time, me.next_value
        me.next_time, me.next_value = time, value
        if me.points > 0 and settled == me.value:
            continue
        if me.points > 0:
            move = settled - me.value
            me.square += move * move
            me.product += move * _known_move(them, other_times, other_values, end)
        me.time, me.value = end, settled
        me.points += 1
        while them.count > 1 and other_times[(them.head + 1) % size] <= end:
            them.head = (them.head + 1) % size
            them.count -= 1
        if me.count == size:  # the one in force stays, the next oldest merges into its follower
            after = (me.head + 1) % size
            own_times[after], own_values[after] = own_times[me.head], own_values[me.head]
            me.head = after
            me.count -= 1
            me.merged += 1
        at = (me.head + me.count) % size
        own_times[at], own_values[at] = end, settled
        me.count += 1
        if them.points > 0:  # points that the other side has passed already
            while me.count > 1 and own_times[(me.head + 1) % size] <= them.time:
                me.head = (me.head + 1) % size
                me.count -= 1


@kernel
def _known_move(side: Any, times: Times, values: Floats, end: int) -> float:
    """Return how far a side moved, as known, in its intervals that overlap one up to `end`."""
    if side.count == 0:
        return 0.0
    size = len(times)
    step = 0
    while step < side.count - 1 and times[(side.head + step) % size] < end:
        step += 1
    now: float = values[(side.head + step) % size]
    return now - float(values[side.head])
