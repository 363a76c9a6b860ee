"""What a generated symbol says, in Binance's JSON: integer ticks and lots in, bytes out.

Texts are put together by hand, as a busy market writes thousands a second.
"""

from typing import Any

from alphaplus.venue.protocol import Listing


class MessageWriter:
    """Writes the messages of one symbol; times are milliseconds."""

    def __init__(self, listing: Listing) -> None:
        self._symbol = listing.symbol
        self._price_decimals = listing.price_decimals
        self._lot_decimals = listing.lot_decimals

    def price(self, tick: int) -> str:
        """Write a price, exactly."""
        return _decimal(tick, self._price_decimals)

    def quantity(self, lots: int) -> str:
        """Write a quantity, exactly."""
        return _decimal(lots, self._lot_decimals)

    def book_ticker(self, touch: tuple[int, int, int, int], sequence: int, now_ms: int) -> bytes:
        """Return the bookTicker of a touch: bid and its lots, ask and its lots."""
        bid, bid_lots, ask, ask_lots = touch
        return (
            f'{{"e":"bookTicker","u":{sequence},"s":"{self._symbol}",'
            f'"b":"{self.price(bid)}","B":"{self.quantity(bid_lots)}",'
            f'"a":"{self.price(ask)}","A":"{self.quantity(ask_lots)}",'
            f'"T":{now_ms},"E":{now_ms}}}'
        ).encode()

    def trade(
        self, trade_id: int, tick: int, lots: int, *, buyer_is_maker: bool, now_ms: int
    ) -> bytes:
        """Return one trade."""
        return (
            f'{{"e":"trade","E":{now_ms},"T":{now_ms},"s":"{self._symbol}",'
            f'"t":{trade_id},"p":"{self.price(tick)}","q":"{self.quantity(lots)}",'
            f'"X":"MARKET","m":{"true" if buyer_is_maker else "false"}}}'
        ).encode()

    def depth(
        self,
        changes: tuple[dict[int, int], dict[int, int]],
        *,
        previous: int,
        sequence: int,
        now_ms: int,
    ) -> bytes:
        """Return the depthUpdate from one update id to another; changes are lots by tick."""
        bids, asks = (self._levels(side) for side in changes)
        return (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{now_ms},'
            f'"s":"{self._symbol}","U":{previous + 1},"u":{sequence},'
            f'"pu":{previous},"b":[{bids}],"a":[{asks}]}}'
        ).encode()

    def forced_order(
        self, side: int, lots: int, filled: int, *, tick: int, average: float, now_ms: int
    ) -> dict[str, Any]:
        """Return the order that closes a position of a side (+1 long): the `o` of a forceOrder."""
        return {
            "s": self._symbol, "S": "SELL" if side > 0 else "BUY",
            "o": "LIMIT", "f": "IOC", "q": self.quantity(lots), "p": self.price(tick),
            "ap": f"{average:.{self._price_decimals}f}",
            "X": "FILLED" if filled == lots else "PARTIALLY_FILLED", "l": self.quantity(filled),
            "z": self.quantity(filled), "T": now_ms,
        }  # fmt: skip

    def _levels(self, changes: dict[int, int]) -> str:
        price, quantity = self.price, self.quantity
        return ",".join(
            f'["{price(tick)}","{quantity(changes[tick])}"]' for tick in sorted(changes)
        )


def _decimal(units: int, decimals: int) -> str:
    """Write an integer of the last decimal place as a decimal, exactly."""
    if not decimals:
        return str(units)
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"
