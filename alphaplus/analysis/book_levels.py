"""All levels of a book at one moment, with prices and notionals: what heavier measures take."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from alphaplus.book.l2 import L2Book
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideLevels:
    """The levels of one side, best first; all arrays have one entry per level."""

    ticks: Ints
    prices: Floats
    """In quote currency."""
    quantities: Floats
    """In the venue's own unit."""
    notionals: Floats
    """In quote currency: price x quantity x contract size, or contracts x contract value."""
    known_tick: int
    """The worst price that the snapshot showed: beyond it levels may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevels:
    """Both sides of a book that is valid, has both sides and is not crossed."""

    instrument: Instrument
    ts_event: int
    ts_recv: int
    sequence: int
    bids: SideLevels
    asks: SideLevels

    @classmethod
    def of(cls, book: L2Book) -> Self | None:
        """Read a book; None if it is not valid, lacks a side, or is crossed or locked."""
        known = book.known_range
        top = book.top()
        has_both = top["bid_quantity"] > 0 and top["ask_quantity"] > 0
        if known is None or not has_both or top["crossed"]:
            return None
        return cls(
            instrument=book.instrument,
            ts_event=int(top["ts_event"]),
            ts_recv=int(top["ts_recv"]),
            sequence=int(top["sequence"]),
            bids=side_levels(book.instrument, *book.levels(Side.BID), known[0]),
            asks=side_levels(book.instrument, *book.levels(Side.ASK), known[1]),
        )

    @property
    def mid(self) -> float:
        """The mean of best bid and best ask, in quote currency."""
        instrument = self.instrument
        twice = int(self.bids.ticks[0]) + int(self.asks.ticks[0])
        return twice * instrument.tick_units / 10.0**instrument.price_decimals / 2


def side_levels(
    instrument: Instrument, ticks: Ints, quantities: Floats, known_tick: int
) -> SideLevels:
    """Add prices and notionals to the levels of one side, best first."""
    prices = np.empty(len(ticks))
    notionals = np.empty(len(ticks))
    _fill(
        ticks,
        quantities,
        float(instrument.tick_units),
        10.0**instrument.price_decimals,
        instrument.contract_size,
        instrument.inverse,
        prices,
        notionals,
    )
    return SideLevels(
        ticks=ticks,
        prices=prices,
        quantities=quantities,
        notionals=notionals,
        known_tick=known_tick,
    )


@kernel
def _fill(
    ticks: Ints,
    quantities: Floats,
    units: float,
    scale: float,
    size: float,
    inverse: bool,
    prices: Floats,
    notionals: Floats,
) -> None:
    for i in range(len(ticks)):
        price = ticks[i] * units / scale
        prices[i] = price
        base = quantities[i] * size
        notionals[i] = base if inverse else base * price
