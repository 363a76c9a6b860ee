"""How far the database is behind: the age of the oldest row that it does not have yet."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

STEP_S: Final = 1.0
"""Rows accepted within this time count as accepted at its beginning: an outage of a day is
then 86,400 notes."""


@dataclass(slots=True)
class Lag:
    """Totals of rows accepted and settled, with the times of the former (seconds, any clock)."""

    _notes: deque[tuple[float, int]] = field(default_factory=deque)
    """When the first row of a step was accepted, and the total after its last one."""
    _settled: int = 0

    def accept(self, total: int, now_s: float) -> None:
        """Note that so many rows were accepted by now, all in all."""
        if self._notes and now_s - self._notes[-1][0] < STEP_S:
            self._notes[-1] = (self._notes[-1][0], total)
        else:
            self._notes.append((now_s, total))

    def settle(self, total: int) -> None:
        """Note that so many rows are settled, all in all."""
        self._settled = total
        while self._notes and self._notes[0][1] <= total:
            self._notes.popleft()

    def behind_s(self, now_s: float) -> float:
        """Return how long the oldest row waits, 0 if none does; at most a step too much."""
        return max(now_s - self._notes[0][0], 0.0) if self._notes else 0.0


@dataclass(slots=True)
class Alarm:
    """On from `above_s` behind, off again below half of it: one message each time."""

    above_s: float
    is_on: bool = False

    def turns(self, behind_s: float) -> bool:
        """Say whether it went on or off just now."""
        before = self.is_on
        self.is_on = behind_s >= (self.above_s / 2 if before else self.above_s)
        return self.is_on != before
