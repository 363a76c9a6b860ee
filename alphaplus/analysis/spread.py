"""Quoted spread: what separates the best ask from the best bid."""


def spread(best_bid: float, best_ask: float) -> float:
    """Return a1 - b1, in the unit of the prices: exact for ticks."""
    return best_ask - best_bid


def spread_bps(best_bid: float, best_ask: float) -> float:
    """Return the spread over the mid in basis points; ticks and prices give the same.

    >>> round(spread_bps(10_000.0, 10_010.0), 3)
    9.995
    """
    return 2e4 * (best_ask - best_bid) / (best_ask + best_bid)
