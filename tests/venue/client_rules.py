"""Binance's rules for a local book, step by step, with a dictionary and no library of ours.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from typing import Any

Top = tuple[float, float, float, float]


class NaiveClient:
    """Buffers events until a snapshot fits, then follows; `gap` says that it must start anew."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.buffer: list[dict[str, Any]] = []
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.sequence: int | None = None
        self.gap = False

    def on_snapshot(self, snapshot: dict[str, Any]) -> bool:
        """Take a snapshot; False if it is too old for the events that came so far."""
        last = snapshot["lastUpdateId"]
        rest = [event for event in self.buffer if event["u"] >= last]
        if rest and not rest[0]["U"] <= last <= rest[0]["u"] and rest[0]["pu"] != last:
            return False
        self.bids = {float(p): float(q) for p, q in snapshot["bids"]}
        self.asks = {float(p): float(q) for p, q in snapshot["asks"]}
        self.sequence = last
        self._joined = False
        self.buffer = []
        for event in rest:
            self.on_depth(event)
        return True

    def on_depth(self, event: dict[str, Any]) -> None:
        if self.sequence is None:
            self.buffer.append(event)
            return
        if event["u"] < self.sequence:
            return
        overlaps = not self._joined and event["U"] <= self.sequence <= event["u"]
        if event["pu"] != self.sequence and not overlaps:
            self.gap = True
            return
        for side, levels in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in levels:
                if float(quantity):
                    side[float(price)] = float(quantity)
                else:
                    side.pop(float(price), None)
        self.sequence = event["u"]
        self._joined = True

    def top(self) -> Top:
        bid, ask = max(self.bids), min(self.asks)
        return bid, self.bids[bid], ask, self.asks[ask]


def sides_of(book: dict[str, Any]) -> tuple[dict[float, float], dict[float, float]]:
    """Return bids and asks of a /control/book answer as dictionaries."""
    bids = {float(p): float(q) for p, q in book["bids"]}
    asks = {float(p): float(q) for p, q in book["asks"]}
    return bids, asks
