"""The venue's own book of a symbol: what it would answer at this moment.

Kept apart from any client's book: decimal strings as the wire has them, in plain
dictionaries, so that it can serve as the truth that a client's book is compared with.
"""

from collections.abc import Iterable
from typing import Any

Level = tuple[str, str]


class VenueBook:
    """Full depth of one symbol by Binance's rules; needs no clock and does no I/O.

    `apply` takes depth events in order. After `load` the events that were sent before the
    snapshot's line must be applied again: those that it already holds are skipped.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self.in_step = False
        """False before a snapshot and after a missing event."""
        self._joined = False  # the first event after a snapshot may overlap it
        self._bids: dict[float, Level] = {}
        self._asks: dict[float, Level] = {}

    def load(self, snapshot: dict[str, Any]) -> None:
        """Replace everything by a REST snapshot."""
        self._bids = {float(level[0]): (level[0], level[1]) for level in snapshot["bids"]}
        self._asks = {float(level[0]): (level[0], level[1]) for level in snapshot["asks"]}
        self.sequence = snapshot["lastUpdateId"]
        self.in_step = True
        self._joined = False

    def apply(self, event: dict[str, Any]) -> bool:
        """Apply one depthUpdate; False if it was skipped or does not continue the book."""
        first, last, previous = event["U"], event["u"], event["pu"]
        if not self.in_step or last < self.sequence or (self._joined and last == self.sequence):
            return False
        continues = previous == self.sequence
        if not continues and (self._joined or not first <= self.sequence <= last):
            self.in_step = False
            return False
        _overwrite(self._bids, event["b"])
        _overwrite(self._asks, event["a"])
        self.sequence = last
        self._joined = True
        return True

    def levels(self, limit: int | None = None) -> tuple[list[Level], list[Level]]:
        """Return bids and asks, best first, at most `limit` of each."""
        bids = [self._bids[price] for price in sorted(self._bids, reverse=True)[:limit]]
        asks = [self._asks[price] for price in sorted(self._asks)[:limit]]
        return bids, asks

    def top(self) -> tuple[Level, Level] | None:
        """Return best bid and best ask, or None while a side is empty."""
        if not self._bids or not self._asks:
            return None
        return self._bids[max(self._bids)], self._asks[min(self._asks)]


def _overwrite(side: dict[float, Level], levels: Iterable[list[str]]) -> None:
    for price, quantity in levels:
        if float(quantity) == 0:
            side.pop(float(price), None)
        else:
            side[float(price)] = (price, quantity)
