"""Small recordings of a made-up market, complete with snapshot, tickers and trades."""

import gzip
import random
from pathlib import Path
from typing import Any

import orjson

START_MS = 1_700_000_000_000
MIDDLE = 60_000.0
TICK = 0.1


def write_recording(path: Path, *, messages: int, spot: bool = False, seed: int = 1) -> Path:
    """Write a raw recording: so many depth messages continue its snapshot, never crossed."""
    market = _Market(spot, random.Random(seed))
    lines = [market.depth(START_MS - 100)]
    snapshot = market.snapshot()
    lines += [market.depth(START_MS - 50), (START_MS, snapshot)]
    for number in range(1, messages):
        now = START_MS + 50 * number
        lines += [market.depth(now), market.ticker(now), market.trade(now)]
    text = b"".join(b"%d %s\n" % (ms * 10**6, orjson.dumps(frame)) for ms, frame in lines)
    path.write_bytes(gzip.compress(text))
    return path


class _Market:
    """Two sides of levels around a price that wanders, and the messages that say so."""

    def __init__(self, spot: bool, source: random.Random) -> None:
        self.spot = spot
        self.source = source
        self.last_id = 1000
        self.ticks = round(MIDDLE / TICK)
        self.sides: dict[str, dict[int, str]] = {"b": {}, "a": {}}
        self.trades = 0
        self._fill()

    def depth(self, now: int) -> tuple[int, dict[str, Any]]:
        before = {name: dict(side) for name, side in self.sides.items()}
        self.ticks += self.source.choice((-2, 0, 1, 2))
        for name, beyond in (("b", 1), ("a", -1)):
            side = self.sides[name]
            for tick in [tick for tick in side if (tick - self.ticks) * beyond >= 0]:
                del side[tick]
            for tick in self.source.sample(sorted(side), k=min(3, len(side) - 30)):
                del side[tick]
        self._fill()
        previous, self.last_id = self.last_id, self.last_id + self.source.randrange(2, 9)
        frame: dict[str, Any] = {"e": "depthUpdate", "E": now, "s": "BTCUSDT"}
        frame |= {"U": previous + 1, "u": self.last_id}
        if not self.spot:
            frame |= {"T": now, "pu": previous}
        for name, side in self.sides.items():
            old = before[name]
            changed = [[_price(tick), q] for tick, q in side.items() if old.get(tick) != q]
            frame[name] = changed + [[_price(tick), "0.000"] for tick in old.keys() - side.keys()]
        return now, {"stream": "btcusdt@depth@0ms", "data": frame}

    def snapshot(self) -> dict[str, Any]:
        bids, asks = (
            [[_price(tick), quantity] for tick, quantity in self._sorted(name)]
            for name in ("b", "a")
        )
        return {"lastUpdateId": self.last_id + 1, "E": 1, "T": 1, "bids": bids, "asks": asks}

    def ticker(self, now: int) -> tuple[int, dict[str, Any]]:
        (bid, bid_quantity), (ask, ask_quantity) = self._sorted("b")[0], self._sorted("a")[0]
        frame: dict[str, Any] = {"u": self.last_id, "s": "BTCUSDT"}
        frame |= {"b": _price(bid), "B": bid_quantity, "a": _price(ask), "A": ask_quantity}
        if not self.spot:
            frame |= {"e": "bookTicker", "E": now, "T": now}
        return now, {"stream": "btcusdt@bookTicker", "data": frame}

    def trade(self, now: int) -> tuple[int, dict[str, Any]]:
        self.trades += 1
        frame: dict[str, Any] = {"e": "trade", "E": now, "T": now, "s": "BTCUSDT"}
        frame |= {"t": self.trades, "p": _price(self._sorted("a")[0][0]), "q": "0.010", "m": False}
        if not self.spot:
            frame["X"] = "MARKET"
        return now, {"stream": "btcusdt@trade", "data": frame}

    def _fill(self) -> None:
        for name, step in (("b", -1), ("a", 1)):
            side = self.sides[name]
            side.setdefault(self.ticks + step, self._quantity())
            while len(side) < 40:
                side[self.ticks + step * self.source.randrange(1, 120)] = self._quantity()

    def _sorted(self, name: str) -> list[tuple[int, str]]:
        return sorted(self.sides[name].items(), reverse=name == "b")

    def _quantity(self) -> str:
        return f"{self.source.randrange(1, 9999) / 1000:.3f}"


def _price(tick: int) -> str:
    return f"{tick / 10:.2f}"
