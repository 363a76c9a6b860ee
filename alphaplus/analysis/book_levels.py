"""All levels of a book at one moment, with prices, notionals and running sums.

Heavier measures take these. The running sums make most of them a search instead of a walk:
the notional up to a price, or the base amount that a notional buys, is one entry of an array.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from alphaplus.book.l2 import L2Book
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CONTRACT: Final = np.dtype(
    [
        ("units", "<f8"),  # price = tick * units / scale
        ("scale", "<f8"),
        ("size", "<f8"),
        ("inverse", "<i8"),
    ],
    align=True,
)
_COLUMNS: Final = 5
LEAST_LEVELS: Final = 64
"""Levels of a side that are read in any case: what looks at a number of levels asks for fewer."""
_FAR_TICKS: Final = 2**62


class SideLevels(NamedTuple):
    """The levels of one side, best first; all arrays have one entry per level."""

    ticks: Ints
    columns: Floats
    """Prices, quantities, notionals, running notionals, running bases: shape (5, levels)."""
    known_tick: int
    """The worst price up to which every level is known: beyond it some may be missing."""

    @property
    def prices(self) -> Floats:
        """In quote currency."""
        row: Floats = self.columns[0]
        return row

    @property
    def quantities(self) -> Floats:
        """In the venue's own unit."""
        row: Floats = self.columns[1]
        return row

    @property
    def notionals(self) -> Floats:
        """In quote currency: price x quantity x contract size, or contracts x contract value."""
        row: Floats = self.columns[2]
        return row

    @property
    def running_notionals(self) -> Floats:
        """Sum of the notionals of this level and all better ones."""
        row: Floats = self.columns[3]
        return row

    @property
    def running_bases(self) -> Floats:
        """The same sum in base units: quantity x contract size, or notional / price."""
        row: Floats = self.columns[4]
        return row


class BookLevels(NamedTuple):
    """Both sides of a book that is valid, has both sides and is not crossed."""

    instrument: Instrument
    ts_event: int
    ts_recv: int
    sequence: int
    bids: SideLevels
    asks: SideLevels
    bid_tick: int
    """Best bid."""
    ask_tick: int
    """Best ask."""
    mid: float
    """The mean of best bid and best ask, in quote currency."""
    rest: L2Book | None = None
    """The book itself where levels were left out."""

    @classmethod
    def of(cls, book: L2Book, reach_bps: float = math.inf) -> Self | None:
        """Read a book; None if it is not valid, lacks a side, or is crossed or locked.

        A best bid at or below a price of 0 is no price either. Levels farther from the mid than
        `reach_bps` may be left out, but never the best 64 of a side: `whole` has them all.
        """
        structures = book._state, book._blocks, book._directory
        is_valid, sequence, ts_event, ts_recv, worst_bid, worst_ask, bid_room, ask_room = _header(
            book._state
        )
        if not (is_valid and bid_room and ask_room):
            return None
        contract = _contract(book.instrument)
        bids, bid_columns = _room(bid_room)
        asks, ask_columns = _room(ask_room)
        bid, ask, bid_count, ask_count = _read_sides(
            *structures, contract.row, reach_bps, bids, bid_columns, asks, ask_columns
        )
        if not 0 < bid < ask:
            return None
        is_whole = bid_count == bid_room and ask_count == ask_room
        return cls(
            book.instrument,
            ts_event,
            ts_recv,
            sequence,
            SideLevels(bids[:bid_count], bid_columns[:, :bid_count], worst_bid),
            SideLevels(asks[:ask_count], ask_columns[:, :ask_count], worst_ask),
            bid,
            ask,
            contract.price(bid + ask) / 2,
            None if is_whole else book,
        )

    @classmethod
    def from_sides(
        cls,
        instrument: Instrument,
        bids: SideLevels,
        asks: SideLevels,
        *,
        ts_event: int = 0,
        ts_recv: int = 0,
        sequence: int = 0,
    ) -> Self:
        """Make a book of sides that are not crossed."""
        bid, ask = int(bids.ticks[0]), int(asks.ticks[0])
        mid = _contract(instrument).price(bid + ask) / 2
        return cls(instrument, ts_event, ts_recv, sequence, bids, asks, bid, ask, mid)

    def whole(self) -> "BookLevels":
        """Return all levels; the book must not have changed since this was read."""
        found = self if self.rest is None else BookLevels.of(self.rest)
        if found is None or found.sequence != self.sequence:
            raise RuntimeError("Expected the book as it was read, was changed; read it again.")
        return found


def side_levels(
    instrument: Instrument, ticks: Ints, quantities: Floats, known_tick: int
) -> SideLevels:
    """Add prices, notionals and running sums to the levels of one side, best first."""
    own_ticks, columns = _room(len(ticks))
    own_ticks[:-1] = ticks
    columns[1, :-1] = quantities
    _complete(_contract(instrument).row, own_ticks, columns, len(ticks))
    return SideLevels(own_ticks[:-1], columns[:, :-1], known_tick)


@dataclass(frozen=True, slots=True)
class _Contract:
    instrument: Instrument
    row: npt.NDArray[np.void]
    units: int
    scale: float

    def price(self, ticks: int) -> float:
        """Return what a number of ticks is in quote currency."""
        return ticks * self.units / self.scale


_contracts: dict[int, _Contract] = {}
_MOST_CONTRACTS: Final = 1024


def _contract(instrument: Instrument) -> _Contract:
    """Return what kernels need of an instrument, remembered: it is asked for ten times a second."""
    found = _contracts.get(id(instrument))  # the hash of an instrument costs more than all else
    if found is None:
        if len(_contracts) == _MOST_CONTRACTS:
            _contracts.clear()
        units, scale = instrument.tick_units, 10.0**instrument.price_decimals
        row = np.zeros(1, dtype=CONTRACT)
        row["units"], row["scale"] = units, scale
        row["size"], row["inverse"] = instrument.contract_size, instrument.inverse
        found = _Contract(instrument, row, units, scale)  # it keeps the instrument, so its id too
        _contracts[id(instrument)] = found
    return found


def _room(count: int) -> tuple[Ints, Floats]:
    """Return space for the ticks and the columns of a side, and one spare level."""
    return np.empty(count + 1, dtype=np.int64), np.empty((_COLUMNS, count + 1))


@kernel
def _header(state_row: Any) -> tuple[bool, int, int, int, int, int, int, int]:
    """Return validity, sequence, times, known range and the number of levels of a book."""
    state = state_row[0]
    return (
        state.is_valid != 0,
        state.sequence,
        state.ts_event,
        state.ts_recv,
        ~state.known[0],
        state.known[1],
        state.near[0] + state.far[0],
        state.near[1] + state.far[1],
    )


@kernel
def _read_sides(
    state_row: Any,
    blocks: Any,
    directory: Any,
    contract: Any,
    reach_bps: float,
    bids: Ints,
    bid_columns: Floats,
    asks: Ints,
    ask_columns: Floats,
) -> tuple[int, int, int, int]:
    """Read both sides of a book, best first; each array has room for one level more.

    Returns the best bid and ask, ticks, and the levels of both sides, 0 if those are no prices.
    """
    state = state_row[0]
    bid, ask = ~_first_key(state, blocks, directory, 0), _first_key(state, blocks, directory, 1)
    if not 0 < bid < ask:
        return bid, ask, 0, 0
    ticks = reach_bps * (float(bid) + float(ask)) / 2e4 + 1.0  # one more: the mid may be between
    span = int(ticks) if ticks < _FAR_TICKS else _FAR_TICKS
    bid_count = _copy_side(state, blocks, directory, 0, span, bids, bid_columns[1])
    ask_count = _copy_side(state, blocks, directory, 1, span, asks, ask_columns[1])
    _complete(contract, bids, bid_columns, bid_count)
    _complete(contract, asks, ask_columns, ask_count)
    return bid, ask, bid_count, ask_count


@kernel
def _first_key(state: Any, blocks: Any, directory: Any, s: int) -> int:
    """Return the key of the best level of a side that has levels."""
    for w in range(len(state.word[s])):
        if state.word[s, w] != 0:
            for offset in range(w << 6, (w + 1) << 6):
                if state.quantity[s, offset] > 0.0:
                    return state.base[s] + offset  # type: ignore[no-any-return]
    return blocks[directory[2 + s, 0]].key[0]  # type: ignore[no-any-return]


@kernel
def _copy_side(
    state: Any, blocks: Any, directory: Any, s: int, span: int, ticks: Ints, quantities: Floats
) -> int:
    """Copy the levels of a side, best first, and return how many.

    It stops between words of the window, or blocks, that begin more than `span` ticks behind
    the best level, once it has the least number.
    """
    mask = s - 1  # keys of bids are the complement of their ticks
    base = state.base[s]
    count = np.uint64(0)  # unsigned: an index that may be negative costs as much as the copy
    for w in range(len(state.word[s])):
        if state.word[s, w] == 0:
            continue
        first = np.uint64(w << 6)
        if count >= LEAST_LEVELS and base + np.int64(first) - (ticks[0] ^ mask) > span:
            return np.int64(count)  # type: ignore[return-value]
        for i in range(np.uint64(64)):
            quantity = state.quantity[s, first + i]
            ticks[count] = (base + np.int64(first + i)) ^ mask  # kept only where there is a
            quantities[count] = quantity  # level: no branch to predict, hence the spare one
            count += np.uint64(quantity > 0.0)
    for at in range(state.blocks[s]):
        block = blocks[directory[2 + s, at]]
        if count >= LEAST_LEVELS and np.uint64(block.key[0] - (ticks[0] ^ mask)) > np.uint64(span):
            return np.int64(count)  # type: ignore[return-value]
        levels = np.uint64(block.count)
        for i in range(levels):
            ticks[count + i] = block.key[i] ^ mask
        for i in range(levels):
            quantities[count + i] = block.quantity[i]
        count += levels
    return np.int64(count)  # type: ignore[return-value]


@kernel
def _complete(contract: Any, ticks: Ints, columns: Floats, count: int) -> None:
    """Fill prices, notionals and running sums of so many levels from ticks and quantities."""
    unit = contract[0]
    units, scale, size = unit.units, unit.scale, unit.size
    prices, quantities, notionals = columns[0], columns[1], columns[2]
    running_notionals, running_bases = columns[3], columns[4]
    for i in range(count):
        prices[i] = ticks[i] * units / scale
    if unit.inverse != 0:
        for i in range(count):
            notionals[i] = quantities[i] * size
        for i in range(count):
            running_bases[i] = notionals[i] / prices[i] if prices[i] != 0 else np.inf
    else:
        for i in range(count):
            running_bases[i] = quantities[i] * size
        for i in range(count):
            notionals[i] = running_bases[i] * prices[i]
    _sum_up(notionals, running_notionals, running_bases, count)


@kernel
def _sum_up(
    notionals: Floats, running_notionals: Floats, running_bases: Floats, count: int
) -> None:
    """Write the running sums of the notionals, and make those of the bases in their place.

    Four at a time: an addition waits for the one before it only once in four.
    """
    quote = base = 0.0
    whole = count & ~3
    for i in range(0, whole, 4):
        a = notionals[i]
        b = a + notionals[i + 1]
        c = b + notionals[i + 2]
        d = b + (notionals[i + 2] + notionals[i + 3])
        running_notionals[i] = quote + a
        running_notionals[i + 1] = quote + b
        running_notionals[i + 2] = quote + c
        quote += d
        running_notionals[i + 3] = quote
        a = running_bases[i]
        b = a + running_bases[i + 1]
        c = b + running_bases[i + 2]
        d = b + (running_bases[i + 2] + running_bases[i + 3])
        running_bases[i] = base + a
        running_bases[i + 1] = base + b
        running_bases[i + 2] = base + c
        base += d
        running_bases[i + 3] = base
    for i in range(whole, count):
        quote += notionals[i]
        running_notionals[i] = quote
        base += running_bases[i]
        running_bases[i] = base


@kernel
def count_within(ticks: Ints, step: int, limit: int) -> int:
    """Return how many levels, best first, are not beyond a limit."""
    low, high = 0, len(ticks)
    while low < high:
        middle = (low + high) // 2
        if step * (limit - ticks[middle]) >= 0:
            low = middle + 1
        else:
            high = middle
    return low
