"""Bytes of a block in the making, and their reading: small heads and runs of integers."""

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError

_UNSIGNED: Final[dict[int, np.dtype[Any]]] = {size: np.dtype(f"<u{size}") for size in (1, 2, 4, 8)}


class Sink:
    """Collects the parts of a block's body."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def head(self, layout: struct.Struct, *values: Any) -> None:
        """Append a few fields."""
        self._parts.append(layout.pack(*values))

    def raw(self, data: bytes) -> None:
        """Append bytes whose length the reader knows."""
        self._parts.append(data)

    def shuffled(self, values: npt.NDArray[Any]) -> None:
        """Append the bytes of numbers plane by plane: all lowest bytes first, and so on."""
        size = values.dtype.itemsize
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        self._parts.append(little.view(np.uint8).reshape(-1, size).T.tobytes())

    def joined(self) -> bytes:
        """Return everything."""
        return b"".join(self._parts)


class Source:
    """Reads what a `Sink` collected; raises StorageError where there is less than is asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> int:
        """Bytes that were not read."""
        return len(self._data) - self._at

    def head(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Read a few fields."""
        return layout.unpack(self.raw(layout.size))

    def raw(self, size: int) -> bytes:
        """Read so many bytes."""
        if not 0 <= size <= self.rest:
            raise StorageError(f"Expected {size} more bytes in a block, was {self.rest}.")
        self._at += size
        return self._data[self._at - size : self._at]

    def shuffled(self, count: int, size: int) -> npt.NDArray[Any]:
        """Read `count` unsigned numbers of `size` bytes that lie plane by plane."""
        planes = np.frombuffer(self.raw(count * size), dtype=np.uint8).reshape(size, count)
        return np.ascontiguousarray(planes.T).view(_UNSIGNED[size]).reshape(count)
