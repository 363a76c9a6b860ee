"""The worst and the best days that all markets have been through together, to be replayed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.risk.figures import DAY_NS
from alphaplus.risk.returns import ReturnSeries

Floats = npt.NDArray[np.float64]

DAYS: Final = 3
"""So many of the worst days, and as many of the best, which are the worst for shorts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedDays:
    """Whole UTC days; `returns` are simple returns (days, markets) in the order of `markets`."""

    names: tuple[str, ...]
    """`2026-11-03`."""
    markets: tuple[str, ...]
    returns: Floats

    def of(self, markets: tuple[str, ...]) -> Floats:
        """Return the returns (days, markets) of some of the markets, in their order."""
        return self.returns[:, [self.markets.index(name) for name in markets]]


def replayed_days(series: Mapping[str, ReturnSeries]) -> ReplayedDays | None:
    """Return the days of the extreme mean returns over all markets; None without a whole day.

    The series are log returns on one grid of times. A day counts only if every return of every
    market is known in it.
    """
    first = next(iter(series.values()), None)
    if first is None or DAY_NS % first.step_ns:
        return None
    values = np.stack([item.values for item in series.values()], axis=1)
    days, begins, counts = np.unique(first.times // DAY_NS, return_index=True, return_counts=True)
    sums = np.add.reduceat(values, begins, axis=0)  # nan where one of the day is
    whole = (counts == DAY_NS // first.step_ns) & np.isfinite(sums).all(axis=1)
    if not whole.any():
        return None
    days, returns = days[whole], np.expm1(sums[whole])
    order = np.argsort(returns.mean(axis=1), kind="stable")
    chosen = np.unique(np.concatenate((order[:DAYS], order[-DAYS:])))
    names = [datetime.fromtimestamp(day * DAY_NS // 10**9, UTC) for day in days[chosen].tolist()]
    return ReplayedDays(
        names=tuple(f"{name:%Y-%m-%d}" for name in names),
        markets=tuple(series),
        returns=returns[chosen],
    )
