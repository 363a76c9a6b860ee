"""What a forced order would meet at a liquidation price: who else is closed there, what stands.

Q is the position's own quantity and the standing liquidation levels of its side within a band
around its liquidation price. D is what the visible book holds from that price through the same
band beyond it. Beyond the visible book nothing counts: that makes a level look thinner than it
is, never deeper, and `complete` says where it is so.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.parameters import share


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Quantities at prices, ascending: a side of a book, or the standing levels of a side."""

    prices: Floats
    cumulated: Floats
    """Quantity below each price's own, one more than there are prices; base units."""

    @classmethod
    def of(cls, prices: npt.ArrayLike, quantities: npt.ArrayLike) -> "Ladder":
        """Make one from levels in any order; raises RiskError on nan or quantities below 0."""
        p, q = np.asarray(prices, np.float64), np.asarray(quantities, np.float64)
        if p.ndim != 1 or p.shape != q.shape or not (p > 0).all() or not (q >= 0).all():
            raise RiskError(
                "Expected as many prices above 0 as quantities of at least 0, "
                f"was {p.shape} and {q.shape}."
            )
        order = np.argsort(p, kind="stable")
        return cls(prices=p[order], cumulated=np.concatenate(([0.0], np.cumsum(q[order]))))

    def between(self, low: Floats, high: Floats) -> Floats:
        """Return the quantities from `low` to `high`, both inclusive."""
        first = np.searchsorted(self.prices, low, side="left")
        last = np.searchsorted(self.prices, high, side="right")
        return np.asarray(np.maximum(self.cumulated[last] - self.cumulated[first], 0.0))


EMPTY = Ladder.of([], [])


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLiquidity:
    """Quantities in base units, one per position; nan where the liquidation price is."""

    to_close: Floats
    depth: Floats
    complete: npt.NDArray[np.bool_]
    """Whether the visible book reaches through the whole band."""


def level_liquidity(
    side: npt.ArrayLike,
    liquidation_price: npt.ArrayLike,
    quantity: npt.ArrayLike,
    *,
    bids: Ladder,
    asks: Ladder,
    long_levels: Ladder = EMPTY,
    short_levels: Ladder = EMPTY,
    band: float = 0.005,
) -> LevelLiquidity:
    """Return Q and D of positions of one symbol, arrays of equal shape.

    `side` is +1 long or -1 short, `quantity` at least 0 in base units, `band` a fraction of the
    price. A long is sold into the bids, a short bought from the asks.

    >>> book = Ladder.of([99.0, 98.0, 97.0], [1.0, 2.0, 4.0])
    >>> met = level_liquidity([1], [98.0], [5.0], bids=book, asks=EMPTY, band=0.02)
    >>> met.to_close.tolist(), met.depth.tolist(), met.complete.tolist()
    ([5.0], [6.0], [False])
    """
    share("band", band)
    sides, price, own = np.broadcast_arrays(
        *(np.asarray(value, np.float64) for value in (side, liquidation_price, quantity))
    )
    long = sides > 0
    low, high = price * (1.0 - band), price * (1.0 + band)
    standing = np.where(long, long_levels.between(low, high), short_levels.between(low, high))
    depth = np.where(long, bids.between(low, price), asks.between(price, high))
    lowest_bid: Any = bids.prices[0] if len(bids.prices) else np.inf
    highest_ask: Any = asks.prices[-1] if len(asks.prices) else -np.inf
    return LevelLiquidity(
        to_close=np.where(np.isnan(price), np.nan, own + standing),
        depth=np.where(np.isnan(price), np.nan, depth),
        complete=np.where(long, lowest_bid <= low, highest_ask >= high),
    )
