"""Distance-weighted imbalance (DWI): whole books compared, near levels counting most.

    DWI = (sum w(d) n_bid - sum w(d) n_ask) / (sum of both),  w(d) = exp(-d / length)

over the levels with d <= 5 lengths, where d is a level's distance from the mid in basis points
and n its notional. In [-1, 1]; above 0 the bids are heavier.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from alphaplus.analysis.book_levels import BookLevels, Floats, Ints
from alphaplus.analysis.distance import EDGE_BPS, Distances, distances_bps
from alphaplus.analysis.labels import label
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import above_zero, all_above_zero
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

LENGTHS_BPS: Final = (1.0, 5.0, 25.0)
CUTOFF: Final = 5.0
"""Lengths beyond which a level no longer counts: its weight would be below 0.7 %."""
_SHIFT: Final = 7
_FINE: Final = 1 << _SHIFT
_COARSE: Final = 4096
"""A level `k` ticks from the touch weighs `coarse[k // _FINE] * fine[k % _FINE]`: two tables
instead of an exponential a level, where the cut-off is within `_FINE * _COARSE` ticks."""


def distance_weighted_imbalance(
    bid_prices: Floats,
    bid_notionals: Floats,
    ask_prices: Floats,
    ask_notionals: Floats,
    *,
    length_bps: float = 5.0,
    cutoff: float = CUTOFF,
) -> float | None:
    """Return DWI of one book, best levels first; `cutoff` in lengths, inf for none.

    None if a side is empty or no level lies within the cut-off.

    >>> one = np.array([1.0])
    >>> distance_weighted_imbalance(np.array([99.9]), 3 * one, np.array([100.1]), one)
    0.5
    """
    if not (len(bid_prices) and len(ask_prices)):
        return None
    mid = (bid_prices[0] + ask_prices[0]) / 2
    sums = []
    for prices, notionals in ((bid_prices, bid_notionals), (ask_prices, ask_notionals)):
        distances = distances_bps(prices, mid)
        # Relative to the touch, which is equally far on both sides and so cancels out.
        weights = np.exp((distances[0] - distances) / length_bps)
        inside = distances <= cutoff * length_bps + EDGE_BPS
        sums.append(float(np.dot(weights[inside], notionals[inside])))
    bid, ask = sums
    return (bid - ask) / (bid + ask) if bid + ask > 0 else None


class DistanceWeightedImbalance(Measure):
    """DWI at several lengths."""

    name: ClassVar[str] = "distance_weighted_imbalance"

    def __init__(
        self,
        instrument: Instrument,
        *,
        lengths_bps: Sequence[float] = LENGTHS_BPS,
        cutoff: float = CUTOFF,
    ) -> None:
        self._lengths = all_above_zero("lengths_bps", lengths_bps)
        reach = above_zero("cutoff", cutoff)
        self._distances = Distances("lengths_bps", [reach * length for length in self._lengths])
        self.reach_bps = self._distances.bps[-1]
        self._scales = np.array(self._lengths)
        self._table = np.empty(_FINE + _COARSE)
        self._values = np.full(len(self._lengths), math.nan)
        self._names = [f"length_{label(length)}_bps" for length in self._lengths]
        self._has_book = False

    def observe(self, book: BookLevels) -> None:
        """Weigh the levels of a book."""
        bids, asks = book.bids, book.asks
        limits = self._distances.limits(book.bid_tick, book.ask_tick)
        sides = bids.ticks, bids.notionals, asks.ticks, asks.notionals
        _weigh(*sides, limits, self._scales, self._table, self._values)
        self._has_book = True

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._values.fill(math.nan)
        self._has_book = False

    def values(self) -> dict[str, Any]:
        """Return DWI by length, None if no level lies within its cut-off."""
        return {
            name: None if math.isnan(value) else value
            for name, value in zip(self._names, self._values.tolist(), strict=True)
        }

    def missing(self) -> dict[str, str]:
        """Say that there was no book yet."""
        return {} if self._has_book else dict.fromkeys(self._names, "a book with both sides")


@kernel
def _weigh(
    bid_ticks: Ints,
    bid_notionals: Floats,
    ask_ticks: Ints,
    ask_notionals: Floats,
    limits: Ints,
    lengths_bps: Floats,
    table: Floats,
    values: Floats,
) -> None:
    """Write DWI at each length; `limits` are the last ticks that count, bids and asks."""
    bps_per_tick = 2e4 / (bid_ticks[0] + ask_ticks[0])
    fine, coarse = table[:_FINE], table[_FINE:]
    for j in range(len(lengths_bps)):
        decay = bps_per_tick / lengths_bps[j]
        bids, asks = _count(bid_ticks, -1, limits[0, j]), _count(ask_ticks, 1, limits[1, j])
        bid_span = bid_ticks[0] - bid_ticks[bids - 1] if bids > 0 else 0
        ask_span = ask_ticks[asks - 1] - ask_ticks[0] if asks > 0 else 0
        if 0 <= bid_span < _FINE * _COARSE and 0 <= ask_span < _FINE * _COARSE:
            _tabulate(fine, _FINE, math.exp(-decay))
            widest = max(bid_span, ask_span) >> _SHIFT
            _tabulate(coarse, widest + 1, math.exp(-decay * _FINE))
            bid = _weighted(bid_ticks, bid_notionals, -1, bids, fine, coarse)
            ask = _weighted(ask_ticks, ask_notionals, 1, asks, fine, coarse)
        else:
            bid = _weighted_slowly(bid_ticks, bid_notionals, -1, bids, decay)
            ask = _weighted_slowly(ask_ticks, ask_notionals, 1, asks, decay)
        values[j] = (bid - ask) / (bid + ask) if bid + ask > 0 else np.nan


@kernel
def _count(ticks: Ints, sign: int, limit: int) -> int:
    """Return how many levels of a side lie up to a tick; sign -1 for bids, 1 for asks."""
    count = 0
    end = len(ticks)
    while count < end:
        middle = (count + end) // 2
        if sign * ticks[middle] <= sign * limit:
            count = middle + 1
        else:
            end = middle
    return count


@kernel
def _tabulate(powers: Floats, count: int, ratio: float) -> None:
    """Write the first powers of a ratio, from 1 on."""
    power = 1.0
    for i in range(count):
        powers[i] = power
        power *= ratio


@kernel
def _weighted(
    ticks: Ints, notionals: Floats, sign: int, count: int, fine: Floats, coarse: Floats
) -> float:
    """Return the weighted sum of the best levels of a side, the touch weighing 1."""
    shift, mask = np.uint64(_SHIFT), np.uint64(_FINE - 1)
    first = ticks[0]
    total = other = 0.0
    for i in range(0, count - 1, 2):  # two sums: an addition waits only for every other one
        a = np.uint64(sign * (ticks[i] - first))
        b = np.uint64(sign * (ticks[i + 1] - first))
        total += coarse[a >> shift] * fine[a & mask] * notionals[i]
        other += coarse[b >> shift] * fine[b & mask] * notionals[i + 1]
    if count % 2 == 1:
        a = np.uint64(sign * (ticks[count - 1] - first))
        total += coarse[a >> shift] * fine[a & mask] * notionals[count - 1]
    return total + other


@kernel
def _weighted_slowly(ticks: Ints, notionals: Floats, sign: int, count: int, decay: float) -> float:
    """Return the same for levels too far apart for the tables."""
    total = 0.0
    for i in range(count):
        total += math.exp(-decay * (sign * (ticks[i] - ticks[0]))) * notionals[i]
    return total
