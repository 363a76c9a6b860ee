"""Slopes: how fast quantity builds up as prices move away from the touch.

- Quoted slope (Hasbrouck and Seppi 2001): spread / (ln A1 + ln B1). Small means liquid.
- Book slope (Naes and Skjeltorp 2006): with v_i the logarithm of the cumulative quantity, the mean
  over the best k levels of v_1 / |p_1/m - 1| and (v_{i+1}/v_i - 1) / |p_{i+1}/p_i - 1|, and of
  both sides. Large means that quantity stands close to the mid.
- Elasticity: the least-squares slope, through the origin, of the cumulative notional on the
  distance within 25 bps; quote currency per basis point.

The logarithms make the first two depend on the unit of quantities. Here it is the instrument's
lot, the smallest quantity that exists, so that no logarithm is below 0 (the papers count shares).
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import numpy as np

from alphaplus.analysis.book_levels import LEAST_LEVELS, BookLevels, Floats, Ints
from alphaplus.analysis.distance import EDGE_BPS, Distances, distances_bps
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import above_zero, whole_number
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

LEVELS: Final = 10
ELASTICITY_BPS: Final = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSlopes:
    """The slopes of one book; None where a logarithm of a quantity leaves them without sense."""

    quoted_slope: float | None
    """Quote currency per unit of ln(lots)."""
    bid_slope: float | None
    ask_slope: float | None
    book_slope: float | None
    """Mean of both sides, a plain number."""
    bid_elasticity: float | None
    """Quote currency per basis point."""
    ask_elasticity: float | None
    truncated: bool
    """Whether the elasticity reaches beyond the range that is known: a lower bound."""


_NAMES: Final = tuple(field.name for field in fields(BookSlopes))


def quoted_slope(spread: float, bid_quantity: float, ask_quantity: float) -> float | None:
    """Return spread / (ln A1 + ln B1); None unless the denominator is above 0.

    >>> round(quoted_slope(0.1, 20.0, 50.0), 6)
    0.014476
    """
    if not (bid_quantity > 0 and ask_quantity > 0):
        return None
    logarithms = math.log(bid_quantity) + math.log(ask_quantity)
    return spread / logarithms if logarithms > 0 else None


def side_slope(
    prices: Floats, quantities: Floats, mid: float, levels: int = LEVELS
) -> float | None:
    """Return the book slope of one side, best level first, over its best `levels`.

    None without levels, or where the best quantity is not above 1 in its unit: its logarithm
    divides.
    """
    found = _side_slope(prices[:levels], quantities[:levels], mid, 1.0)
    return None if math.isnan(found) else found


def elasticity(
    prices: Floats, notionals: Floats, mid: float, within_bps: float = ELASTICITY_BPS
) -> float | None:
    """Return sum(d N) / sum(d d) over the levels within `within_bps` of the mid, best first.

    d is a level's distance in bps and N the notional up to it. None if no level is within.
    """
    distances = distances_bps(prices, mid)
    count = int(np.searchsorted(distances, within_bps + EDGE_BPS, side="right"))
    found = _elasticity(prices[:count], np.cumsum(notionals[:count]), mid)
    return None if math.isnan(found) else found


class BookSlope(Measure):
    """The three slopes of the latest book."""

    name: ClassVar[str] = "book_slope"

    def __init__(
        self,
        instrument: Instrument,
        *,
        levels: int = LEVELS,
        elasticity_bps: float = ELASTICITY_BPS,
        unit: float | None = None,
    ) -> None:
        self._levels = whole_number("levels", levels, 1, 1_000)
        self._within = Distances("elasticity_bps", (elasticity_bps,))
        self.reach_bps = self._within.bps[0] if levels <= LEAST_LEVELS else math.inf
        self._unit = above_zero("unit", float(instrument.lot_size) if unit is None else unit)
        self._instrument = instrument
        self._sums = np.empty((2, 3))  # slope, elasticity, best quantity of bids and asks
        self._spread_ticks = 0
        self._truncated = False

    def observe(self, book: BookLevels) -> None:
        """Take the slopes of a book."""
        limits = self._within.limits(book.bid_tick, book.ask_tick)
        self._truncated = _slopes(
            *book.bids, *book.asks, book.mid, limits, self._levels, self._unit, self._sums
        )
        self._spread_ticks = book.ask_tick - book.bid_tick

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._spread_ticks = 0

    @property
    def slopes(self) -> BookSlopes | None:
        """The slopes of the latest book, None before the first."""
        if not self._spread_ticks:
            return None
        rows = [[None if math.isnan(x) else x for x in row] for row in self._sums.tolist()]
        (bid_slope, bid_elasticity, bid_size), (ask_slope, ask_elasticity, ask_size) = rows
        both = None if bid_slope is None or ask_slope is None else (bid_slope + ask_slope) / 2
        return BookSlopes(
            quoted_slope=quoted_slope(
                self._instrument.price(self._spread_ticks), bid_size or 0.0, ask_size or 0.0
            ),
            bid_slope=bid_slope,
            ask_slope=ask_slope,
            book_slope=both,
            bid_elasticity=bid_elasticity,
            ask_elasticity=ask_elasticity,
            truncated=self._truncated,
        )

    def values(self) -> dict[str, Any]:
        """Return the fields of `BookSlopes`."""
        found = self.slopes
        return (
            dict.fromkeys(_NAMES)
            if found is None
            else {name: getattr(found, name) for name in _NAMES}
        )

    def missing(self) -> dict[str, str]:
        """Say what a slope lacks: a book, a best quantity above one unit, or near levels."""
        if not self._spread_ticks:
            return dict.fromkeys(self.values(), "a book with both sides")
        return {
            name: (
                f"levels within {self._within.bps[0]:g} bps of the mid"
                if name.endswith("elasticity")
                else f"best quantities above {self._unit:g}"
            )
            for name, value in self.values().items()
            if value is None
        }


@kernel
def _slopes(
    bid_ticks: Ints,
    bids: Floats,
    known_bid: int,
    ask_ticks: Ints,
    asks: Floats,
    known_ask: int,
    mid: float,
    limits: Ints,
    levels: int,
    unit: float,
    sums: Floats,
) -> bool:
    """Write what `_slopes_of_side` says of bids and asks; return whether a limit is not known."""
    bid_limit, ask_limit = limits[0, 0], limits[1, 0]
    _slopes_of_side(bid_ticks, bids, mid, -1, bid_limit, levels, unit, sums[0])
    _slopes_of_side(ask_ticks, asks, mid, 1, ask_limit, levels, unit, sums[1])
    return bool(bid_limit < known_bid or ask_limit > known_ask)


@kernel
def _slopes_of_side(
    ticks: Ints,
    columns: Floats,
    mid: float,
    sign: int,
    limit: int,
    levels: int,
    unit: float,
    out: Floats,
) -> None:
    """Write slope, elasticity up to a tick, and best quantity in units; sign -1 for bids."""
    prices, quantities, running_notionals = columns[0], columns[1], columns[3]
    count = 0
    end = len(ticks)
    while count < end:  # the first level beyond the limit
        middle = (count + end) // 2
        if sign * ticks[middle] <= sign * limit:
            count = middle + 1
        else:
            end = middle
    out[0] = _side_slope(prices[:levels], quantities[:levels], mid, unit)
    out[1] = _elasticity(prices[:count], running_notionals[:count], mid)
    out[2] = quantities[0] / unit


@kernel
def _side_slope(prices: Floats, quantities: Floats, mid: float, unit: float) -> float:
    """Return the mean over the levels, best first; nan where it is not known."""
    if len(prices) == 0 or quantities[0] <= unit or prices[0] == mid:
        return np.nan
    size = quantities[0] / unit
    logarithm = math.log(size)
    total = logarithm * mid / abs(prices[0] - mid)
    for i in range(1, len(prices)):
        size += quantities[i] / unit
        following = math.log(size)
        step = abs(prices[i] - prices[i - 1]) / prices[i - 1]
        total += (following / logarithm - 1.0) / step
        logarithm = following
    mean: float = total / len(prices)
    return mean


@kernel
def _elasticity(prices: Floats, running_notionals: Floats, mid: float) -> float:
    """Return the least-squares slope through the origin over the levels; nan for none."""
    products = squares = 0.0
    scale = 1e4 / mid
    for i in range(len(prices)):
        distance = scale * abs(prices[i] - mid)
        products += distance * running_notionals[i]
        squares += distance * distance
    return products / squares if squares > 0 else np.nan
