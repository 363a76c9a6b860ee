"""The matching engine's book of a generated symbol: integer ticks and lots, one id counter."""

from typing import Final

BID: Final = -1
ASK: Final = 1


class BookSide:
    """One side: lots by tick. `outward` is the direction away from the touch, -1 for bids."""

    def __init__(self, outward: int, best: int) -> None:
        self.outward = outward
        self.best = best
        self.levels: dict[int, int] = {}
        self.changed: dict[int, int] = {}
        """Lots of each tick touched since the last depth message."""

    def set(self, tick: int, lots: int) -> None:
        """Overwrite a level; 0 lots removes it. The last level must not be removed."""
        self.changed[tick] = lots
        if lots:
            self.levels[tick] = lots
            if (tick - self.best) * self.outward < 0:
                self.best = tick
        elif self.levels.pop(tick, None) is not None and tick == self.best:
            self.best = self._next_best(tick)

    def ordered(self) -> list[int]:
        """Return the ticks, best first."""
        return sorted(self.levels, reverse=self.outward == BID)

    def _next_best(self, tick: int) -> int:
        for candidate in range(tick, tick + 1000 * self.outward, self.outward):
            if candidate in self.levels:
                return candidate
        return max(self.levels) if self.outward == BID else min(self.levels)


class GeneratedBook:
    """Both sides and the update id, which grows by one with every change."""

    def __init__(self, best_bid: int, sequence: int) -> None:
        self.bids = BookSide(BID, best_bid)
        self.asks = BookSide(ASK, best_bid + 1)
        self.sequence = sequence

    def side(self, outward: int) -> BookSide:
        """Return the side that lies in a direction from the touch."""
        return self.bids if outward == BID else self.asks

    def set(self, outward: int, tick: int, lots: int) -> None:
        """Overwrite a level of a side under the next update id."""
        self.sequence += 1
        self.side(outward).set(tick, lots)

    def touch(self) -> tuple[int, int, int, int]:
        """Return best bid and its lots, best ask and its lots."""
        bid, ask = self.bids.best, self.asks.best
        return bid, self.bids.levels[bid], ask, self.asks.levels[ask]

    def take_changes(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return and forget what changed on both sides."""
        changes = self.bids.changed, self.asks.changed
        self.bids.changed, self.asks.changed = {}, {}
        return changes
