"""All levels of a book at one moment, with prices, notionals and running sums.

Heavier measures take these. The running sums make most of them a search instead of a walk:
the notional up to a price, or the base amount that a notional buys, is one entry of an array.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Self

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
"""Prices, quantities, notionals, running notionals, running bases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideLevels:
    """The levels of one side, best first; all arrays have one entry per level."""

    ticks: Ints
    prices: Floats
    """In quote currency."""
    quantities: Floats
    """In the venue's own unit."""
    notionals: Floats
    """In quote currency: price x quantity x contract size, or contracts x contract value."""
    running_notionals: Floats
    """Sum of the notionals of this level and all better ones."""
    running_bases: Floats
    """The same sum in base units: quantity x contract size, or notional / price."""
    known_tick: int
    """The worst price up to which every level is known: beyond it some may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevels:
    """Both sides of a book that is valid, has both sides and is not crossed."""

    instrument: Instrument
    ts_event: int
    ts_recv: int
    sequence: int
    bids: SideLevels
    asks: SideLevels
    mid: float = field(init=False)
    """The mean of best bid and best ask, in quote currency."""

    def __post_init__(self) -> None:
        contract = _contract(self.instrument)
        twice = int(self.bids.ticks[0]) + int(self.asks.ticks[0])
        object.__setattr__(self, "mid", twice * contract.units / contract.scale / 2)

    @classmethod
    def of(cls, book: L2Book) -> Self | None:
        """Read a book; None if it is not valid, lacks a side, or is crossed or locked.

        A best bid at or below a price of 0 is no price either.
        """
        structures = book._state, book._blocks, book._directory
        is_valid, sequence, ts_event, ts_recv, worst_bid, worst_ask, bid_count, ask_count = _header(
            book._state
        )
        if not (is_valid and bid_count and ask_count):
            return None
        contract = _contract(book.instrument).row
        bids, bid_columns = _room(bid_count)
        asks, ask_columns = _room(ask_count)
        _read_sides(*structures, contract, bids, bid_columns, asks, ask_columns)
        if not 0 < bids[0] < asks[0]:
            return None
        return cls(
            instrument=book.instrument,
            ts_event=ts_event,
            ts_recv=ts_recv,
            sequence=sequence,
            bids=_side(bids, bid_columns, worst_bid),
            asks=_side(asks, ask_columns, worst_ask),
        )


def side_levels(
    instrument: Instrument, ticks: Ints, quantities: Floats, known_tick: int
) -> SideLevels:
    """Add prices, notionals and running sums to the levels of one side, best first."""
    own_ticks, columns = _room(len(ticks))
    own_ticks[:-1] = ticks
    columns[1, :-1] = quantities
    _complete(_contract(instrument).row, own_ticks, columns)
    return _side(own_ticks, columns, known_tick)


@dataclass(frozen=True, slots=True)
class _Contract:
    instrument: Instrument
    row: npt.NDArray[np.void]
    units: int
    scale: float


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


def _side(ticks: Ints, columns: Floats, known_tick: int) -> SideLevels:
    prices, quantities, notionals, running_notionals, running_bases = columns[:, :-1]
    return SideLevels(
        ticks=ticks[:-1],
        prices=prices,
        quantities=quantities,
        notionals=notionals,
        running_notionals=running_notionals,
        running_bases=running_bases,
        known_tick=known_tick,
    )


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
    bids: Ints,
    bid_columns: Floats,
    asks: Ints,
    ask_columns: Floats,
) -> None:
    """Read both sides of a book, best first; each array has room for one level more."""
    state = state_row[0]
    _copy_side(state, blocks, directory, 0, bids, bid_columns[1])
    _copy_side(state, blocks, directory, 1, asks, ask_columns[1])
    _complete(contract, bids, bid_columns)
    _complete(contract, asks, ask_columns)


@kernel
def _copy_side(
    state: Any, blocks: Any, directory: Any, s: int, ticks: Ints, quantities: Floats
) -> None:
    """Copy the levels of a side, best first."""
    mask = s - 1  # keys of bids are the complement of their ticks
    base = state.base[s]
    count = np.uint64(0)  # unsigned: an index that may be negative costs as much as the copy
    for w in range(len(state.word[s])):
        if state.word[s, w] == 0:
            continue
        first = np.uint64(w << 6)
        for i in range(np.uint64(64)):
            quantity = state.quantity[s, first + i]
            ticks[count] = (base + np.int64(first + i)) ^ mask  # kept only where there is a
            quantities[count] = quantity  # level: no branch to predict, hence the spare one
            count += np.uint64(quantity > 0.0)
    for at in range(state.blocks[s]):
        block = blocks[directory[2 + s, at]]
        levels = np.uint64(block.count)
        for i in range(levels):
            ticks[count + i] = block.key[i] ^ mask
        for i in range(levels):
            quantities[count + i] = block.quantity[i]
        count += levels


@kernel
def _complete(contract: Any, ticks: Ints, columns: Floats) -> None:
    """Fill prices, notionals and running sums from ticks and quantities, but for the spare."""
    unit = contract[0]
    units, scale, size = unit.units, unit.scale, unit.size
    count = len(ticks) - 1
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
