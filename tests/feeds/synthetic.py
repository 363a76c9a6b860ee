"""A small venue of one symbol: a random book, and the frames that Binance would send of it."""

import gzip
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

Line = tuple[int, bytes]
"""Receive time, ns, and frame."""

STEP = 100_000_000
"""Time between two changes, ns."""


@dataclass
class SyntheticVenue:
    """Makes changes of a book that never crosses; prices have one decimal."""

    symbol: str = "BTCUSDT"
    is_spot: bool = False
    seed: int = 1
    start_id: int = 1000
    mid: int = 600_000
    now: int = 1_700_000_000_000_000_000
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.last_id = self.start_id
        self.trade_id = 0
        self.bids = {self.mid - k: self._quantity() for k in range(1, 60)}
        self.asks = {self.mid + k: self._quantity() for k in range(1, 60)}

    def run(self, changes: int) -> "SyntheticVenue":
        """Append so many changes, each with its ticker, and trades between them."""
        for _ in range(changes):
            self.change()
            self.ticker()
            if self.random.random() < 0.3:
                self.trade()
        return self

    def change(self) -> None:
        previous = self.last_id
        first = previous + 1 if self.is_spot else previous + self.random.randint(1, 5)
        self.last_id = first + self.random.randint(0, 9)
        changed: dict[str, list[list[str]]] = {"b": [], "a": []}
        self.mid += self.random.choice((-1, 0, 0, 1))
        for key, side, sign in (("b", self.bids, -1), ("a", self.asks, 1)):
            ticks = {self.mid + sign * self.random.randint(1, 80) for _ in range(6)}
            ticks |= {tick for tick in side if sign * (tick - self.mid) <= 0}
            for tick in sorted(ticks):
                gone = sign * (tick - self.mid) <= 0 or self.random.random() < 0.3
                quantity = 0 if gone and len(side) > 2 else self._quantity()
                if sign * (tick - self.mid) <= 0:
                    quantity = 0
                if quantity:
                    side[tick] = quantity
                else:
                    side.pop(tick, None)
                changed[key].append([self._price(tick), self._size(quantity)])
            if not side:
                tick = self.mid + sign
                side[tick] = self._quantity()
                changed[key].append([self._price(tick), self._size(side[tick])])
        data = {"e": "depthUpdate", "E": self._ms(), "s": self.symbol}
        data |= {"U": first, "u": self.last_id}
        if not self.is_spot:
            data |= {"T": self._ms(), "pu": previous}
        self._send("depth@100ms", data | changed)
        self.now += STEP

    def ticker(self) -> None:
        bid, ask = max(self.bids), min(self.asks)
        data = {"u": self.last_id, "s": self.symbol}
        data |= {"b": self._price(bid), "B": self._size(self.bids[bid])}
        data |= {"a": self._price(ask), "A": self._size(self.asks[ask])}
        if not self.is_spot:
            data = {"e": "bookTicker"} | data | {"T": self._ms(), "E": self._ms()}
        self._send("bookTicker", data)

    def trade(self) -> None:
        self.trade_id += 1
        data = {"e": "trade", "E": self._ms(), "T": self._ms(), "s": self.symbol}
        data |= {"t": self.trade_id, "p": self._price(self.mid), "q": "0.010", "m": True}
        self._send("trade", data | ({"M": True} if self.is_spot else {"X": "MARKET"}))

    def snapshot_payload(self) -> bytes:
        data: dict[str, object] = {"lastUpdateId": self.last_id}
        if not self.is_spot:
            data |= {"E": self._ms(), "T": self._ms()}
        for key, side in (("bids", self.bids), ("asks", self.asks)):
            levels = sorted(side.items(), reverse=key == "bids")
            data[key] = [[self._price(tick), self._size(size)] for tick, size in levels]
        return orjson.dumps(data)

    def snapshot(self) -> "SyntheticVenue":
        """Append a bare REST snapshot of now."""
        self.lines.append((self.now, self.snapshot_payload()))
        return self

    def _send(self, channel: str, data: dict[str, object]) -> None:
        stream = f"{self.symbol.lower()}@{channel}"
        self.lines.append((self.now, orjson.dumps({"stream": stream, "data": data})))

    def _quantity(self) -> int:
        return self.random.randint(1, 99_999)

    def _ms(self) -> int:
        return self.now // 1_000_000

    def _price(self, tick: int) -> str:
        return f"{tick // 10}.{tick % 10}" + ("0000000" if self.is_spot else "0")

    def _size(self, quantity: int) -> str:
        return f"{quantity // 1000}.{quantity % 1000:03d}" + ("00000" if self.is_spot else "")


def market(*, changes: int = 60, **options: object) -> SyntheticVenue:
    """A venue whose lines are: ten changes, a snapshot, and the rest of the changes."""
    venue = SyntheticVenue(**options)  # type: ignore[arg-type]
    return venue.run(10).snapshot().run(changes - 10)


def is_depth(line: Line) -> bool:
    return b'"depthUpdate"' in line[1]


def is_snapshot(line: Line) -> bool:
    return b'"lastUpdateId"' in line[1]


def depth_positions(lines: list[Line]) -> list[int]:
    return [at for at, line in enumerate(lines) if is_depth(line)]


def write_capture(path: Path, lines: Iterable[Line]) -> Path:
    """Write a raw recording."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for ts_recv, frame in lines:
            file.write(b"%d %s\n" % (ts_recv, frame))
    return path
