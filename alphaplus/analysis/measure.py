"""What every measure offers, whatever it measures."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.tape import DayVolume, Tape


class Measure(ABC):
    """One measure, or a family that shares its state. It does no I/O and reads no clock.

    A measure overrides `update` if it follows the stream, `observe` if it looks at whole
    books, `told` if it needs the volume of 24 hours, and `interrupt` if it compares what comes
    with what was.
    """

    name: ClassVar[str]
    """Key of its values in an answer."""
    every_ms: ClassVar[float] = 100.0
    """Venue time between two `observe`."""
    reach_bps: float = math.inf
    """Levels farther from the mid may be missing in the books that it looks at."""
    remembers: ClassVar[bool] = True
    """False if its values depend on the last book that it looked at and on what it was told."""

    def update(self, tape: Tape) -> None:  # noqa: B027 - not every measure follows the stream
        """Take the next piece of the stream; how it is cut must not matter."""

    def observe(self, book: BookLevels) -> None:  # noqa: B027 - nor looks at whole books
        """Look at a book that is valid, has both sides and is not crossed."""

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
