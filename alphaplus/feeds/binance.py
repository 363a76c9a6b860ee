"""Binance frames to events: USD-M, COIN-M and spot, streams and the REST answers between them.

Formats: https://developers.binance.com/docs/derivatives (USD-M, COIN-M) and
https://developers.binance.com/docs/binance-spot-api-docs (spot).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from alphaplus.errors import ConfigError
from alphaplus.events import EVENT, EventArray, empty_events
from alphaplus.feeds._kernels import layout
from alphaplus.feeds._kernels.decode import decode
from alphaplus.feeds._kernels.names import hash_slot
from alphaplus.instruments import Instrument

MessageArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `MESSAGE`."""


class MessageKind(IntEnum):
    """What a frame says."""

    OTHER = layout.OTHER
    """Valid JSON of no use to a book: answers to subscriptions, unknown events."""
    DEPTH = layout.DEPTH
    SNAPSHOT = layout.SNAPSHOT
    TRADE = layout.TRADE
    BOOK_TICKER = layout.BOOK_TICKER
    MARK_PRICE = layout.MARK_PRICE
    LIQUIDATION = layout.LIQUIDATION
    OPEN_INTEREST = layout.OPEN_INTEREST


class FrameError(IntEnum):
    """Why a frame made no events; `NONE` if it did."""

    NONE = 0
    SYNTAX = layout.SYNTAX
    """No valid JSON: torn, or garbage."""
    FIELD = layout.FIELD
    """A field is missing or of another type."""
    NUMBER = layout.NUMBER
    """A number is none, is negative, or has more than 18 digits."""
    OFF_GRID = layout.OFF_GRID
    """A price lies between two ticks of the instrument."""
    SYMBOL = layout.SYMBOL
    """The symbol is not among the instruments of the decoder."""
    REPEATED = layout.REPEATED
    """A field is there twice."""


MESSAGE: Final = np.dtype(
    [
        ("first_id", "<i8"),
        ("last_id", "<i8"),
        ("previous_id", "<i8"),
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("begin", "<i8"),
        ("end", "<i8"),
        ("levels", "<i8"),
        ("instrument", "<i8"),
        ("kind", "u1"),
        ("error", "u1"),
    ],
    align=True,
)
"""One frame: `U`, `u` and `pu` (-1 where it has none), its rows `events[begin:end]`, the number
of levels in it, and its instrument (-1 unknown)."""

_MARKET: Final = np.dtype(
    [
        ("price_decimals", "<i8"),
        ("tick_units", "<i8"),
        ("quantity_decimals", "<i8"),
        ("name_begin", "<i8"),
        ("name_length", "<i8"),
    ]
)
_NO_HINTS: Final = np.empty(0, dtype=np.int64)
_RAW: Final = bytes([layout.RAW])
_SETTLED: Final = bytes([layout.SETTLED])
_PADDING: Final = b" " * layout.PADDING
_ROWS_PER_FRAME: Final = 5
"""Rows that a frame may make beyond one for each so many bytes."""
_USUAL_BYTES_PER_ROW: Final = 20
_LEAST_BYTES_PER_ROW: Final = 10
"""`["1","0"],` is the shortest text of a row."""


class Run(NamedTuple):
    """The sums of a batch that is all of one instrument, without errors, snapshots and others."""

    instrument: int
    trades: int
    changes: int
    """Changes of the book (depth)."""
    levels: int
    """Levels in them."""
    first_id: int
    """`U` of the first change, as the next two its `pu` (-1: none) and `u`."""
    previous_id: int
    first_last_id: int
    last_id: int
    """`u` of the last change."""
    breaks: int
    """Bits of the rules that a later change breaks: 1 `pu` = `u` before, 2 `U` = `u` before + 1."""
    ts_recv: int
    """Of the last message, ns."""


class Decoded(NamedTuple):
    """What a batch of frames said: one message for each frame, and the rows of all."""

    messages: MessageArray
    events: EventArray
    run: Run | None = None
    """None unless the batch can be taken as a whole."""


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """The venue symbols of some instruments, in the form that the kernels read."""

    names: npt.NDArray[np.uint64]
    slots: npt.NDArray[np.int64]
    market: npt.NDArray[np.void]

    @classmethod
    def of(cls, instruments: Sequence[Instrument]) -> "SymbolTable":
        """Build the table; raises ConfigError if two instruments share a venue symbol."""
        names = [instrument.venue_symbol.encode() for instrument in instruments]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1).decode()
            raise ConfigError(
                f"Expected each venue symbol once on a connection, was {twice} twice."
            )
        padded = [name.ljust(-(-len(name) // 8) * 8, b"\0") for name in names]
        words = np.frombuffer(b"".join(padded), dtype="<u8")
        market = np.zeros(len(names), dtype=_MARKET)
        slots = np.full(max(8, 1 << (2 * len(names)).bit_length()), -1, dtype=np.int64)
        at = 0
        for index, (name, instrument) in enumerate(zip(names, instruments, strict=True)):
            market[index] = (
                instrument.price_decimals,
                instrument.tick_units,
                quantity_decimals(instrument),
                at,
                len(name),
            )
            end = at + len(padded[index]) // 8
            mask = slots.size - 1
            slot = hash_slot(words[at:end], len(name), mask)
            at = end
            while slots[slot] >= 0:
                slot = (slot + 1) & mask
            slots[slot] = index
        return cls(words, slots, market)


class FrameDecoder:
    """Turns frames into events, in one compiled call for each batch of frames.

    Prices become whole ticks exactly and quantities the nearest float64. Data never raises:
    a frame that is torn, off the grid or of another symbol becomes a message with an error
    and no rows. Not for two threads at once.
    """

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        table = SymbolTable.of(self.instruments)
        self._tables = table.names, table.slots, table.market
        self._scratch = np.empty(1, dtype=layout.SCAN)
        self._bytes_per_row = _USUAL_BYTES_PER_ROW  # memory that is not needed costs page faults
        self._run: npt.NDArray[np.int64] = self._scratch["run"][0]

    def decode(
        self,
        frames: Sequence[bytes],
        ts_recv: Sequence[int] | npt.NDArray[np.int64],
        hints: Sequence[int] | npt.NDArray[np.int64] | None = None,
    ) -> Decoded:
        """Decode frames received at `ts_recv` (ns): bare payloads or combined-stream frames.

        `hints` gives the instrument index of frames that name no symbol, such as REST
        snapshots, and -1 for all others.
        """
        count = len(frames)
        messages = np.empty(count, dtype=MESSAGE)
        if count == 0:
            return Decoded(messages, empty_events())
        times = np.asarray(ts_recv, dtype=np.int64)
        hint = _NO_HINTS if hints is None else np.asarray(hints, dtype=np.int64)
        made, rows = self._scan(joined(frames), times, hint, messages)
        if made == -layout.UNSETTLED:
            made, rows = self._scan(settled(frames), times, hint, messages)
        run = self._run.tolist()
        told = Run(*run) if run[0] >= 0 else None
        return Decoded(messages, np.ndarray(made, EVENT, rows), told)

    def _scan(
        self,
        buffer: npt.NDArray[np.uint8],
        ts_recv: npt.NDArray[np.int64],
        hints: npt.NDArray[np.int64],
        messages: MessageArray,
    ) -> tuple[int, npt.NDArray[np.void]]:
        capacity = buffer.size // self._bytes_per_row + _ROWS_PER_FRAME * len(messages)
        rows = np.empty(capacity, layout.ROW)
        made = decode(buffer, ts_recv, hints, *self._tables, messages, rows, self._scratch)
        if made == -layout.NO_ROOM:  # levels are shorter here than on most markets
            self._bytes_per_row = _LEAST_BYTES_PER_ROW
            return self._scan(buffer, ts_recv, hints, messages)
        return made, rows


def quantity_decimals(instrument: Instrument) -> int:
    """Return the decimals that multiples of the lot size need."""
    exponent = instrument.lot_size.normalize().as_tuple().exponent
    return max(0, -int(exponent))


def joined(frames: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return the frames as they are in one buffer, as the kernels want it."""
    return _buffer((_RAW, *frames, _PADDING))


def settled(frames: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return the frames in one buffer, those with anything rare in them written anew.

    Escapes in strings and malformed UTF-8 are settled here and not in the kernels: such a frame
    is written without escapes, or emptied if it is no JSON. NUL, valid nowhere in JSON, becomes
    another byte that is not.
    """
    return _buffer((_SETTLED, *map(_plain, frames), _PADDING))


def _buffer(parts: tuple[bytes, ...]) -> npt.NDArray[np.uint8]:
    text = b"\0".join(parts)
    return np.ndarray(len(text), np.uint8, text)


def _plain(frame: bytes) -> bytes:
    if b"\\" in frame or not frame.isascii():
        try:
            content: Any = orjson.loads(frame)
            return orjson.dumps(content)
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            return b""
    return frame.replace(b"\0", b"\1")
