"""Faults that the venue commits on request, one depth frame at a time."""

from collections import Counter, deque
from enum import StrEnum

from alphaplus.errors import ConfigError


class FaultKind(StrEnum):
    """What happens to the next depth frame of a symbol."""

    DROP_FRAME = "drop_frame"
    """It is not sent."""
    DUPLICATE_FRAME = "duplicate_frame"
    """It is sent twice."""
    REORDER_FRAMES = "reorder_frames"
    """It is sent after the one that follows it."""
    TORN_JSON = "torn_json"
    """The first half of its text is sent in its place."""
    CLOSE_SOCKET = "close_socket"
    """Every socket that carries it is closed instead, without a closing handshake."""


class Faults:
    """The faults that wait for a frame, per symbol, and a count of those committed."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[FaultKind]] = {}
        self.committed: Counter[tuple[int, FaultKind]] = Counter()

    def request(self, index: int, kind: str, count: int) -> None:
        """Queue a fault for each of the next `count` depth frames; raises ConfigError."""
        try:
            fault = FaultKind(kind)
        except ValueError:
            known = ", ".join(FaultKind)
            raise ConfigError(f"Expected kind to be one of {known}, was {kind!r}.") from None
        if not 1 <= count <= 10_000:
            raise ConfigError(f"Expected count from 1 to 10000, was {count}.")
        self._waiting.setdefault(index, deque()).extend([fault] * count)

    def next(self, index: int) -> FaultKind | None:
        """Take the fault for the frame that is about to be sent, if there is one."""
        waiting = self._waiting.get(index)
        if not waiting:
            return None
        fault = waiting.popleft()
        self.committed[index, fault] += 1
        return fault

    def state(self, index: int) -> dict[str, int]:
        """Return how often each fault was committed on a symbol."""
        return {str(kind): n for (i, kind), n in sorted(self.committed.items()) if i == index}
