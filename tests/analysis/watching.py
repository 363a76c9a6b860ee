"""Measures that watch a book, shown one planted book or one piece of the stream at a time."""

from typing import Any

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.resiliency import Resiliency
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.walls import Walls
from alphaplus.book import L2Book
from alphaplus.book.looks import Looks
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from tests.book.events import message, snapshot


def see(looks: Looks, levels: BookLevels) -> Looks:
    """Look once at a book with these levels that is known as far as they say."""
    book = L2Book(levels.instrument)
    sides = (Side.BID, levels.bids), (Side.ASK, levels.asks)
    rows = [
        (side, int(tick), float(quantity))
        for side, part in sides
        for tick, quantity in zip(part.ticks, part.quantities, strict=True)
    ]
    book.apply(snapshot(rows, 1, levels.ts_event))
    book._state["known"][0] = ~levels.bids.known_tick, levels.asks.known_tick
    looks.count = 1
    looks.rows[0]["row"], looks.rows[0]["ts_event"], looks.rows[0]["trades"] = 0, levels.ts_event, 0
    book.apply(message(rows[:1], 2, levels.ts_event), None, looks)
    return looks


class _Watched(Measure):
    """A measure that sees what it is shown."""

    def __init__(self, instrument: Instrument, **parameters: Any) -> None:
        super().__init__(instrument, **parameters)
        self._looks = Looks(instrument, **self.sees)

    def observe(self, book: BookLevels) -> None:
        """Look at a book."""
        self.look(Tape.of(), see(self._looks, book))

    def update(self, tape: Tape) -> None:
        """Take a piece of the stream without a look in it."""
        self._looks.count = 0
        self.look(tape, self._looks)


class WatchedWalls(_Watched, Walls):
    """Walls that see what they are shown."""


class WatchedResiliency(_Watched, Resiliency):
    """Resiliency that sees what it is shown."""
