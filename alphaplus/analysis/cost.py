"""Cost to fill: what a market order of a given notional would pay, walking the other side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphaplus.analysis import _kernels as kernels
from alphaplus.analysis.sides import BookSide
from alphaplus.events import Side
from alphaplus.instruments import Instrument


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


def fill_costs(
    levels: BookSide, mid: float, notionals: Sequence[float], instrument: Instrument
) -> dict[float, FillCost]:
    """Return what orders of `notionals` (ascending, quote currency) pay on these levels.

    Asks are what a buyer takes, bids what a seller takes. The last level is used in part.
    """
    wanted = np.array(notionals, dtype=np.float64)
    found = np.zeros((len(wanted), 4))
    kernels.walk(
        levels.prices,
        levels.quantities,
        instrument.contract_size,
        instrument.inverse,
        wanted,
        found,
    )
    direction = 1.0 if levels.side is Side.ASK else -1.0
    return {
        notional: _cost(levels, mid, direction, notional, row)
        for notional, row in zip(notionals, found.tolist(), strict=True)
    }


def _cost(
    levels: BookSide,
    mid: float,
    direction: float,
    notional: float,
    fill: list[float],
) -> FillCost:
    base, quote, worst, used = fill
    vwap = slippage = None
    if used and quote >= notional and levels.knows(worst):
        vwap = notional / base
        slippage = 1e4 * direction * (vwap - mid) / mid
    return FillCost(
        vwap=vwap,
        slippage_bps=slippage,
        worst_price=worst if used else None,
        levels=int(used),
        fill_ratio=min(1.0, quote / notional),
    )
