"""Runs of float64: as multiples of a decimal step where they are exactly that, else as bits.

The nan that means NULL is told apart by a bitmap, any other nan keeps its bits.
"""

import struct
from typing import Final

import numpy as np

from alphaplus.storage.archive.grid import Floats, from_whole, put_whole, take_grid
from alphaplus.storage.archive.integers import put_integers, take_integers
from alphaplus.storage.archive.streams import Sink, Source

NULL_BITS: Final = int(np.array(np.nan).view(np.int64))

_HEAD: Final = struct.Struct("<??")
"""Whether all values are equal, and whether a bitmap of NULL comes next."""
_ONE: Final = struct.Struct("<q")


def put_floats(sink: Sink, values: Floats) -> None:
    """Append float64 values, one dimension."""
    if not len(values):
        return
    bits = np.ascontiguousarray(values).view(np.int64)
    known = bits != NULL_BITS
    mixed = bool(known.any()) and not bool(known.all())
    if mixed:
        bits = bits[known]
    equal = bool((bits == bits[0]).all())
    sink.head(_HEAD, equal, mixed)
    if mixed:
        sink.raw(np.packbits(known).tobytes())
    if equal:
        sink.head(_ONE, int(bits[0]))
    else:
        put_integers(sink, put_whole(sink, bits.view(np.float64)))


def take_floats(source: Source, count: int) -> Floats:
    """Read `count` values."""
    if not count:
        return np.empty(0)
    equal, mixed = source.head(_HEAD)
    if not mixed:
        return _take_known(source, equal, count)
    packed = np.frombuffer(source.raw((count + 7) // 8), dtype=np.uint8)
    known = np.unpackbits(packed, count=count).view(np.bool_)
    values = np.full(count, np.nan)
    values[known] = _take_known(source, equal, int(np.count_nonzero(known)))
    return values


def _take_known(source: Source, equal: bool, count: int) -> Floats:
    if equal:
        return np.full(count, source.head(_ONE)[0], dtype=np.int64).view(np.float64)
    grid = take_grid(source)
    return from_whole(grid, take_integers(source, count))
