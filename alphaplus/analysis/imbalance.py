"""Queue imbalance over the best k levels (Gould and Bonart 2016)."""

import math

from alphaplus.analysis.sides import Floats


def imbalance(bids: Floats, asks: Floats, levels: int) -> float | None:
    """Return (B - A) / (B + A) of the quantities of the best `levels`, in [-1, 1].

    Above 0 the bids are heavier. Fewer levels than asked for: those present. None if a side
    is empty.
    """
    if len(bids) == 0 or len(asks) == 0:
        return None
    bid, ask = math.fsum(bids[:levels].tolist()), math.fsum(asks[:levels].tolist())
    return (bid - ask) / (bid + ask)
