"""Slow, obvious twins of fast code: what the fast code must agree with."""

import hashlib
import struct

from alphaplus.events import EventArray, Flag, Kind, Side
from alphaplus.instruments import Instrument

Top = tuple[int, int, int, float, int, float, bool, int]
"""ts_recv, sequence, bid tick, bid quantity, ask tick, ask quantity, crossed, kind."""


class DictBook:
    """An order book of two dictionaries, tick -> quantity."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.sides: dict[Side, dict[int, float]] = {Side.BID: {}, Side.ASK: {}}
        self.is_valid = self.in_snapshot = False
        self.known_range: tuple[int, int] | None = None

    def apply(self, events: EventArray) -> list[Top]:
        tops = []
        for row in events:
            kind, last = Kind(row["kind"]), bool(row["flags"] & Flag.LAST)
            if kind is Kind.SNAPSHOT_BEGIN:
                self.sides = {Side.BID: {}, Side.ASK: {}}
                self.is_valid, self.in_snapshot, self.known_range = False, True, None
            elif kind is Kind.SNAPSHOT_END and self.in_snapshot:
                self.is_valid, self.in_snapshot = True, False
                bids, asks = self.sides[Side.BID], self.sides[Side.ASK]
                self.known_range = min(bids, default=-(2**63)), max(asks, default=2**63 - 1)
                tops.append(self.top(row))
            elif kind is Kind.DEPTH:
                levels = self.sides[Side(row["side"])]
                if row["value"] > 0:
                    levels[int(row["price_tick"])] = float(row["value"])
                else:
                    levels.pop(int(row["price_tick"]), None)
                if last and self.is_valid:
                    tops.append(self.top(row))
        return tops

    def levels(self, side: Side) -> list[tuple[int, float]]:
        return sorted(self.sides[side].items(), reverse=side is Side.BID)

    def top(self, row: EventArray) -> Top:
        bid, bid_quantity = next(iter(self.levels(Side.BID)), (0, 0.0))
        ask, ask_quantity = next(iter(self.levels(Side.ASK)), (0, 0.0))
        crossed = bid_quantity > 0 and ask_quantity > 0 and bid >= ask
        ids = int(row["ts_recv"]), int(row["sequence"])
        return *ids, bid, bid_quantity, ask, ask_quantity, crossed, int(row["kind"])

    def state_hash(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for side in (Side.BID, Side.ASK):
            levels = self.levels(side)
            prices = [self.instrument.price(tick) for tick, _ in levels]
            digest.update(struct.pack("<q", len(levels)))
            digest.update(struct.pack(f"<{len(levels)}d", *prices))
            digest.update(struct.pack(f"<{len(levels)}d", *(q for _, q in levels)))
        return digest.hexdigest()
