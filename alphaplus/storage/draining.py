"""How the last rows go out: on while that makes progress, up to a limit, and never in silence.

What is left at the end is safe in the spool and is written at the next start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ROWS_LEFT: Final = 3
"""Exit code of a program that ended as it should, with rows in the spool for its next start."""


class Ending(StrEnum):
    """Why a drain is over."""

    DONE = "every row is in the database"
    STALLED = "the database takes none"
    LIMIT = "the time for it is over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a drain stands."""

    rows_left: int
    rows_per_s: float
    """Since its beginning."""
    eta_s: float | None
    """Seconds to its end at this speed; None: no row has been written yet."""

    def __str__(self) -> str:
        eta = "" if self.eta_s is None else f", about {self.eta_s:,.0f} s"
        return f"{self.rows_left:,} rows left, {self.rows_per_s:,.0f} rows/s{eta}"


def together(parts: list[Progress]) -> Progress:
    """Return where several drains at the same time stand: the slowest one says when."""
    etas = [part.eta_s for part in parts if part.eta_s is not None]
    return Progress(
        rows_left=sum(part.rows_left for part in parts),
        rows_per_s=sum(part.rows_per_s for part in parts),
        eta_s=max(etas) if parts and len(etas) == len(parts) else None,
    )


class Drain:
    """One drain, told now and then how many rows are left; times are seconds of any clock.

    It is over once nothing is left, when no row was written for `stalled_s`, and after
    `limit_s`.
    """

    def __init__(self, rows_left: int, now_s: float, *, stalled_s: float, limit_s: float) -> None:
        self._begun = self._moved = self._now = now_s
        self._first = self._left = rows_left
        self._stalled_s = stalled_s
        self._limit_s = limit_s

    def observe(self, rows_left: int, now_s: float) -> None:
        """Take note of how many rows are left."""
        if rows_left < self._left:
            self._moved = now_s
        self._left, self._now = rows_left, now_s

    @property
    def ending(self) -> Ending | None:
        """Why it is over; None while it is to go on."""
        if not self._left:
            return Ending.DONE
        if self._now - self._begun >= self._limit_s:
            return Ending.LIMIT
        return Ending.STALLED if self._now - self._moved >= self._stalled_s else None

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        seconds, written = self._now - self._begun, self._first - self._left
        speed = written / seconds if seconds > 0 and written > 0 else 0.0
        if not self._left:
            return Progress(rows_left=0, rows_per_s=speed, eta_s=0.0)
        return Progress(
            rows_left=self._left, rows_per_s=speed, eta_s=self._left / speed if speed else None
        )


def last_words(ending: Ending, rows_left: int) -> str:
    """Say in one sentence how it ended."""
    if ending is Ending.DONE:
        return ending.value
    return (
        f"{rows_left} rows remain in the spool on disk, as {ending}; they will be written at the "
        "next start"
    )


Tell = Callable[[Progress], None]
