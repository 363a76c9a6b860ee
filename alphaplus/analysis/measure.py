"""What every measure offers, whatever it measures."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.tape import DayVolume, Tape
from alphaplus.book.looks import Looks

LOOK_EVERY_MS: Final = 100.0
"""Venue time between two looks of a measure that watches the book."""


class Measure(ABC):
    """One measure, or a family that shares its state. It does no I/O and reads no clock.

    A measure overrides `update` if it follows the stream, `observe` if it depends on the last
    book alone, `look` if it watches how the book goes on, `told` if it needs the volume of 24
    hours, and `interrupt` if it compares what comes with what was.
    """

    name: ClassVar[str]
    """Key of its values in an answer."""
    sees: Mapping[str, float] = {}
    """What a measure that watches the book wants to see: parameters of `Looks`."""
    reach_bps: float = math.inf
    """Levels farther from the mid may be missing in the books that it looks at."""

    def update(self, tape: Tape) -> None:  # noqa: B027 - not every measure follows the stream
        """Take the next piece of the stream; how it is cut must not matter."""

    def observe(self, book: BookLevels) -> None:  # noqa: B027 - nor depends on a book
        """Look at a book that is valid, has both sides and is not crossed."""

    def look(self, tape: Tape, looks: Looks) -> None:  # noqa: B027 - nor watches it
        """Take the next piece of the stream, and the book at each of its turns, in their order.

        A turn is the first message of the book in each `LOOK_EVERY_MS` of venue time.
        """

    def told(self, day: DayVolume) -> None:  # noqa: B027 - nor needs the volume of a day
        """Take what the venue says of the last 24 hours; it holds for what follows."""

    def interrupt(self) -> None:  # noqa: B027 - nor compares with what was
        """Note that the stream broke off: what follows does not continue what was."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Return what is known as plain values (ready for JSON), None for what is not."""

    def missing(self) -> dict[str, str]:
        """Say for each value that is None for lack of data what it still needs.

        One phrase each, such as `12 of 50 volume buckets`.
        """
        return {}
