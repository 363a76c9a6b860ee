"""What a receiver of rows knows of one sender: pure bookkeeping, without sockets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """What to do with a batch that arrived."""

    NEW = "hand it out"
    PENDING = "it was handed out and is not durable yet"
    DURABLE = "it is durable, acknowledge it again"


@dataclass(slots=True)
class Ledger:
    """Which numbers of one sender were handed out, and which of them are durable."""

    floor: int = 0
    """Every number up to here is durable."""
    pending: dict[int, int] = field(default_factory=dict)
    """Rows per number handed out and not durable."""
    durable: set[int] = field(default_factory=set)
    """Durable numbers above the floor."""

    def accept(self, number: int, oldest: int, rows: int) -> Verdict:
        """Judge a batch; `oldest` is the sender's oldest number without acknowledgement."""
        if oldest - 1 > self.floor:  # an earlier receiver acknowledged these
            self.floor = oldest - 1
            self.pending = {n: rows for n, rows in self.pending.items() if n > self.floor}
            self.durable = {n for n in self.durable if n > self.floor}
            self._climb()
        if number <= self.floor or number in self.durable:
            return Verdict.DURABLE
        if number in self.pending:
            return Verdict.PENDING
        self.pending[number] = rows
        return Verdict.NEW

    def settle(self, numbers: Iterable[int]) -> int:
        """Note that these numbers are durable; return how many rows became so."""
        rows = 0
        for number in numbers:
            rows += self.pending.pop(number, 0)
            if number > self.floor:
                self.durable.add(number)
        self._climb()
        return rows

    def _climb(self) -> None:
        while self.floor + 1 in self.durable:
            self.floor += 1
            self.durable.remove(self.floor)
