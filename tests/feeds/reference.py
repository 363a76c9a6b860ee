"""The slow, obvious twin of the frame decoder: orjson and Decimal, one object a level."""

from decimal import Decimal
from typing import Any

import orjson

from alphaplus.events import Flag, Kind, Side
from alphaplus.instruments import Instrument

Row = tuple[int, int, int, float, int, int, int]
"""kind, side, price tick, value, sequence, flags, ts_event."""

MS = 1_000_000


def reference_rows(frame: bytes, instrument: Instrument, ts_recv: int) -> list[Row]:
    """Return the rows of a valid frame of one instrument."""
    data = orjson.loads(frame)
    if not isinstance(data, dict):
        return []
    data = data["data"] if "stream" in data else data
    rows = list(_rows(data, instrument))
    if not rows:
        return []
    ts_event = _ts_event(data, ts_recv)
    flags = [0] * len(rows)
    flags[-1] = Flag.LAST
    return [
        (kind, side, tick, value, sequence, flag | off_market, ts_event)
        for (kind, side, tick, value, sequence, off_market), flag in zip(rows, flags, strict=True)
    ]


def _ts_event(data: dict[str, Any], ts_recv: int) -> int:
    if data.get("e") == "forceOrder":
        return data["o"]["T"] * MS
    if "openInterest" in data:
        return data["time"] * MS if "time" in data else ts_recv
    if data.get("e") in ("trade", "aggTrade"):
        return data["T"] * MS
    if data.get("e") == "bookTicker" and "T" in data:
        return data["T"] * MS
    return data["E"] * MS if "E" in data else ts_recv


def _rows(data: dict[str, Any], instrument: Instrument):
    event = data.get("e")
    nan = float("nan")
    if event == "depthUpdate":
        count = 0
        for side, key in ((Side.BID, "b"), (Side.ASK, "a")):
            for price, quantity, *_ in data[key]:
                count += 1
                yield Kind.DEPTH, side, instrument.tick(price), float(quantity), data["u"], 0
        if count == 0:
            yield Kind.DEPTH, Side.BID, 0, 0.0, data["u"], 0
    elif event is None and "lastUpdateId" in data:
        last = data["lastUpdateId"]
        yield Kind.SNAPSHOT_BEGIN, 0, 0, nan, last, 0
        for side, key in ((Side.BID, "bids"), (Side.ASK, "asks")):
            for price, quantity, *_ in data[key]:
                yield Kind.DEPTH, side, instrument.tick(price), float(quantity), last, 0
        yield Kind.SNAPSHOT_END, 0, 0, nan, last, 0
    elif event == "bookTicker" or (event is None and {"u", "s", "b", "B", "a", "A"} <= set(data)):
        for side, price, quantity in ((Side.BID, "b", "B"), (Side.ASK, "a", "A")):
            tick = instrument.tick(data[price])
            yield Kind.BOOK_TICKER, side, tick, float(data[quantity]), data["u"], 0
    elif event in ("trade", "aggTrade"):
        side = Side.ASK if data["m"] else Side.BID
        off_market = 0 if data.get("X", "MARKET") == "MARKET" else Flag.OFF_MARKET
        number = data["t"] if "t" in data else data["a"]
        tick = instrument.tick(data["p"])
        yield Kind.TRADE, side, tick, float(data["q"]), number, off_market
    elif event == "markPriceUpdate":
        yield Kind.MARK_PRICE, 0, 0, float(data["p"]), 0, 0
        if data.get("i"):
            yield Kind.INDEX_PRICE, 0, 0, float(data["i"]), 0, 0
        if data["T"] and data.get("r"):
            yield Kind.FUNDING_RATE, 0, 0, float(data["r"]), data["T"] * MS, 0
    elif event == "forceOrder":
        order = data["o"]
        side = Side.BID if order["S"] == "BUY" else Side.ASK
        tick = instrument.tick(order["p"])
        yield Kind.LIQUIDATION, side, tick, float(order["q"]), 0, 0
    elif "openInterest" in data:
        yield Kind.OPEN_INTEREST, 0, 0, float(Decimal(data["openInterest"])), 0, 0
