"""Queue imbalance over the best k levels (Gould and Bonart 2016).

    I_k = (B - A) / (B + A)

with B and A the quantities of the best k levels of each side, in [-1, 1]; above 0 the bids are
heavier. k = 1 is the queue imbalance. A side with fewer than k levels counts those it has.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from alphaplus.analysis.book_levels import Floats, Ints
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import whole_number
from alphaplus.analysis.tape import Tape
from alphaplus.book.best_levels import BEST_COUNT, BestLevelsArray
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

COUNTS: Final = (1, 5, 10, 20)


def imbalance(bid_quantity: float, ask_quantity: float) -> float | None:
    """Return (B - A) / (B + A) of the sums over the best k levels, in [-1, 1].

    None if a side is empty.

    >>> imbalance(60.0, 40.0)
    0.2
    """
    if not (bid_quantity > 0 and ask_quantity > 0):
        return None
    return (bid_quantity - ask_quantity) / (bid_quantity + ask_quantity)


def imbalance_of_levels(bid_quantities: Floats, ask_quantities: Floats, k: int) -> float | None:
    """Return the imbalance of the best k of the levels given, best first; None for no levels.

    >>> imbalance_of_levels(np.array([10.0, 20.0, 30.0]), np.array([15.0, 25.0]), 3)
    0.2
    """
    return imbalance(float(bid_quantities[:k].sum()), float(ask_quantities[:k].sum()))


def imbalances(best_levels: BestLevelsArray, counts: Sequence[int] = COUNTS) -> Floats:
    """Return the imbalance after each message, shape (messages, counts).

    nan where a side is empty or the sides cross.
    """
    out = np.empty((len(best_levels), len(counts)))
    _imbalances(best_levels, 0, np.array(counts, dtype=np.int64), out)
    return out


class Imbalance(Measure):
    """The queue imbalance and those of the best k levels, after the latest book message."""

    name: ClassVar[str] = "imbalance"

    def __init__(self, instrument: Instrument, *, counts: Sequence[int] = COUNTS) -> None:
        ordered = sorted({whole_number("counts", k, 1, BEST_COUNT) for k in counts})
        self._counts = np.array(ordered, dtype=np.int64)
        self._names = [f"imbalance_{k}" for k in ordered]
        self._latest = np.full((1, len(ordered)), math.nan)
        self._has_book = False

    def update(self, tape: Tape) -> None:
        """Take the best levels after the last message of a tape."""
        rows = tape.best_levels
        if len(rows):
            _imbalances(rows, len(rows) - 1, self._counts, self._latest)
            self._has_book = True

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._latest.fill(math.nan)
        self._has_book = False

    def values(self) -> dict[str, Any]:
        """Return the imbalances by name, None while a side is empty or the sides cross."""
        latest = self._latest[0].tolist()
        return {
            name: None if math.isnan(value) else value
            for name, value in zip(self._names, latest, strict=True)
        }

    def missing(self) -> dict[str, str]:
        """Say that there was no book yet."""
        return {} if self._has_book else dict.fromkeys(self._names, "a message of the book")


@kernel
def _imbalances(rows: BestLevelsArray, first: int, counts: Ints, out: Floats) -> None:
    """Write the imbalances of the rows from `first` on; the counts may come in any order."""
    for r in range(first, len(rows)):
        row = rows[r]
        is_valid = row.bid_quantity[0] > 0 and row.ask_quantity[0] > 0
        is_valid = is_valid and row.bid_tick[0] < row.ask_tick[0]
        for j in range(len(counts)):
            bid = ask = 0.0
            for i in range(min(counts[j], len(row.bid_quantity))):
                bid += row.bid_quantity[i]
                ask += row.ask_quantity[i]
            out[r - first, j] = (bid - ask) / (bid + ask) if is_valid else np.nan
