"""A small reader of the shared raw recordings, apart from the product's decoder."""

import gzip
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from alphaplus.events import EVENT, EventArray, Flag, Kind, Side
from alphaplus.instruments import Instrument, InstrumentKind


@dataclass(frozen=True)
class Recording:
    """The events of one recording, those before the snapshot handled by the venue's rules."""

    instrument: Instrument
    events: EventArray
    messages: int


def perpetual(data_dir: Path) -> Recording:
    return _read(data_dir / "captures/binance_usdm_btcusdt_20240808.raw.gz", "0.1", "PERP")


def spot(data_dir: Path) -> Recording:
    return _read(data_dir / "captures/binance_spot_btcusdt_20240808.raw.gz", "0.01", "SPOT")


def _read(path: Path, tick: str, suffix: str) -> Recording:
    instrument = Instrument(
        symbol=f"BTC-USDT-{suffix}",
        exchange="binance",
        venue_symbol="BTCUSDT",
        tick_size=Decimal(tick),
        lot_size=Decimal("0.00001"),
        kind=InstrumentKind.SPOT if suffix == "SPOT" else InstrumentKind.PERPETUAL,
    )
    rows: list[tuple[int, ...]] = []
    early: list[tuple[int, dict[str, Any]]] = []
    snapshot_id = messages = 0
    for line in gzip.decompress(path.read_bytes()).splitlines():
        stamp, text = line.split(b" ", 1)
        frame, ts = orjson.loads(text), int(stamp)
        data = frame.get("data", frame)
        if "lastUpdateId" in data:
            snapshot_id = data["lastUpdateId"]
            rows.append((ts, snapshot_id, 0, np.nan, Kind.SNAPSHOT_BEGIN, 0, 0))
            rows += _levels(ts, snapshot_id, data["bids"], data["asks"], tick)
            rows.append((ts, snapshot_id, 0, np.nan, Kind.SNAPSHOT_END, 0, Flag.LAST))
            waiting, early = early, []
        elif data.get("e") == "depthUpdate":
            waiting = [(ts, data)]
            if not snapshot_id:
                early += waiting
                continue
        elif "B" in data:
            best = _levels(ts, data["u"], [[data["b"], data["B"]]], [[data["a"], data["A"]]], tick)
            rows += _as_message([(*row[:4], Kind.BOOK_TICKER, *row[5:]) for row in best])
            continue
        else:
            continue
        for received, event in waiting:
            if event["u"] >= snapshot_id + ("pu" not in event):
                messages += 1
                rows += _as_message(_levels(received, event["u"], event["b"], event["a"], tick))
    events = np.zeros(len(rows), dtype=EVENT)
    names = ("ts_recv", "sequence", "price_tick", "value", "kind", "side", "flags")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        events[name] = column
    events["ts_event"] = events["ts_recv"]
    return Recording(instrument, events, messages)


def _levels(
    ts: int, sequence: int, bids: list[list[str]], asks: list[list[str]], tick: str
) -> list[tuple[Any, ...]]:
    decimals = len(tick) - 2
    rows: list[tuple[Any, ...]] = []
    for side, levels in ((Side.BID, bids), (Side.ASK, asks)):
        for price, quantity in levels:
            whole, _, part = price.partition(".")
            assert not part[decimals:].strip("0")
            number = int(whole + part[:decimals])
            rows.append((ts, sequence, number, float(quantity), Kind.DEPTH, side, 0))
    return rows


def _as_message(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [*rows[:-1], (*rows[-1][:-1], Flag.LAST)] if rows else []
