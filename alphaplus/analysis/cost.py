"""Cost to fill: what a market order would pay, walking the other side in price order.

The last level is used in part. VWAP = quote paid / base filled, and
slippage = 1e4 D (VWAP - mid) / mid with D = +1 for a buyer and -1 for a seller. The slippages
of a buyer and a seller of one size add up to the round-trip cost (as the Xetra Liquidity
Measure: Gomber, Schweickert and Theissen 2015).

`taken` is the side of the book that an order takes: asks for a buyer. Where an order uses
levels beyond the range that the venue's snapshot showed, levels may be missing before them:
its cost is then an upper bound, the liquidity a lower one, and it is marked `truncated`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from alphaplus.analysis.book_levels import BookLevels, Floats, Ints
from alphaplus.analysis.labels import label
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import all_above_zero
from alphaplus.book.l2 import L2Book, float_prices
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

NOTIONALS: Final = (1e4, 1e5, 1e6, 5e6)
SLIPPAGES_BPS: Final = (1.0, 5.0, 10.0, 25.0, 50.0)
USUAL_REACH_BPS: Final = 50.0
"""Distance within which most orders fill; the rest of the book is read for those that do not."""
_SLACK_BPS: Final = 1e-9  # of a VWAP that equals its limit but for rounding
_NO_BOOK: Final = "a book with both sides"


@dataclass(frozen=True, slots=True)
class FillCost:
    """The fill of one order; `vwap` and `slippage_bps` are None unless it fills whole."""

    vwap: float | None
    slippage_bps: float | None
    """Against the mid; at least half the quoted spread."""
    worst_price: float | None
    levels: int
    fill_ratio: float
    """Share of the order that the book can fill, 0 to 1."""
    truncated: bool = False
    """Whether it uses levels beyond the range that is known, or all there are."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "vwap": self.vwap,
            "slippage_bps": self.slippage_bps,
            "worst_price": self.worst_price,
            "levels": self.levels,
            "fill_ratio": self.fill_ratio,
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Cost of several notionals, ascending, on both sides; None for one that is not above 0."""

    notionals: tuple[float, ...]
    buys: tuple[FillCost, ...]
    sells: tuple[FillCost, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values by notional: `buy`, `sell` and the round trip of both."""
        return {
            label(notional): {
                "buy": buy.as_dict(),
                "sell": sell.as_dict(),
                "round_trip_bps": round_trip_bps(buy, sell),
                "truncated": buy.truncated or sell.truncated,
            }
            for notional, buy, sell in zip(self.notionals, self.buys, self.sells, strict=True)
        }


def slippage_bps(vwap: float, mid: float, taken: Side) -> float:
    """Return what a fill on the side `taken` costs against the mid, in basis points."""
    return -1e4 * taken * (vwap - mid) / mid


def round_trip_bps(buy: FillCost, sell: FillCost) -> float | None:
    """Return 1e4 (VWAP of the buyer - VWAP of the seller) / mid; None unless both fill whole."""
    if buy.slippage_bps is None or sell.slippage_bps is None:
        return None
    return buy.slippage_bps + sell.slippage_bps


def vwap_of_base(prices: Floats, bases: Floats, wanted: float) -> float | None:
    """Return the mean price of `wanted` base units; the levels come best first, in base units.

    None if `wanted` is not above 0, or the levels do not hold as much.

    >>> vwap_of_base(np.array([100.0, 105.0]), np.array([10.0, 15.0]), 20.0)
    102.5
    """
    filled = np.cumsum(bases)
    if not (len(filled) and 0 < wanted <= filled[-1]):
        return None
    last = int(np.searchsorted(filled, wanted))
    before = float(filled[last - 1]) if last else 0.0
    paid = float(np.dot(prices[:last], bases[:last])) + float(prices[last]) * (wanted - before)
    return paid / wanted


def vwap_of_notional(prices: Floats, notionals: Floats, wanted: float) -> float | None:
    """Return the mean price of an order for `wanted` quote currency, likewise.

    >>> vwap_of_notional(np.array([100.0, 200.0]), np.array([1000.0, 4000.0]), 3000.0)
    150.0
    """
    filled = np.cumsum(notionals)
    if not (len(filled) and 0 < wanted <= filled[-1]):
        return None
    last = int(np.searchsorted(filled, wanted))
    before = float(filled[last - 1]) if last else 0.0
    base = float(np.sum(notionals[:last] / prices[:last])) + (wanted - before) / float(prices[last])
    return wanted / base


def vwap_of_quantity(book: L2Book, taken: Side, base: float) -> float | None:
    """Return the mean price of a market order over `base` units of the base currency.

    None if `base` is not above 0, or the book does not hold as much.
    """
    instrument = book.instrument
    ticks, quantities = book.levels(taken)
    prices = float_prices(instrument, ticks)
    sizes = quantities * instrument.contract_size
    return vwap_of_base(prices, sizes / prices if instrument.inverse else sizes, base)


def fills(book: BookLevels, taken: Side, wanted: Floats, *, by_base: bool = False) -> Floats:
    """Return the fills of several amounts, ascending and above 0, shape (amounts, 6).

    Columns are the fields of `FillCost`, nan for None; amounts are quote currency, or base units.
    """
    side = book.asks if taken is Side.ASK else book.bids
    found = np.empty((len(wanted), 6))
    is_filled = _fill(*side, book.mid, -int(taken), wanted, by_base, found)
    if is_filled or book.rest is None:
        return found
    return fills(book.whole(), taken, wanted, by_base=by_base)


def fills_of_both(book: BookLevels, wanted: Floats) -> Floats:
    """Return the fills of buyers, then sellers, of several notionals: shape (2, amounts, 6)."""
    found = np.empty((2, len(wanted), 6))
    are_filled = _fill_both(*book.asks, *book.bids, book.mid, wanted, found)
    return found if are_filled or book.rest is None else fills_of_both(book.whole(), wanted)


def cost_of_notional(book: BookLevels, taken: Side, notional: float) -> FillCost | None:
    """Return the cost of an order for `notional` quote currency; None unless above 0."""
    if not 0 < notional < math.inf:
        return None
    return _fill_costs(fills(book, taken, np.array([float(notional)])))[0]


def cost_of_base(book: BookLevels, taken: Side, base: float) -> FillCost | None:
    """Return the cost of an order for `base` units of the base currency; None unless above 0."""
    if not 0 < base < math.inf:
        return None
    return _fill_costs(fills(book, taken, np.array([float(base)]), by_base=True))[0]


def cost_curve(book: BookLevels, notionals: Sequence[float] = NOTIONALS) -> CostCurve:
    """Return the cost of several notionals on both sides; ConfigError unless above 0."""
    ordered = all_above_zero("notionals", notionals)
    buys, sells = fills_of_both(book, np.array(ordered))
    return CostCurve(ordered, _fill_costs(buys), _fill_costs(sells))


def notional_within(book: BookLevels, taken: Side, slippage_bps: float) -> tuple[float, bool]:
    """Return the largest notional whose slippage is at most so many bps, and if truncated.

    0 below half the spread. Truncated, a lower bound, where it reaches beyond the range that
    is known or takes the whole side.
    """
    found = _within_both(book, np.array([float(slippage_bps)]))
    notional, truncated = found[0 if taken is Side.ASK else 1, :, 0].tolist()
    return notional, bool(truncated)


class CostToFill(Measure):
    """Cost of a grid of notionals on both sides, and their round trips."""

    name: ClassVar[str] = "cost"

    def __init__(self, instrument: Instrument, *, notionals: Sequence[float] = NOTIONALS) -> None:
        self._notionals = all_above_zero("notionals", notionals)
        self._wanted = np.array(self._notionals)
        self.reach_bps = USUAL_REACH_BPS
        self._found: Floats | None = None

    def observe(self, book: BookLevels) -> None:
        """Fill the grid on both sides of a book."""
        self._found = fills_of_both(book, self._wanted)

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._found = None

    def values(self) -> dict[str, Any]:
        """Return by notional the fills of a buyer and a seller, and the round trip in bps."""
        if self._found is None:
            return {label(notional): None for notional in self._notionals}
        buys, sells = self._found
        return CostCurve(self._notionals, _fill_costs(buys), _fill_costs(sells)).as_dict()

    def missing(self) -> dict[str, str]:
        """Say that there was no book yet."""
        return {} if self._found is not None else dict.fromkeys(self.values(), _NO_BOOK)


class NotionalWithinSlippage(Measure):
    """The largest notional that fills for at most so much slippage: the cost curve inverted."""

    name: ClassVar[str] = "notional_within_slippage"

    def __init__(
        self, instrument: Instrument, *, slippages_bps: Sequence[float] = SLIPPAGES_BPS
    ) -> None:
        self._slippages = all_above_zero("slippages_bps", slippages_bps)
        self._limits = np.array(self._slippages)
        self.reach_bps = 2 * self._slippages[-1]  # the last level is worse than the mean
        self._found: Floats | None = None

    def observe(self, book: BookLevels) -> None:
        """Find what each slippage lets through on both sides of a book."""
        self._found = _within_both(book, self._limits)

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._found = None

    def values(self) -> dict[str, Any]:
        """Return by slippage in bps what a buyer and a seller can fill, and if truncated."""
        if self._found is None:
            return {label(slippage): None for slippage in self._slippages}
        (buys, buys_truncated), (sells, sells_truncated) = self._found.tolist()
        rows = zip(buys, sells, map(bool, buys_truncated), map(bool, sells_truncated), strict=True)
        names = ("buy", "sell", "buy_truncated", "sell_truncated")
        return {
            label(slippage): dict(zip(names, row, strict=True))
            for slippage, row in zip(self._slippages, rows, strict=True)
        }

    def missing(self) -> dict[str, str]:
        """Say that there was no book yet."""
        return {} if self._found is not None else dict.fromkeys(self.values(), _NO_BOOK)


def _within_both(book: BookLevels, limits_bps: Floats) -> Floats:
    """Return for buyers and sellers the notionals within each slippage, and if truncated."""
    found = np.empty((2, 2, len(limits_bps)))
    are_bounded = _within_sides(*book.asks, *book.bids, book.mid, limits_bps, found)
    return found if are_bounded or book.rest is None else _within_both(book.whole(), limits_bps)


def _fill_costs(found: Floats) -> tuple[FillCost, ...]:
    costs = []
    for vwap, slippage, worst_price, levels, fill_ratio, truncated in found.tolist():
        is_whole = not math.isnan(vwap)
        costs.append(
            FillCost(
                vwap if is_whole else None,
                slippage if is_whole else None,
                worst_price,
                int(levels),
                fill_ratio,
                bool(truncated),
            )
        )
    return tuple(costs)


@kernel
def _fill_both(
    ask_ticks: Ints,
    asks: Floats,
    known_ask: int,
    bid_ticks: Ints,
    bids: Floats,
    known_bid: int,
    mid: float,
    wanted: Floats,
    found: Floats,
) -> bool:
    """Write the fills of buyers and of sellers by notional; False unless all fill."""
    buys = _fill(ask_ticks, asks, known_ask, mid, 1, wanted, False, found[0])
    sells = _fill(bid_ticks, bids, known_bid, mid, -1, wanted, False, found[1])
    return buys and sells


@kernel
def _fill(
    ticks: Ints,
    columns: Floats,
    known_tick: int,
    mid: float,
    sign: int,
    wanted: Floats,
    by_base: bool,
    found: Floats,
) -> bool:
    """Write the fill of each ascending amount: the six fields of `FillCost`, nan for None.

    False unless the levels fill all of them.
    """
    prices, running_notionals, running_bases = columns[0], columns[3], columns[4]
    running = running_bases if by_base else running_notionals
    levels = len(ticks)
    at = 0
    for i in range(len(wanted)):
        amount = wanted[i]
        fill = found[i]
        end = levels
        while at < end:  # the first level at which the sum reaches the amount
            middle = (at + end) // 2
            if running[middle] < amount:
                at = middle + 1
            else:
                end = middle
        if at == levels:
            fill[0] = np.nan
            fill[1] = np.nan
            fill[2] = prices[levels - 1]
            fill[3] = levels
            fill[4] = running[levels - 1] / amount
            fill[5] = 1.0
            continue
        base = quote = 0.0
        if at > 0:
            base, quote = running_bases[at - 1], running_notionals[at - 1]
        price = prices[at]
        if by_base:
            vwap = (quote + (amount - base) * price) / amount
        else:
            vwap = amount / (base + (amount - quote) / price)
        fill[0] = vwap
        fill[1] = 1e4 * sign * (vwap - mid) / mid
        fill[2] = price
        fill[3] = at + 1
        fill[4] = 1.0
        fill[5] = sign * ticks[at] > sign * known_tick
    return at < levels


@kernel
def _within_sides(
    ask_ticks: Ints,
    asks: Floats,
    known_ask: int,
    bid_ticks: Ints,
    bids: Floats,
    known_bid: int,
    mid: float,
    limits_bps: Floats,
    found: Floats,
) -> bool:
    """Write what buyers and what sellers can fill; False if that may take all levels."""
    buys = _within(ask_ticks, asks, known_ask, mid, 1, limits_bps, found[0])
    sells = _within(bid_ticks, bids, known_bid, mid, -1, limits_bps, found[1])
    return buys and sells


@kernel
def _within(
    ticks: Ints,
    columns: Floats,
    known_tick: int,
    mid: float,
    sign: int,
    limits_bps: Floats,
    found: Floats,
) -> bool:
    """Write the largest notional within each ascending slippage, and 1 where truncated.

    False if the levels do not bound all of them.
    """
    prices, running_notionals, running_bases = columns[0], columns[3], columns[4]
    levels = len(ticks)
    at = 0
    for i in range(len(limits_bps)):
        worst = mid * (1 + sign * (limits_bps[i] + _SLACK_BPS) / 1e4)
        end = levels
        while at < end:  # the first level that makes the VWAP worse than that
            middle = (at + end) // 2
            if sign * (running_notionals[middle] - worst * running_bases[middle]) <= 0:
                at = middle + 1
            else:
                end = middle
        if at == levels:
            found[0, i] = running_notionals[levels - 1]
            found[1, i] = 1.0
            continue
        base = quote = 0.0
        if at > 0:
            base, quote = running_bases[at - 1], running_notionals[at - 1]
        part = (worst * base - quote) / (prices[at] - worst)
        found[0, i] = quote + part * prices[at]
        last = at if part > 0 or at == 0 else at - 1
        found[1, i] = at > 0 and sign * ticks[last] > sign * known_tick
    return at < levels
