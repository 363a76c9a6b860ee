"""Mids sampled by previous tick on a fixed grid of time, and the log returns between them.

The mid of a grid point is that of the last quote at or before it. A point whose quote is not
valid (a side is empty, or the sides cross) is skipped, and so is the return across it: it is
nan, and never spans two intervals.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.as_of import as_of
from alphaplus.analysis.streaming import SECOND, above_zero
from alphaplus.analysis.tape import QuoteArray
from alphaplus.errors import ConfigError
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
RunArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `RUN`."""

RUN: Final = np.dtype([("log_return", "<f8"), ("intervals", "<i8")], align=True)
"""So many grid intervals in a row with this return in each; nan where it is not known."""

_LARGEST: Final = 1e15
"""No venue quotes such a quantity: a quote that says so is not valid."""
_FIRST_ROWS: Final = 64

_STATE: Final = np.dtype(
    [
        ("step", "<i8"),  # ns
        ("is_started", "<i8"),  # whether there was a valid quote
        ("has_point", "<i8"),  # whether a grid point was sampled
        ("clock", "<i8"),  # newest time of a quote, ns
        ("next", "<i8"),  # the next grid point, ns
        ("mid", "<i8"),  # in force, bid tick + ask tick; 0 = not known
        ("last", "<i8"),  # at the last grid point; 0 = not known
    ],
    align=True,
)


def grid_mids(
    times: Times, mids: Floats, step_ns: int, *, start: int | None = None, end: int | None = None
) -> Floats:
    """Return the mids in force at `start`, `start + step_ns`, ... up to `end`.

    `times` (ns, ascending, any clock) are those of the quotes, `mids` theirs, nan where the
    quote is not valid. `start` and `end` default to the first and the last time. nan where no
    mid is known.
    """
    if step_ns <= 0:
        raise ConfigError(f"Expected step_ns above 0, was {step_ns}.")
    if not len(times):
        return np.empty(0)
    first = int(times[0]) if start is None else start
    last = int(times[-1]) if end is None else end
    return as_of(times, mids, np.arange(first, last + 1, step_ns, dtype=np.int64))


def log_returns(mids: Floats) -> Floats:
    """Return ln(mid / mid before), one fewer than there are mids; nan where either is nan.

    Returns of a few parts in a million keep their digits, which the logarithm of a ratio near
    1 does not.
    """
    values = np.asarray(mids, dtype=np.float64)
    returns: Floats = np.log1p((values[1:] - values[:-1]) / values[:-1])
    return returns


def step_ns(grid_s: float) -> int:
    """Return a grid step in ns; raises ConfigError unless it is 1 ms to an hour."""
    if not 0.001 <= above_zero("grid_s", grid_s) <= 3600:
        raise ConfigError(f"Expected grid_s in [0.001, 3600], was {grid_s}.")
    return round(grid_s * SECOND)


class MidGrid:
    """Sample best quotes at whole multiples of a step of exchange time; give returns as runs.

    A grid point is sampled once a later time has come, as quotes of its own time still count.
    Only quotes move the grid: a quote may be stamped before a trade that came ahead of it. So
    `take` gives what is final, and `until` what would follow if no quote came up to a time.
    """

    def __init__(self, step_ns: int) -> None:
        self._state = np.zeros(1, dtype=_STATE)
        self._state["step"] = step_ns
        self._runs = np.empty(_FIRST_ROWS, dtype=RUN)

    def take(self, quotes: QuoteArray) -> RunArray:
        """Take the next quotes; return the returns that they complete, to be read at once."""
        if 2 * len(quotes) > len(self._runs):
            self._runs = np.empty(2 * len(quotes), dtype=RUN)
        return self._runs[: _take(self._state, quotes, self._runs)]

    def until(self, now: int) -> RunArray:
        """Return the returns of the grid points before `now` (ns) that are not final yet."""
        runs = np.empty(2, dtype=RUN)
        return runs[: _advance(self._state.copy(), now, runs, 0)]

    def interrupt(self, now: int) -> RunArray:
        """Forget the mid in force from `now` (ns) on; return the returns up to there."""
        runs = self._runs[: _advance(self._state, now, self._runs, 0)]
        self._state["mid"] = 0
        return runs


@kernel
def _take(state: Any, quotes: QuoteArray, runs: RunArray) -> int:
    """Sample the grid points before each quote, then let it be the one in force."""
    s = state[0]
    count = 0
    for i in range(len(quotes)):
        quote = quotes[i]
        twice = quote.bid_tick + quote.ask_tick
        has_sides = 0 < quote.bid_quantity < _LARGEST and 0 < quote.ask_quantity < _LARGEST
        mid = twice if has_sides and quote.bid_tick < quote.ask_tick and twice > 0 else 0
        if s.is_started == 0:
            if mid == 0:
                continue
            s.is_started = 1
            s.clock = quote.ts_event
            s.next = -(-s.clock // s.step) * s.step
        s.clock = max(s.clock, quote.ts_event)
        count = _advance(state, s.clock, runs, count)
        s.mid = mid
    return count


@kernel
def _advance(state: Any, now: int, runs: RunArray, count: int) -> int:
    """Sample the grid points before `now`; at most two runs, added after `count` others."""
    s = state[0]
    if s.is_started == 0 or now <= s.next:
        return count
    points = (now - s.next + s.step - 1) // s.step
    s.next += points * s.step
    if s.has_point != 0:
        known = s.mid > 0 and s.last > 0
        runs[count].log_return = np.log1p((s.mid - s.last) / s.last) if known else np.nan
        runs[count].intervals = 1
        count += 1
    s.has_point = 1
    s.last = s.mid
    if points > 1:
        runs[count].log_return = 0.0 if s.mid > 0 else np.nan
        runs[count].intervals = points - 1
        count += 1
    return count
