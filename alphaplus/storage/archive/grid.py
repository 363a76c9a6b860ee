"""Decimals as whole numbers: prices and quantities are float64 nearest to tick * 10**-d.

Where dividing a whole number by the power of ten gives the same bits back, the whole number is
kept. A few values off the grid (also nan, infinities, -0.0) are kept beside it as bits; where
they are many there is no grid.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.archive.integers import Integers, put_integers, take_integers
from alphaplus.storage.archive.streams import Sink, Source

Floats = npt.NDArray[np.float64]

MAX_DECIMALS: Final = 12
_POWERS: Final = 10.0 ** np.arange(MAX_DECIMALS + 1)
_LARGEST: Final = 2.0**53
_SAMPLE: Final = 64
_ODD_PART: Final = 8
"""At most one in so many values may be off the grid."""
_HEAD: Final = struct.Struct("<BqI")
"""Decimals, common factor of the whole numbers, values off the grid."""
_NONE: Final = 255
"""In place of decimals: there is no grid, the whole numbers are the bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Values are `whole * factor / 10**decimals`, but those at `odd` (ascending) have `bits`."""

    decimals: int
    factor: int
    odd: Integers
    bits: Integers


def put_whole(sink: Sink, values: Floats) -> Integers:
    """Append how values become whole numbers, and return these; they are for the caller to keep.

    They are multiples of a decimal step if there is one, else the bits of the values.
    """
    found = find_grid(values)
    if found is None:
        sink.head(_HEAD, _NONE, 1, 0)
        return values.view(np.int64)
    grid, whole = found
    sink.head(_HEAD, grid.decimals, grid.factor, len(grid.odd))
    if len(grid.odd):
        put_integers(sink, grid.odd)
        sink.shuffled(grid.bits)
    return whole


def take_grid(source: Source) -> Grid | None:
    """Read what `put_whole` appended; None: there is no grid."""
    decimals, factor, count = source.head(_HEAD)
    if decimals == _NONE:
        return None
    if decimals > MAX_DECIMALS or factor < 1:
        raise StorageError(f"Expected a decimal step in a block, was {factor} of 10**-{decimals}.")
    odd = take_integers(source, count)
    bits = source.shuffled(count, 8).view(np.int64)
    return Grid(decimals=decimals, factor=factor, odd=odd, bits=bits)


def from_whole(grid: Grid | None, whole: Integers) -> Floats:
    """Return the values that whole numbers stand for."""
    if grid is None:
        return whole.view(np.float64)
    values: Floats = whole * grid.factor / _POWERS[grid.decimals]
    values.view(np.int64)[grid.odd] = grid.bits
    return values


def find_grid(values: Floats) -> tuple[Grid, Integers] | None:
    """Return the widest decimal step that values are multiples of, and the multiples."""
    sample = values[:: max(1, len(values) // _SAMPLE)]
    for decimals in range(MAX_DECIMALS + 1):
        if not _fits(_multiples(sample, decimals)[1]):
            continue
        whole, exact = _multiples(values, decimals)
        if not _fits(exact):
            continue
        odd = np.flatnonzero(~exact)
        factor = _common_factor(whole)
        bits = values.view(np.int64)[odd]
        grid = Grid(decimals=decimals, factor=factor, odd=odd, bits=bits)
        return grid, whole // factor if factor > 1 else whole
    return None


def _fits(exact: npt.NDArray[np.bool_]) -> bool:
    return int(np.count_nonzero(exact)) * _ODD_PART >= len(exact) * (_ODD_PART - 1)


def _multiples(values: Floats, decimals: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the nearest whole numbers, and which of them give the value back bit for bit."""
    power = _POWERS[decimals]
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.rint(values * power)
        usable = np.abs(near) < _LARGEST
        near[~usable] = 0.0
        whole = near.astype(np.int64)
        exact = usable & ((whole / power).view(np.int64) == values.view(np.int64))
    return whole, exact


def _common_factor(whole: Integers) -> int:
    factor = int(np.gcd.reduce(whole[:_SAMPLE]))
    return factor if factor > 1 and not (whole % factor).any() else 1
