"""Prices between the best bid and the best ask."""

from alphaplus.instruments import Instrument


def mid(instrument: Instrument, bid_tick: int, ask_tick: int) -> float:
    """Return the mean of both touches: the float64 nearest to the exact decimal."""
    return instrument.price(bid_tick + ask_tick) / 2


def weighted_mid(
    best_bid: float, bid_quantity: float, best_ask: float, ask_quantity: float
) -> float:
    """Return the mid that leans to the side with less: (a1 B1 + b1 A1) / (A1 + B1).

    >>> weighted_mid(100.0, 70.0, 105.0, 30.0)
    103.5
    """
    return (best_ask * bid_quantity + best_bid * ask_quantity) / (bid_quantity + ask_quantity)
