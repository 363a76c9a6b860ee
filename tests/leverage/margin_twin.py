"""A margin engine in plain Python, slow and obvious: the oracle of the compiled one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Leg:
    """A position with its tiers as (floor, cap, rate, amount)."""

    side: int
    quantity: float
    entry: float
    mark: float
    tiers: tuple[tuple[float, float, float, float], ...]
    inverse: bool = False
    close_fee: float = 0.0

    def notional(self, price: float) -> float:
        return self.quantity / price if self.inverse else self.quantity * price

    def profit(self, price: float) -> float:
        if self.inverse:
            return self.side * self.quantity * (1 / self.entry - 1 / price)
        return self.side * self.quantity * (price - self.entry)

    def maintenance(self, price: float) -> float:
        notional = self.notional(price)
        tier = next((t for t in self.tiers if notional <= t[1]), self.tiers[-1])
        return notional * (tier[2] + self.close_fee) - tier[3]


def surplus(wallet: float, legs: Sequence[Leg], prices: Sequence[float]) -> float:
    """Return equity - MM at these prices."""
    return math.fsum(
        [wallet]
        + [leg.profit(price) for leg, price in zip(legs, prices, strict=True)]
        + [-leg.maintenance(price) for leg, price in zip(legs, prices, strict=True)]
    )


def liquidation_price(wallet: float, legs: Sequence[Leg], moving: Sequence[int]) -> float | None:
    """Return where moving legs alone (all of one side) meet MM, by bisection over all prices."""

    def at(price: float) -> float:
        prices = [price if i in moving else leg.mark for i, leg in enumerate(legs)]
        return surplus(wallet, legs, prices)

    mark = legs[moving[0]].mark
    rising = legs[moving[0]].side > 0
    low, high = mark * 1e-9, mark * 1e9
    if (at(low) > 0) == (at(high) > 0):
        return None
    return bisect(at, low, high, rising=rising)


def bisect(at: Callable[[float], float], low: float, high: float, *, rising: bool) -> float:
    """Return the root of a monotone function between two positive prices."""
    for _ in range(300):
        middle = math.sqrt(low * high)
        if middle in {low, high}:
            break
        if (at(middle) > 0) == rising:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)
