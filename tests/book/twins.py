"""The dictionary book for any rows: bad ones are left out, and the worst levels are dropped."""

import math

from alphaplus.events import EventArray, Flag, Kind, Side
from alphaplus.instruments import Instrument
from tests.book.events import FAR
from tests.oracles import DictBook, Top

Levels = list[tuple[int, float]]


class BoundedDictBook(DictBook):
    """Two dictionaries, each cut to its best `max_levels` after each message."""

    def __init__(self, instrument: Instrument, max_levels: int = 10**9) -> None:
        super().__init__(instrument)
        self.max_levels = max_levels
        self.rejected = self.pruned = 0

    def apply(self, events: EventArray) -> list[Top]:
        tops = []
        for row in events:
            kind = int(row["kind"])
            if kind == Kind.SNAPSHOT_BEGIN:
                self.clear()
                self.in_snapshot = True
                continue
            if kind == Kind.SNAPSHOT_END and not self.in_snapshot:
                self.rejected += 1
                continue
            if kind == Kind.DEPTH:
                self.set_level(int(row["side"]), int(row["price_tick"]), float(row["value"]))
                if not row["flags"] & Flag.LAST or self.in_snapshot:
                    continue
            elif kind == Kind.SNAPSHOT_END:
                self.is_valid, self.in_snapshot = True, False
                bids, asks = self.sides[Side.BID], self.sides[Side.ASK]
                self.known_range = min(bids, default=-FAR - 1), max(asks, default=FAR)
            else:
                continue
            self.prune()
            if self.is_valid:
                tops.append(self.top(row))
        return tops

    def clear(self) -> None:
        self.sides = {Side.BID: {}, Side.ASK: {}}
        self.is_valid, self.in_snapshot, self.known_range = False, False, None

    def set_level(self, side: int, tick: int, quantity: float) -> None:
        if side not in (Side.BID, Side.ASK) or not math.isfinite(quantity) or quantity < 0:
            self.rejected += 1
        elif quantity > 0:
            self.sides[Side(side)][tick] = quantity
        else:
            self.sides[Side(side)].pop(tick, None)

    def prune(self) -> None:
        for side in (Side.BID, Side.ASK):
            levels = self.levels(side)
            kept = dict(levels[: self.max_levels])
            if len(kept) == len(levels):
                continue
            self.pruned += len(levels) - len(kept)
            self.sides[side] = kept
            if self.known_range is not None:
                low, high = self.known_range
                worst = max(kept) if side is Side.ASK else min(kept)
                self.known_range = (max(low, worst), high) if side is Side.BID else (
                    low, min(high, worst))  # fmt: skip


def within(levels: Levels, side: Side, known_range: tuple[int, int]) -> Levels:
    """The levels of a side that are inside a known range, best first."""
    low, high = known_range
    return [pair for pair in levels if (pair[0] >= low if side is Side.BID else pair[0] <= high)]
