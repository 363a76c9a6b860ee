"""Prices between the best bid and the best ask."""

from typing import Any, ClassVar, Final

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import Tape
from alphaplus.instruments import Instrument

_QUANTITY_LIMIT: Final = 1e200
"""No venue has as much; products with prices overflow not far above."""


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


class FairPrice(Measure):
    """Mid and weighted mid of the newest best quote (Gatheral and Oomen, 2010)."""

    name: ClassVar[str] = "fair_price"

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._found: dict[str, Any] | None = None
        self._quote: tuple[Any, ...] | None = None

    def update(self, tape: Tape) -> None:
        """Take the newest best quote of the next piece of the stream."""
        if len(tape.quotes):
            # A copy: the tape's rows are only lent. What they say is worked out when asked.
            self._quote, self._found = tape.quotes[-1].item(), None

    def interrupt(self) -> None:
        """Forget the quote: nobody knows what is in force."""
        self._quote = self._found = None

    def values(self) -> dict[str, Any]:
        """Return the prices in quote currency; None while no valid quote is in force.

        `weighted_mid_lean` is (weighted mid - mid) / spread, from -1/2 to 1/2: unlike the
        difference in ticks, it is not ruled by the rare moments of a wide spread.
        """
        if self._found is None:
            self._found = self._measure()
        return dict(self._found)

    def missing(self) -> dict[str, str]:
        """Say what None still needs."""
        return {key: "a valid best quote" for key, value in self.values().items() if value is None}

    def _measure(self) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(("mid", "weighted_mid", "weighted_mid_lean"))
        if self._quote is None:
            return found
        *_, bid_tick, ask_tick, bid_quantity, ask_quantity = self._quote
        has_both = all(0 < size < _QUANTITY_LIMIT for size in (bid_quantity, ask_quantity))
        if not (has_both and 0 < bid_tick < ask_tick):
            return found
        price = self._instrument.price
        best_bid, best_ask = price(bid_tick), price(ask_tick)
        weighted = weighted_mid(best_bid, bid_quantity, best_ask, ask_quantity)
        return {
            "mid": mid(self._instrument, bid_tick, ask_tick),
            # Rounding may step over the touch by the last digit.
            "weighted_mid": min(max(weighted, best_bid), best_ask),
            "weighted_mid_lean": bid_quantity / (bid_quantity + ask_quantity) - 0.5,
        }
