"""All measures of one market, fed from one stream.

Measures that follow the stream take every piece of it; those that do nothing else take the
pieces of a batch together (`settle`), as each call costs. Measures that watch the book look at
it at turns on a grid of venue time, so that the turns do not depend on how the stream is cut.
Measures that depend on the last book alone are taken when somebody asks (`refresh`), and at
turns of their own where that is wanted.
"""

from typing import Any, Final

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.liquidity_score import LiquidityScore
from alphaplus.analysis.measure import LOOK_EVERY_MS, Measure
from alphaplus.analysis.registry import MeasureParameters, make_measures
from alphaplus.analysis.splitter import NEVER, EventSplitter
from alphaplus.analysis.tape import DayVolume, Tape
from alphaplus.book.l2 import L2Book
from alphaplus.book.looks import Looks
from alphaplus.instruments import Instrument

ALL_MEASURES: Final = MeasureParameters()


class Analyzer:
    """The measures that the parameters choose; it holds no book.

    `every_ms` of venue time measures of the last book are taken without being asked, None: never.
    Raises ConfigError for a parameter that a measure refuses.
    """

    def __init__(
        self,
        instrument: Instrument,
        parameters: MeasureParameters = ALL_MEASURES,
        *,
        every_ms: float | None = None,
    ) -> None:
        self._measures = make_measures(instrument, parameters)
        every = self._measures.values()
        self._watching = [m for m in every if type(m).look is not Measure.look]
        others = [m for m in every if m not in self._watching]
        self._following = [m for m in others if type(m).update is not Measure.update]
        self._instant = [m for m in others if type(m).observe is not Measure.observe]
        self._told = [m for m in every if type(m).told is not Measure.told]
        self._waiting: list[Tape] = []
        self._waiting_rows = 0
        self._every_ns = 0 if every_ms is None else max(round(every_ms * 1e6), 1)
        self._reach_bps = max((m.reach_bps for m in self._instant), default=0.0)
        self.due = NEVER if every_ms is None else 0
        """Venue time, ns, from which the next whole book is due."""
        self.looks: Looks | None = None
        """What the measures that watch the book want to see of it; None without one."""
        if self._watching:
            self.looks = Looks(
                instrument, **{k: v for m in self._watching for k, v in m.sees.items()}
            )

    @property
    def measures(self) -> dict[str, Measure]:
        """The measures by their names, with all that was taken."""
        self.settle()
        return self._measures

    @property
    def waiting_rows(self) -> int:
        """Rows of tapes that some measures have not taken yet."""
        return self._waiting_rows

    def splitter(self) -> EventSplitter:
        """Return what cuts a stream at the turns of these measures."""
        if self.looks is None:
            return EventSplitter()
        return EventSplitter(self.looks.rows, round(LOOK_EVERY_MS * 1e6))

    def update(self, tape: Tape) -> None:
        """Take the next piece of the stream; its arrays must hold until `settle`.

        `looks` has seen what there was to see in it.
        """
        if self.looks is not None:
            for measure in self._watching:
                measure.look(tape, self.looks)
        self._waiting.append(tape)
        self._waiting_rows += len(tape.quotes) + len(tape.trades) + len(tape.best_levels)

    def settle(self) -> None:
        """Let the measures that only follow the stream take all pieces since the last time.

        One long piece costs them hardly more than a short one, so they need not follow each
        message; whoever reads them does this first.
        """
        if self._waiting:
            tape = Tape.joined(self._waiting)
            self._waiting.clear()
            self._waiting_rows = 0
            for measure in self._following:
                measure.update(tape)

    def tell(self, day: DayVolume) -> None:
        """Let every measure that needs it know what the venue says of the last 24 hours."""
        self.settle()
        for measure in self._told:
            measure.told(day)

    def observe(self, book: L2Book, ts_event: int) -> None:
        """Take the measures of the book as it is, as of `ts_event` (ns)."""
        self.due = (ts_event // self._every_ns + 1) * self._every_ns
        levels = BookLevels.of(book, self._reach_bps)
        if levels is not None:
            for measure in self._instant:
                measure.observe(levels)

    def refresh(self, book: L2Book, levels: BookLevels | None) -> None:
        """Let the measures without memory look at the book as it is now; `levels` are its own."""
        self.settle()
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
        for measure in self._measures.values():
            measure.interrupt()

    def values(self) -> dict[str, dict[str, Any]]:
        """Return what every measure knows, by its name."""
        return {name: measure.values() for name, measure in self.measures.items()}

    def missing(self) -> dict[str, dict[str, str]]:
        """Return what the measures still need, of those that lack something."""
        lacks = {name: measure.missing() for name, measure in self.measures.items()}
        return {name: phrases for name, phrases in lacks.items() if phrases}


def _lacks_a_side(book: L2Book) -> bool:
    top = book.top()
    return book.is_valid and not (top["bid_quantity"] > 0 and top["ask_quantity"] > 0)
