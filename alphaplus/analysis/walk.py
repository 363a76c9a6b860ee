"""One side of a book, walked once for every measure that sums over its levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphaplus.analysis import _kernels as kernels
from alphaplus.analysis._kernels import CONTRACT
from alphaplus.book.l2 import L2Book
from alphaplus.events import Side
from alphaplus.instruments import Instrument


@dataclass(frozen=True, slots=True)
class SideSums:
    """What one walk found, in the order of its plan."""

    quantities: list[float]
    """Of the best k levels, venue units."""
    notionals: list[float]
    """Up to each price limit, quote currency."""
    fills: list[list[float]]
    """Per order: base filled, quote filled, tick of the last level used, levels used."""


class SideWalker:
    """The plan of a walk: how many levels and what notionals, both ascending."""

    def __init__(
        self, instrument: Instrument, counts: Sequence[int], notionals: Sequence[float]
    ) -> None:
        self._contract = np.zeros(1, dtype=CONTRACT)
        self._contract["tick_units"] = instrument.tick_units
        self._contract["scale"] = 10.0**instrument.price_decimals
        self._contract["size"] = instrument.contract_size
        self._contract["inverse"] = instrument.inverse
        self._counts = np.array(counts, dtype=np.int64)
        self._notionals = np.array(notionals, dtype=np.float64)

    def walk(self, book: L2Book, side: Side, limits: Sequence[int]) -> SideSums:
        """Walk a side of the book; `limits` are ticks, from the touch outward.

        Reads the levels up to the last limit, and all of them only where the counts or the
        orders reach further.
        """
        ticks, quantities = book.levels(side, to_tick=limits[-1] if limits else None)
        wanted = np.array(limits, dtype=np.int64)
        out = np.empty(len(self._counts) + len(limits) + 4 * len(self._notionals))
        is_bid = side is Side.BID
        plan = self._contract, self._counts, wanted, self._notionals
        reached = kernels.walk_side(ticks, quantities, is_bid, *plan, out)
        if not reached and len(ticks) < (book.bid_count if is_bid else book.ask_count):
            ticks, quantities = book.levels(side)
            kernels.walk_side(ticks, quantities, is_bid, *plan, out)
        sums = out.tolist()
        first, second = len(self._counts), len(self._counts) + len(limits)
        fills = [sums[at : at + 4] for at in range(second, len(sums), 4)]
        return SideSums(sums[:first], sums[first:second], fills)
