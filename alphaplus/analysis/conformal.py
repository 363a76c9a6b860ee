"""Intervals whose miss rate stays near a target whatever the data do (Gibbs and Candes, 2021)."""

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from typing import Any

from alphaplus.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included; all numbers if infinite, none if low > high."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class AdaptiveConformal:
    """Put an interval around each prediction, as wide as past misses of it say.

    The half-width is a quantile of the last `window` absolute errors, taken at a level that
    each miss widens and each hit narrows: alpha_t+1 = alpha_t + gamma (alpha - err_t). After T
    outcomes |mean err - alpha| <= (max(alpha, 1 - alpha) + gamma) / (gamma T), for any data;
    that is a promise over time, not for the next outcome.

    >>> interval = AdaptiveConformal(alpha=0.5, window=3)
    >>> [interval.update(0.0, outcome) for outcome in (1.0, 2.0, 1.5)]
    [True, False, True]
    >>> interval.interval(10.0)
    Interval(low=8.5, high=11.5)
    """

    def __init__(self, *, alpha: float = 0.1, gamma: float = 0.01, window: int = 1000) -> None:
        if not 0 < alpha < 1:
            raise ConfigError(f"Expected alpha between 0 and 1, was {alpha}.")
        if not 0 < gamma < math.inf:
            raise ConfigError(f"Expected gamma above 0, was {gamma}.")
        if window < 1:
            raise ConfigError(f"Expected window of at least 1 outcome, was {window}.")
        self._alpha, self._gamma, self._window = alpha, gamma, window
        self._level = alpha
        self._outcomes = self._misses = 0
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    @property
    def level(self) -> float:
        """The miss rate aimed at now, in [-gamma, 1 + gamma]."""
        return self._level

    def interval(self, prediction: float) -> Interval:
        """Return the interval for the next outcome."""
        width = self._half_width()
        return Interval(prediction - width, prediction + width)

    def update(self, prediction: float, outcome: float) -> bool:
        """Take an outcome with what was predicted for it; return whether the interval held it.

        Raises ValueError unless both are finite.
        """
        error = abs(outcome - prediction)
        if not math.isfinite(error):
            raise ValueError(f"Expected finite numbers, was {prediction}, {outcome}.")
        missed = error > self._half_width()
        self._level += self._gamma * (self._alpha - missed)
        self._outcomes += 1
        self._misses += missed
        if len(self._recent) == self._window:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(error)
        insort(self._sorted, error)
        return not missed

    def values(self) -> dict[str, Any]:
        """Return half-width, miss rate so far, the level and the number of outcomes."""
        width = self._half_width()
        return {
            "half_width": width if math.isfinite(width) else None,
            "miss_rate": self._misses / self._outcomes if self._outcomes else None,
            "level": self._level,
            "outcomes": self._outcomes,
        }

    def missing(self) -> dict[str, str]:
        """Say what the values that are None still need."""
        found, values = {}, self.values()
        if values["miss_rate"] is None:
            found["miss_rate"] = "a first outcome"
        if values["half_width"] is None:
            found["half_width"] = self._lack()
        return found

    def _lack(self) -> str:
        if self._level >= 1:
            return "a miss after so many hits"
        needed = math.ceil(1 / self._level) - 1 if self._level > 0 else math.inf
        if needed > self._window:
            return "hits after so many misses"
        return f"{len(self._sorted)} of {needed} outcomes"

    def _half_width(self) -> float:
        """Return the error of rank ceil((n + 1)(1 - level)): inf past the last, -inf below one."""
        count = len(self._sorted)
        rank = math.ceil((count + 1) * (1 - self._level) - 1e-9)
        if rank < 1:
            return -math.inf
        return self._sorted[rank - 1] if rank <= count else math.inf
