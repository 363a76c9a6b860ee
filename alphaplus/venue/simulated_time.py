"""A generated market that stamps what it says with its own time instead of the wall's.

At sixty times life's speed a day of market time then is a day in every message, window and
partition that follows from it. The market may begin in the past, so that its day ends today.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.venue.candles import CandleArray
from alphaplus.venue.generated_source import STEP_NS, GeneratedSource
from alphaplus.venue.protocol import Ticker
from alphaplus.venue.source import Publish

MAX_ROUNDS: Final = 50
"""Moments played before the event loop gets its turn; what is left is late, and none is skipped."""


class SimulatedTimeSource(GeneratedSource):
    """Stamps are `begins_ns` (since 1970 UTC) plus market time; the wall's are not looked at."""

    def __init__(self, symbol_count: int, seed: int, begins_ns: int) -> None:
        super().__init__(symbol_count, seed)
        self._begins_ns = begins_ns
        self._now_ns = begins_ns

    def advance(self, market_ns: int, wall_ns: int, publish: Publish) -> int:
        """Play what is due moment by moment, each stamped with its own time."""
        for _ in range(MAX_ROUNDS):
            due_ns = min((due for due in self._due_ns if due is not None), default=None)
            if due_ns is None:
                return market_ns + STEP_NS
            if due_ns > market_ns:
                return due_ns
            self._now_ns = self._begins_ns + due_ns
            super().advance(due_ns, self._now_ns, publish)
        return market_ns

    def snapshot(self, index: int, limit: int, wall_ns: int, held: bool) -> bytes:
        """Return the REST book of this moment."""
        return super().snapshot(index, limit, self._now_ns, held)

    def ticker(self, index: int, wall_ns: int) -> Ticker:
        """Return prices since the symbol began, and volumes of 24 hours."""
        return super().ticker(index, self._now_ns)

    def candles(
        self, index: int, *, mark: bool, step_ms: int, start_ms: int, end_ms: int, wall_ns: int
    ) -> CandleArray:
        """Return candles from before the market began, and of what it has done since."""
        return super().candles(
            index,
            mark=mark,
            step_ms=step_ms,
            start_ms=start_ms,
            end_ms=end_ms,
            wall_ns=self._now_ns,
        )

    def open_interest_at(
        self, index: int, times_ms: npt.NDArray[np.int64], wall_ns: int
    ) -> npt.NDArray[np.float64]:
        """Return the open interest at times, nan where it is not known."""
        return super().open_interest_at(index, times_ms, self._now_ns)

    def state(self, index: int) -> dict[str, Any]:
        """Return counts of what was sent, and the time that the market has."""
        return {**super().state(index), "time_ms": self._now_ns // 1_000_000}
