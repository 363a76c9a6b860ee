"""Depth: the notional that rests within a distance of the mid.

A level at distance d = 1e4 |mid - price| / mid basis points counts if d <= x. The cut is made
on integer ticks, so that a level exactly at the distance always counts.
"""

from dataclasses import dataclass
from fractions import Fraction

from alphaplus.events import Side


@dataclass(frozen=True, slots=True)
class Depth:
    """Notional in quote currency; a lower bound if `truncated` (the range is not all known)."""

    notional: float
    truncated: bool


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance from the mid in basis points, as the exact ratio that its decimals say."""

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
