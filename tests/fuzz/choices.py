"""Bytes as a source of choices, so that any fuzzer can drive the same checks."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Turn bytes into numbers and picks; when they are used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that are not used yet."""
        return len(self._data) - self._at

    def integer(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        size = ((high - low).bit_length() + 7) // 8
        taken = self._data[self._at : self._at + size]
        self._at = min(self._at + size, len(self._data))
        return low + int.from_bytes(taken, "little") % (high - low + 1)

    def pick(self, things: Sequence[T]) -> T:
        """Return one of some things."""
        return things[self.integer(0, len(things) - 1)]

    def bytes(self, size: int) -> bytes:
        """Return the next bytes, fewer where they are used up."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken
