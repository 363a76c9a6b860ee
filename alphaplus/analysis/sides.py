"""One side of a book as arrays, the common input of the measures."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.book.l2 import L2Book, float_prices
from alphaplus.events import Side

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BookSide:
    """The best levels of one side, best first.

    `prices` and `quantities` have the same length; `is_whole` says that no level follows
    the last one. Levels worse than `known_to` were never told, unless they changed since.
    """

    side: Side
    prices: Floats
    quantities: Floats
    is_whole: bool
    known_to: float | None

    def knows(self, price: float) -> bool:
        """Whether every level from the touch to `price` is known."""
        if self.known_to is None:
            return True
        return price >= self.known_to if self.side is Side.BID else price <= self.known_to


def read_side(book: L2Book, side: Side, *, depth: int, to_price: float) -> BookSide:
    """Read at least `depth` levels and at least down (bids) or up (asks) to `to_price`."""
    instrument = book.instrument
    count = book.bid_count if side is Side.BID else book.ask_count
    unit = instrument.tick_units / 10.0**instrument.price_decimals
    # One tick further than the division says, as it may round: measures cut exactly.
    tick = int(to_price / unit) + (-1 if side is Side.BID else 2)
    ticks, quantities = book.levels(side, to_tick=tick)
    if len(ticks) < min(depth, count):
        ticks, quantities = book.levels(side, depth)
    known = book.known_range
    edge = None if known is None else known[0] if side is Side.BID else known[1]
    return BookSide(
        side,
        float_prices(instrument, ticks),
        quantities,
        len(ticks) == count,
        None if edge is None else instrument.price(edge),
    )
