"""All measures of one market, fed from one stream.

Measures that follow the stream take every piece of it. Measures that look at whole books do
so at turns on a grid of venue time, so that the turns do not depend on how the stream is cut;
those of them that keep no memory may also look when somebody asks (`refresh`). Measures that do
nothing but follow take the pieces of a batch together (`settle`), as each call costs.
"""

from dataclasses import dataclass
from typing import Any, Final

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.liquidity_score import LiquidityScore
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.registry import MeasureParameters, make_measures
from alphaplus.analysis.tape import DayVolume, Tape
from alphaplus.book.l2 import L2Book
from alphaplus.instruments import Instrument

NEVER: Final = 2**63 - 1
ALL_MEASURES: Final = MeasureParameters()


@dataclass(slots=True)
class _Turn:
    """Measures that look at whole books at the same times, and when they do next, ns."""

    measures: list[Measure]
    every_ns: int
    due: int = 0


class Analyzer:
    """The measures that the parameters choose; it holds no book.

    `eager` lets measures without memory take every turn too, not only when they are read.
    Raises ConfigError for a parameter that a measure refuses.
    """

    def __init__(
        self,
        instrument: Instrument,
        parameters: MeasureParameters = ALL_MEASURES,
        *,
        eager: bool = False,
    ) -> None:
        self.measures = make_measures(instrument, parameters)
        every = self.measures.values()
        streaming = [m for m in every if type(m).update is not Measure.update]
        looking = [m for m in every if type(m).observe is not Measure.observe]
        self._following = [m for m in streaming if m not in looking]
        self._preparing = [m for m in streaming if m in looking]
        self._waiting: list[Tape] = []
        self._told = [m for m in every if type(m).told is not Measure.told]
        self._instant = [m for m in looking if not m.remembers]
        regular = [m for m in looking if m.remembers or eager]
        self._reach_bps = max((m.reach_bps for m in regular), default=0.0)
        self._turns = [
            _Turn([m for m in regular if m.every_ms == every_ms], round(every_ms * 1e6))
            for every_ms in sorted({m.every_ms for m in regular})
        ]
        self.due = 0 if self._turns else NEVER
        """Venue time, ns, from which the next book is due to be looked at."""

    def update(self, tape: Tape) -> None:
        """Take the next piece of the stream; its arrays must hold until `settle`.

        Measures that look at books too take it at once, as it comes before their next look.
        """
        for measure in self._preparing:
            measure.update(tape)
        self._waiting.append(tape)

    def settle(self) -> None:
        """Let the measures that only follow the stream take all pieces since the last time."""
        if self._waiting:
            tape = Tape.joined(self._waiting)
            self._waiting.clear()
            for measure in self._following:
                measure.update(tape)

    def tell(self, day: DayVolume) -> None:
        """Let every measure that needs it know what the venue says of the last 24 hours."""
        self.settle()
        for measure in self._told:
            measure.told(day)

    def observe(self, book: L2Book, ts_event: int) -> None:
        """Let every measure whose turn it is look at the book, as of `ts_event` (ns)."""
        levels = BookLevels.of(book, self._reach_bps)
        self.due = NEVER
        for turn in self._turns:
            if ts_event >= turn.due:
                turn.due = (ts_event // turn.every_ns + 1) * turn.every_ns
                if levels is not None:
                    for measure in turn.measures:
                        measure.observe(levels)
            self.due = min(self.due, turn.due)

    def refresh(self, book: L2Book) -> None:
        """Let the measures without memory look at the book as it is now."""
        levels = BookLevels.of(book)
        for measure in self._instant:
            if levels is not None:
                measure.observe(levels)
            elif isinstance(measure, LiquidityScore) and _lacks_a_side(book):
                measure.observe_one_sided()
            else:
                measure.interrupt()

    def interrupt(self) -> None:
        """Tell every measure that the stream broke off."""
        self.settle()
        for measure in self.measures.values():
            measure.interrupt()

    def values(self) -> dict[str, dict[str, Any]]:
        """Return what every measure knows, by its name."""
        self.settle()
        return {name: measure.values() for name, measure in self.measures.items()}

    def missing(self) -> dict[str, dict[str, str]]:
        """Return what the measures still need, of those that lack something."""
        self.settle()
        lacks = {name: measure.missing() for name, measure in self.measures.items()}
        return {name: phrases for name, phrases in lacks.items() if phrases}


def _lacks_a_side(book: L2Book) -> bool:
    top = book.top()
    return book.is_valid and not (top["bid_quantity"] > 0 and top["ask_quantity"] > 0)
