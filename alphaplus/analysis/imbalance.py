"""Queue imbalance over the best k levels (Gould and Bonart 2016)."""


def imbalance(bid_quantity: float, ask_quantity: float) -> float | None:
    """Return (B - A) / (B + A) of the sums over the best k levels, in [-1, 1].

    Above 0 the bids are heavier. A side with fewer than k levels counts those it has. None
    if a side is empty.

    >>> imbalance(60.0, 40.0)
    0.2
    """
    if not (bid_quantity > 0 and ask_quantity > 0):
        return None
    return (bid_quantity - ask_quantity) / (bid_quantity + ask_quantity)
