"""The equity of a portfolio at the end of past days, UTC.

The first value seen begins the curve; each day's last value follows when the day is over.
"""

import math

import numpy as np
import numpy.typing as npt

from alphaplus.risk.figures import DAY_NS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_DAYS = 3650


class EquityCurve:
    """One portfolio's; the clock is an argument, and one that goes back adds nothing."""

    def __init__(self) -> None:
        self._days: list[float] = []
        self._day = -1
        self._last = math.nan

    def sample(self, now_ns: int, equity: float | None) -> None:
        """Take the equity of a moment; unknown ones, and those not above 0, are passed over."""
        if equity is None or not (math.isfinite(equity) and equity > 0):
            return
        day = now_ns // DAY_NS
        if self._day < 0:
            self._days.append(equity)
        elif day > self._day:
            self._days.append(self._last)
            del self._days[:-MOST_DAYS]
        if day >= self._day:
            self._day, self._last = day, equity

    def restore(self, times: Ints, equities: Floats) -> None:
        """Begin with the readings of days before, one of each, ascending, ns UTC.

        Does nothing once there are samples of its own.
        """
        if self._day >= 0:
            return
        for time, equity in zip(times.tolist(), equities.tolist(), strict=True):
            self.sample(time, equity)

    @property
    def last(self) -> float | None:
        """The newest equity, None before any."""
        return None if math.isnan(self._last) else self._last

    @property
    def values(self) -> Floats | None:
        """Equity of the past days, oldest first, without the present; None before any."""
        return np.array(self._days) if self._days else None
