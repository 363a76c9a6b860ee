"""Depth: the notional that rests within a distance of the mid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphaplus.analysis import _kernels as kernels
from alphaplus.analysis.sides import BookSide
from alphaplus.events import Side
from alphaplus.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Depth:
    """Notional in quote currency; a lower bound if `truncated` (the range is not all known)."""

    notional: float
    truncated: bool


def depth_within(
    levels: BookSide, mid: float, bounds: Sequence[float], instrument: Instrument
) -> dict[float, Depth]:
    """Return the depth of one side for each of `bounds`, ascending, in basis points.

    A level at distance d = 1e4 |mid - p| / mid counts if d <= bound.
    """
    sign = 1.0 if levels.side is Side.BID else -1.0
    limits = np.array(bounds, dtype=np.float64)
    sums = np.zeros(len(limits))
    kernels.sum_within(
        levels.prices,
        levels.quantities,
        mid,
        sign,
        instrument.contract_size,
        instrument.inverse,
        limits,
        sums,
    )
    return {
        bound: Depth(total, not levels.knows(mid * (1 - sign * bound / 1e4)))
        for bound, total in zip(bounds, sums.tolist(), strict=True)
    }
