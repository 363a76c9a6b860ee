"""Depth: the notional that rests within a distance of the mid, per side.

Cumulative: depth at 10 bps contains depth at 5 bps. With `reference="best"` the distance is
measured from each side's own best price instead. Beyond the range that the venue's snapshot
showed, depth is a lower bound: `truncated`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.distance import (
    EDGE_BPS,
    Distance,
    Distances,
    Floats,
    Ints,
    Reference,
    distances_bps,
)
from alphaplus.analysis.labels import label
from alphaplus.analysis.measure import Measure
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

__all__ = ["Depth", "DepthBands", "DepthProfile", "Distance", "depth_profile", "depth_within"]

DISTANCES_BPS: Final = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True)
class Depth:
    """Notional in quote currency; a lower bound if `truncated` (the range is not all known)."""

    notional: float
    truncated: bool


class DepthProfile(NamedTuple):
    """Depth of both sides at several distances, ascending.

    All arrays have shape (2, distances): bids, then asks.
    """

    distances_bps: tuple[float, ...]
    notionals: Floats
    limits: Ints
    """The last ticks within each distance."""
    known: tuple[int, int]
    """The last ticks up to which the sides are known."""

    @property
    def truncated(self) -> npt.NDArray[np.bool_]:
        """Whether a depth is a lower bound, as its distance is beyond what is known."""
        (bids, asks), (known_bid, known_ask) = self.limits, self.known
        return np.array((bids < known_bid, asks > known_ask))

    @property
    def bid_notionals(self) -> Floats:
        """Depth of the bids by distance."""
        row: Floats = self.notionals[0]
        return row

    @property
    def ask_notionals(self) -> Floats:
        """Depth of the asks by distance."""
        row: Floats = self.notionals[1]
        return row

    def bid(self, at: int) -> Depth:
        """Return the depth of the bids at the distance number `at`."""
        return Depth(float(self.notionals[0, at]), bool(self.truncated[0, at]))

    def ask(self, at: int) -> Depth:
        """Return the depth of the asks at the distance number `at`."""
        return Depth(float(self.notionals[1, at]), bool(self.truncated[1, at]))

    def as_dict(self) -> dict[str, dict[str, float | bool]]:
        """Return plain values by distance: `bid`, `ask`, and whether each is truncated."""
        columns = *self.notionals.tolist(), *self.truncated.tolist()
        names = ("bid", "ask", "bid_truncated", "ask_truncated")
        return {
            label(bps): dict(zip(names, row, strict=True))
            for bps, row in zip(self.distances_bps, zip(*columns, strict=True), strict=True)
        }


def depth_within(
    prices: Floats, amounts: Floats, reference: float, bps: float | Sequence[float]
) -> Floats | float:
    """Return the sum of the amounts within `bps` of a reference price, for each of them.

    Prices in any order; amounts are notionals, or quantities for a depth in those.

    >>> depth_within(np.array([99.0, 98.0]), np.array([5.0, 7.0]), 100.0, [100.0, 200.0])
    array([ 5., 12.])
    """
    distances = distances_bps(prices, reference)
    edges = np.asarray(bps, dtype=np.float64) + EDGE_BPS
    inside = distances <= edges[..., np.newaxis]
    sums: Floats | float = np.where(inside, amounts, 0.0).sum(axis=-1)
    return sums


def depth_profile(
    book: BookLevels, distances: Distances, reference: Reference = "mid"
) -> DepthProfile:
    """Return the depth of a book at several distances."""
    limits = distances.limits(book.bid_tick, book.ask_tick, reference)
    notionals = np.empty(limits.shape)
    bids, asks = book.bids, book.asks
    _depths(bids.ticks, bids.columns, asks.ticks, asks.columns, limits, notionals)
    return DepthProfile(distances.bps, notionals, limits, (bids.known_tick, asks.known_tick))


class DepthBands(Measure):
    """Depth within several distances of the mid, or of each side's own best price."""

    name: ClassVar[str] = "depth"

    def __init__(
        self,
        instrument: Instrument,
        *,
        distances_bps: Sequence[float] = DISTANCES_BPS,
        reference: Reference = "mid",
    ) -> None:
        if reference not in ("mid", "best"):
            raise ConfigError(f'Expected reference "mid" or "best", was {reference!r}.')
        self._distances = Distances("distances_bps", distances_bps)
        self._reference: Reference = reference
        self.reach_bps = self._distances.bps[-1] if reference == "mid" else math.inf
        self._found: DepthProfile | None = None

    def observe(self, book: BookLevels) -> None:
        """Sum up a book."""
        self._found = depth_profile(book, self._distances, self._reference)

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._found = None

    def values(self) -> dict[str, Any]:
        """Return by distance `bid` and `ask` in quote currency, and whether each is truncated."""
        if self._found is None:
            return {label(bps): None for bps in self._distances.bps}
        return dict(self._found.as_dict())

    def missing(self) -> dict[str, str]:
        """Say that there was no book yet."""
        return {} if self._found else dict.fromkeys(self.values(), "a book with both sides")


@kernel
def _depths(
    bid_ticks: Ints,
    bids: Floats,
    ask_ticks: Ints,
    asks: Floats,
    limits: Ints,
    notionals: Floats,
) -> None:
    """Write what both sides hold up to their limits, which go outward from the touch."""
    _side_depths(bid_ticks, bids[3], -1, limits[0], notionals[0])
    _side_depths(ask_ticks, asks[3], 1, limits[1], notionals[1])


@kernel
def _side_depths(ticks: Ints, running: Floats, sign: int, limits: Ints, notionals: Floats) -> None:
    """Write what one side holds up to each limit; sign -1 for bids, 1 for asks."""
    count = 0
    for i in range(len(limits)):
        end = len(ticks)
        while count < end:  # the first level beyond the limit
            middle = (count + end) // 2
            if sign * ticks[middle] <= sign * limits[i]:
                count = middle + 1
            else:
                end = middle
        notionals[i] = running[count - 1] if count > 0 else 0.0
