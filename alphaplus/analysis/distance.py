"""Distances from the mid in basis points, cut on integer ticks.

A level at d = 1e4 |price - mid| / mid is within x basis points if d <= x. Levels often lie
exactly at a distance, where floats would decide by rounding: the last tick within a distance
is computed from the decimals that the distance was written with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.streaming import all_above_zero
from alphaplus.events import Side
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Reference = Literal["mid", "best"]
"""What distances are measured from: the mid, or each side's own best price."""

EDGE_BPS: Final = 1e-9
"""Slack of a distance that was computed from float prices, whose rounding is 1e-11 bps."""
_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance in basis points, as the exact ratio that its decimals say."""

    bps: float
    numerator: int
    denominator: int

    @classmethod
    def of(cls, bps: float) -> "Distance":
        """Make a distance of, for example, 2.5 basis points."""
        exact = Fraction(repr(float(bps))) / 10_000
        return cls(float(bps), exact.numerator, exact.denominator)

    def limit(self, side: Side, twice_mid: int) -> int:
        """Return the last tick within the distance; `twice_mid` is best bid + best ask.

        >>> Distance.of(1.0).limit(Side.ASK, 20_000), Distance.of(1.0).limit(Side.BID, 20_000)
        (10001, 9999)
        """
        whole = 2 * self.denominator
        if side is Side.ASK:
            return twice_mid * (self.denominator + self.numerator) // whole
        return -(-twice_mid * (self.denominator - self.numerator) // whole)


class Distances:
    """Several distances in ascending order, whose limits are found in one call.

    Those of the last touch are remembered: most books are looked at before it moves.
    Raises ConfigError, naming the parameter `name`, unless all are above 0 and finite.
    """

    def __init__(self, name: str, bps: Sequence[float]) -> None:
        self.bps = all_above_zero(name, bps)
        self._exact = [Distance.of(value) for value in self.bps]
        largest = max(2 * (item.numerator + item.denominator) for item in self._exact)
        self._highest = _INT64_MAX // largest  # of twice a price, so that int64 suffices
        rows = [(item.numerator, item.denominator) for item in self._exact]
        self._ratios = np.array(rows if self._highest > 0 else [], dtype=np.int64)
        self._touch: tuple[int, int, Reference] | None = None
        self._limits = np.empty((2, len(self.bps)), dtype=np.int64)

    def limits(self, bid_tick: int, ask_tick: int, reference: Reference = "mid") -> Ints:
        """Return the last ticks within each distance, shape (2, distances): bids, asks."""
        touch = (bid_tick, ask_tick, reference)
        if touch != self._touch:
            self._limits = self._find(bid_tick, ask_tick, reference)
            self._touch = touch
        return self._limits

    def _find(self, bid_tick: int, ask_tick: int, reference: Reference) -> Ints:
        is_mid = reference == "mid"
        twice_bid = bid_tick + (ask_tick if is_mid else bid_tick)
        twice_ask = ask_tick + (bid_tick if is_mid else ask_tick)
        limits = np.empty((2, len(self.bps)), dtype=np.int64)
        if 0 <= twice_bid and twice_ask < self._highest:
            _limits(self._ratios, twice_bid, twice_ask, limits)
        else:
            sides = ((Side.BID, twice_bid), (Side.ASK, twice_ask))
            for row, (side, twice) in zip(limits, sides, strict=True):
                found = (item.limit(side, twice) for item in self._exact)
                row[:] = [min(max(limit, -_INT64_MAX), _INT64_MAX) for limit in found]
        return limits


def distances_bps(prices: Floats, reference: float) -> Floats:
    """Return how far prices are from a reference price, in basis points, >= 0."""
    distances: Floats = 1e4 * np.abs(prices - reference) / reference
    return distances


@kernel
def _limits(ratios: Ints, twice_bid: int, twice_ask: int, limits: Ints) -> None:
    """Write the last ticks within each distance; all products fit int64 (floor division)."""
    for i in range(len(ratios)):
        numerator, denominator = ratios[i]
        limits[0, i] = -(-twice_bid * (denominator - numerator) // (2 * denominator))
        limits[1, i] = twice_ask * (denominator + numerator) // (2 * denominator)
