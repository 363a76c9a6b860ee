"""Cost to fill: what a market order would pay, walking the other side in price order.

The last level is used in part. vwap = quote paid / base filled, and
slippage = 1e4 D (vwap - mid) / mid with D = +1 for a buyer and -1 for a seller.
"""

from dataclasses import dataclass

import numpy as np

from alphaplus.book.l2 import L2Book, float_prices
from alphaplus.events import Side


@dataclass(frozen=True, slots=True)
class FillCost:
    """The fill of one order.

    `vwap` and `slippage_bps` (against the mid) are None unless the order fills whole within
    the range of prices that is known.
    """

    vwap: float | None
    slippage_bps: float | None
    worst_price: float | None
    levels: int
    fill_ratio: float


def slippage_bps(vwap: float, mid: float, taken: Side) -> float:
    """Return what a fill on the side `taken` costs against the mid, in basis points."""
    return -1e4 * taken * (vwap - mid) / mid


def vwap_of_quantity(book: L2Book, taken: Side, base: float) -> float | None:
    """Return the mean price of a market order over `base` units of the base currency.

    `taken` is the side that it takes: asks for a buyer. None if `base` is not above 0, or
    the book does not hold as much.
    """
    instrument = book.instrument
    ticks, quantities = book.levels(taken)
    prices = float_prices(instrument, ticks)
    sizes = quantities * instrument.contract_size
    if instrument.inverse:
        sizes = sizes / prices
    filled = np.cumsum(sizes)
    if not (len(filled) and 0 < base <= filled[-1]):
        return None
    last = int(np.searchsorted(filled, base))
    before = float(filled[last - 1]) if last else 0.0
    paid = float(np.dot(prices[:last], sizes[:last])) + float(prices[last]) * (base - before)
    return paid / base
