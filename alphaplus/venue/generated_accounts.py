"""Leveraged accounts of a generated symbol, each with the price at which it is liquidated."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

ACCOUNTS: Final = 60
MEAN_DISTANCE: Final = 0.003
"""Mean distance of a liquidation price from the mark price, as a fraction of it."""
MIN_DISTANCE: Final = 0.0004


@dataclass(frozen=True, slots=True)
class Liquidation:
    """A position that the venue takes over: +1 a long, -1 a short; size in base."""

    side: int
    price: float
    quantity: float


class Accounts:
    """Positions at 10 to 125 times leverage that are about to run out of margin.

    Only the end of a position matters to the market, so an account is its side, size and
    liquidation price; one that is liquidated is followed by a new one.
    """

    def __init__(self, mark_price: float, median_notional: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._median_notional = median_notional
        self._side: npt.NDArray[np.int64] = np.where(rng.random(ACCOUNTS) < 0.5, 1, -1)
        self._price: npt.NDArray[np.float64] = np.empty(ACCOUNTS)
        self._quantity: npt.NDArray[np.float64] = np.empty(ACCOUNTS)
        self._open(np.arange(ACCOUNTS), mark_price)

    @property
    def open_interest(self) -> float:
        """Size of all positions, base."""
        return float(self._quantity.sum())

    def liquidate(self, mark_price: float) -> list[Liquidation]:
        """Return the positions whose liquidation price the mark price has reached."""
        hit = np.flatnonzero((self._price - mark_price) * self._side >= 0)
        if not hit.size:
            return []
        found = [
            Liquidation(int(self._side[i]), float(self._price[i]), float(self._quantity[i]))
            for i in hit
        ]
        self._open(hit, mark_price)
        return found

    def _open(self, which: npt.NDArray[np.int64], mark_price: float) -> None:
        count = which.size
        distance = MIN_DISTANCE + self._rng.exponential(MEAN_DISTANCE, count)
        notional = self._median_notional * self._rng.lognormal(0.0, 1.2, count)
        self._side[which] = np.where(self._rng.random(count) < 0.5, 1, -1)
        self._price[which] = mark_price * (1 - self._side[which] * np.minimum(distance, 0.5))
        self._quantity[which] = notional / mark_price
