"""What a book under test answers to. Runs in the interpreters of the peers too."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.book.inputs import DEPTH, Inputs
from benchmarks.book.tasks import Task

APPLIED: Final = {Task.APPLY: 0, Task.APPLY_EACH: 0, Task.TOP: 1, Task.TOP_20: DEPTH}
"""Tasks that begin with prebuilt messages, and how many levels a side they read after each."""
FROM_BYTES: Final = {Task.BYTES_BOOK: 0, Task.BYTES_TOP_20: DEPTH, Task.BYTES_TOP_20_EACH: DEPTH}
"""Tasks that begin with frames, and how many levels they read."""

Level = tuple[float, float]
"""(price, quantity)"""
Best = tuple[Iterable[Level], Iterable[Level]]
"""Bids and asks, best first."""


@dataclass(frozen=True, slots=True)
class Run:
    """One timed call, ready to go, and how many messages it takes."""

    call: Callable[[], object]
    messages: int


class Contender(ABC):
    """A book in its best documented use."""

    compiles: ClassVar[bool] = False
    """Whether the first call of each task compiles, so must not count."""
    batches: ClassVar[bool] = False
    """Whether it takes many messages in a call; otherwise the tasks with one a call add nothing."""
    uses: ClassVar[str]
    """In one line: which calls of it are timed."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.details = inputs.details

    @abstractmethod
    def prepare(self, task: Task) -> Run | None:
        """Build everything that is not timed; None if the book cannot do the task."""

    @abstractmethod
    def record(self) -> "Record":
        """Apply the timed messages and write down what the book said."""

    @abstractmethod
    def start(self) -> None:
        """Do the least that shows life: one book, its start applied."""

    @abstractmethod
    def new_book(self) -> object:
        """Return a new book that holds the thousand levels a side."""

    def allocated_bytes(self, book: object) -> int | None:
        """Return what a book says it holds; None if it says nothing."""
        del book
        return None

    def run(self, call: Callable[[], object]) -> Run:
        """Return a run over all timed messages."""
        return Run(call, self.details.messages)


class PlainBook(Contender):
    """A book that a Python program feeds and reads message by message."""

    def prepare(self, task: Task) -> Run | None:
        if task in APPLIED:
            return self.run(self.applying(APPLIED[task]))
        if task in FROM_BYTES:
            return self.run(self.decoding(FROM_BYTES[task]))
        return None

    @abstractmethod
    def applying(self, top: int) -> Callable[[], object]:
        """Return the loop over prebuilt messages that reads `top` levels a side after each."""

    @abstractmethod
    def decoding(self, top: int) -> Callable[[], object]:
        """Return the loop over frames that reads `top` levels a side after each."""


class Record:
    """What a book said: the best levels after each message, and all levels at the end.

    `low` and `high` are the prices between which it keeps levels at all.
    """

    def __init__(self, messages: int, *, low: float = 0.0, high: float = float("inf")) -> None:
        import numpy as np

        self.range = (low, high)
        self.best = np.zeros((messages, 2, DEPTH, 2))
        """[message, 0 bids 1 asks, level, 0 price 1 quantity], 0 where there is no level."""
        self.levels: tuple[list[Level], list[Level]] = ([], [])
        self._at = 0

    def add(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Take the best levels after the next message, best first."""
        for side, levels in enumerate((bids, asks)):
            for number, level in enumerate(levels):
                self.best[self._at, side, number] = level
        self._at += 1

    def finish(self, bids: Iterable[Level], asks: Iterable[Level]) -> "Record":
        """Take all levels after the last message, in any order."""
        self.levels = (sorted(bids, reverse=True), sorted(asks))
        return self

    def save(self, path: Path | str) -> None:
        """Write one .npz file."""
        import numpy as np

        bids, asks = (np.array(side, dtype=np.float64).reshape(-1, 2) for side in self.levels)
        np.savez(path, best=self.best, bids=bids, asks=asks, range=np.array(self.range))


def pairs(text: Any) -> list[Level]:
    """Return levels in text as (price, quantity)."""
    return [(float(price), float(quantity)) for price, quantity in text]
