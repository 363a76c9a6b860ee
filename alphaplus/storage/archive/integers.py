"""Runs of int64: to differences or to a base, then the narrowest width, plane by plane.

Differences wrap around, so that every int64 comes back, the smallest and the largest side by
side too. Zigzag maps small differences of either sign to small numbers: 0, -1, 1, -2 to 0, 1, 2, 3.
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.archive.streams import Sink, Source

Integers = npt.NDArray[np.int64]
Unsigned = npt.NDArray[np.uint64]

_HEAD: Final = struct.Struct("<BBq")
"""Transform, bytes of a number, base."""
_BASE: Final = 0
"""Numbers above the smallest one."""
_DIFFERENCES: Final = 1
"""Zigzag of differences to the number before; the first one is the base."""
_ONE: Final = np.uint64(1)


def put_integers(sink: Sink, values: Integers) -> None:
    """Append int64 numbers, one dimension."""
    if not len(values):
        return
    base = int(values.min())
    above = values.view(np.uint64) - np.uint64(base & 0xFFFFFFFFFFFFFFFF)
    steps = zigzag(values)
    first, second = _narrow(above), _narrow(steps)
    if first is None or second is None:
        # One that is all zero costs nothing; all equal numbers are so above their base.
        chosen = _BASE if first is None else _DIFFERENCES
        narrow = None
    elif _cost(first) <= _cost(second):
        chosen, narrow = _BASE, first
    else:
        chosen, narrow = _DIFFERENCES, second
    size = 0 if narrow is None else narrow.dtype.itemsize
    sink.head(_HEAD, chosen, size, base if chosen == _BASE else int(values[0]))
    if narrow is not None:
        sink.shuffled(narrow)


def take_integers(source: Source, count: int) -> Integers:
    """Read `count` numbers."""
    if not count:
        return np.empty(0, dtype=np.int64)
    chosen, size, base = source.head(_HEAD)
    if chosen not in (_BASE, _DIFFERENCES) or size not in (0, 1, 2, 4, 8):
        raise StorageError(f"Expected a known form of numbers in a block, was {chosen}, {size}.")
    numbers = count if chosen == _BASE else count - 1
    read = source.shuffled(numbers, size) if size else np.zeros(numbers, dtype=np.uint64)
    wide = read.astype(np.uint64)
    if chosen == _BASE:
        return (wide + np.uint64(base & 0xFFFFFFFFFFFFFFFF)).view(np.int64)
    values = np.empty(count, dtype=np.int64)
    values[0] = base
    values[1:] = unzigzag(wide)
    return np.cumsum(values, out=values)


def zigzag(values: Integers) -> Unsigned:
    """Return the differences of neighbours, (len - 1,), as small unsigned numbers."""
    raw = values.view(np.uint64)
    steps = (raw[1:] - raw[:-1]).view(np.int64)
    folded: Unsigned = ((steps << 1) ^ (steps >> 63)).view(np.uint64)
    return folded


def unzigzag(folded: Unsigned) -> Integers:
    """Return the differences that `zigzag` folded."""
    steps: Unsigned = (folded >> _ONE) ^ (~(folded & _ONE) + _ONE)
    return steps.view(np.int64)


def _narrow(values: Unsigned) -> npt.NDArray[np.unsignedinteger] | None:
    """Return the numbers in as few bytes as hold them; None: all are zero."""
    largest = int(values.max()) if len(values) else 0
    if largest == 0:
        return None
    for narrow in (np.uint8, np.uint16, np.uint32):
        if largest <= np.iinfo(narrow).max:
            return values.astype(narrow)
    return values


def _cost(values: npt.NDArray[np.unsignedinteger]) -> float:
    """Estimate the bits after compression: the entropy of each plane of bytes."""
    size = values.dtype.itemsize
    planes = values.view(np.uint8).reshape(-1, size)
    bits = 0.0
    for plane in planes.T:
        counts = np.bincount(plane)
        counts = counts[counts > 0].astype(np.float64)
        bits += len(plane) * np.log2(len(plane)) - float(counts @ np.log2(counts))
    return bits
