"""Static pressure: how much more stands below the mid than above it.

The mean over x in {5, 10, 25} bps of (D_b(x) - D_a(x)) / (D_b(x) + D_a(x)), where D is the depth
within x. In [-1, 1]; above 0 the price is costlier to push down. It compares standing sizes, which
may be withdrawn; depth pressure compares flows.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.depth import DepthProfile, depth_profile
from alphaplus.analysis.distance import Distances
from alphaplus.analysis.measure import Measure
from alphaplus.instruments import Instrument

DISTANCES_BPS: Final = (5.0, 10.0, 25.0)


def static_pressure(bid_depths: Sequence[float], ask_depths: Sequence[float]) -> float | None:
    """Return the mean of (bid - ask) / (bid + ask) over the distances.

    None if nothing rests within one of them.

    >>> static_pressure([3.0, 6.0], [1.0, 2.0])
    0.5
    """
    shares = []
    for bid, ask in zip(bid_depths, ask_depths, strict=True):
        if not bid + ask > 0:
            return None
        shares.append((bid - ask) / (bid + ask))
    return sum(shares) / len(shares) if shares else None


class StaticPressure(Measure):
    """Static pressure of the latest book."""

    name: ClassVar[str] = "static_pressure"

    def __init__(
        self, instrument: Instrument, *, distances_bps: Sequence[float] = DISTANCES_BPS
    ) -> None:
        self._distances = Distances("distances_bps", distances_bps)
        self.reach_bps = self._distances.bps[-1]
        self._profile: DepthProfile | None = None

    def observe(self, book: BookLevels) -> None:
        """Sum up a book."""
        self._profile = depth_profile(book, self._distances)

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._profile = None

    def values(self) -> dict[str, Any]:
        """Return the pressure, and whether a depth in it is a lower bound (`truncated`)."""
        found = self._profile
        if found is None:
            return {"static_pressure": None, "truncated": None}
        bids, asks = found.notionals.tolist()
        return {
            "static_pressure": static_pressure(bids, asks),
            "truncated": bool(found.truncated.any()),
        }

    def missing(self) -> dict[str, str]:
        """Say that there was no book yet, or none with levels near the mid."""
        values = self.values()
        phrase = "a book with both sides"
        if self._profile is not None:
            phrase = f"levels within {self._distances.bps[0]:g} bps of the mid"
        return {name: phrase for name, value in values.items() if value is None}
