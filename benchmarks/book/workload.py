"""Read a recording and write down what every contender gets, by a plain reader of its own."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from alphaplus.errors import CaptureError
from alphaplus.feeds.capture import RawCapture
from alphaplus.feeds.discover import discover
from alphaplus.instruments import Instrument, InstrumentKind
from benchmarks.book.inputs import DETAILS, FRAMES, LEVELS, START, THOUSAND, Details

LEVELS_OF_A_BOOK = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One depth message: its ids (`previous_id` None on spot), levels as text, and frame."""

    first_id: int
    last_id: int
    previous_id: int | None
    bids: list[list[str]]
    asks: list[list[str]]
    frame: bytes
    ts_recv: int


@dataclass(frozen=True, slots=True)
class Workload:
    """A snapshot and the changes that continue it, up to the first gap of the recording."""

    instrument: Instrument
    snapshot: dict[str, Any]
    changes: list[Change]


def read_workload(path: Path, *, max_messages: int | None = None) -> Workload:
    """Read the instrument with the most frames; raises CaptureError if it has no book."""
    capture = RawCapture.read(path)
    found = discover(capture.frames)
    if not found.instruments:
        raise CaptureError(f"Expected frames of Binance in {path}, was none of them.")
    instrument = found.instruments[0]
    snapshots: list[dict[str, Any]] = []
    changes: list[Change] = []
    rows = zip(capture.frames, capture.ts_recv.tolist(), found.hints.tolist(), strict=True)
    for frame, ts_recv, hint in rows:
        if b"depthUpdate" not in frame and b"lastUpdateId" not in frame:
            continue
        content = orjson.loads(frame)
        data = content.get("data", content)
        if "lastUpdateId" in data:
            if hint == 0 or f"{instrument.venue_symbol.lower()}@" in content.get("stream", ""):
                snapshots.append(data)
        elif data.get("e") == "depthUpdate" and data["s"] == instrument.venue_symbol:
            changes.append(
                Change(data["U"], data["u"], data.get("pu"), data["b"], data["a"], frame, ts_recv)
            )
    for snapshot in snapshots:
        joined = list(_continue(snapshot["lastUpdateId"], changes))
        if len(joined) > 1:
            stop = None if max_messages is None else max_messages + 1
            return Workload(instrument, snapshot, joined[:stop])
    raise CaptureError(
        f"Expected a depth snapshot and two changes that continue it in {path}, was none."
    )


def _continue(snapshot_id: int, changes: list[Change]) -> Iterator[Change]:
    """Yield the changes that continue a snapshot by the venue's rules, up to a gap."""
    last_id: int | None = None
    for change in changes:
        is_spot = change.previous_id is None
        if last_id is None:
            wanted = snapshot_id + is_spot
            if change.last_id < wanted:
                continue
            fits = change.first_id <= wanted
        elif is_spot:
            fits = change.first_id == last_id + 1
        else:
            fits = change.previous_id == last_id
        if not fits:
            return
        last_id = change.last_id
        yield change


def write_inputs(workload: Workload, capture: Path, folder: Path, *, batch: int) -> Details:
    """Write the files of `Inputs`: the snapshot and first change are the start, not timed."""
    first, *timed = workload.changes
    instrument = workload.instrument
    side, price, quantity, offset = _columns(timed)
    details = Details(
        capture=str(capture.resolve()),
        symbol=instrument.symbol,
        venue_symbol=instrument.venue_symbol,
        market=_market(instrument),
        tick_size=str(instrument.tick_size),
        lot_size=str(instrument.lot_size),
        price_decimals=instrument.price_decimals,
        quantity_decimals=_decimals(instrument.lot_size),
        contract_size=instrument.contract_size,
        messages=len(timed),
        level_updates=len(side),
        first_id=first.last_id,
        batch=batch,
    )
    start = _start(workload.snapshot, first)
    np.savez(
        folder / LEVELS,
        side=side,
        price=price,
        quantity=quantity,
        offset=offset,
        ts_recv=np.array([change.ts_recv for change in timed], dtype=np.int64),
        start_side=np.array([row[0] for row in start], dtype=np.int8),
        start_price=np.array([row[1] for row in start]),
        start_quantity=np.array([row[2] for row in start]),
    )
    payload = orjson.dumps({name: workload.snapshot[name] for name in _SNAPSHOT_FIELDS})
    (folder / START).write_bytes(payload + b"\n" + first.frame)
    (folder / FRAMES).write_bytes(b"\n".join(change.frame for change in timed))
    (folder / THOUSAND).write_bytes(_thousand(instrument, start))
    (folder / DETAILS).write_text(json.dumps(asdict(details)))
    return details


_SNAPSHOT_FIELDS = ("lastUpdateId", "bids", "asks")


def _columns(
    changes: list[Change],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    rows: list[tuple[int, float, float]] = []
    offsets = [0]
    for change in changes:
        for side, levels in ((1, change.bids), (-1, change.asks)):
            rows += [(side, float(price), float(quantity)) for price, quantity in levels]
        offsets.append(len(rows))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return (
        table[:, 0].astype(np.int8),
        table[:, 1].copy(),
        table[:, 2].copy(),
        np.array(offsets, dtype=np.int64),
    )


def _start(snapshot: dict[str, Any], first: Change) -> list[tuple[int, float, float]]:
    """Return the book after the first change: (side, price, quantity), best first."""
    rows: list[tuple[int, float, float]] = []
    for side, old, new in ((1, "bids", first.bids), (-1, "asks", first.asks)):
        book = {float(price): float(quantity) for price, quantity in [*snapshot[old], *new]}
        rows += [
            (side, price, book[price])
            for price in sorted(book, key=lambda p: -side * p)
            if book[price]
        ]
    return rows


def _thousand(instrument: Instrument, start: list[tuple[int, float, float]]) -> bytes:
    """Return a snapshot of 1000 levels a side, one and two ticks apart by turns."""
    tick = instrument.tick_size
    bids = [price for side, price, _ in start if side > 0]
    best = int(Decimal(str(bids[0])) / tick) if bids else 10**6
    steps = [level + level // 2 for level in range(LEVELS_OF_A_BOOK)]
    best = max(best, 2 * steps[-1])

    def levels(side: int, first: int) -> list[list[str]]:
        return [
            [f"{(first - side * step) * tick:f}", f"{(1 + number % 97) * instrument.lot_size:f}"]
            for number, step in enumerate(steps)
        ]

    book = {"lastUpdateId": 1, "bids": levels(1, best), "asks": levels(-1, best + 1)}
    return orjson.dumps(book)


def _market(instrument: Instrument) -> str:
    if instrument.kind is InstrumentKind.SPOT:
        return "spot"
    return "inverse" if instrument.inverse else "linear"


def _decimals(size: Decimal) -> int:
    exponent = size.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
