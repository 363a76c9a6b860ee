"""Runs of text in fixed fields: each different text once, and which of them a row has."""

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.archive.integers import put_integers, take_integers
from alphaplus.storage.archive.streams import Sink, Source

Texts = npt.NDArray[np.bytes_]
_COUNT: Final = struct.Struct("<I")


def put_texts(sink: Sink, values: Texts) -> None:
    """Append texts (numpy `S`, UTF-8), one dimension."""
    if not len(values):
        return
    if bool((values == values[0]).all()):
        different, which = values[:1], np.zeros(len(values), dtype=np.int64)
    else:
        different, which = np.unique(values, return_inverse=True)
    texts = different.tolist()
    sink.head(_COUNT, len(texts))
    put_integers(sink, np.array([len(text) for text in texts], dtype=np.int64))
    sink.raw(b"".join(texts))
    put_integers(sink, which.astype(np.int64))


def take_texts(source: Source, count: int, dtype: np.dtype[Any]) -> Texts:
    """Read `count` texts into fields of a dtype; raises StorageError if one is too long for it."""
    if not count:
        return np.empty(0, dtype=dtype)
    (number,) = source.head(_COUNT)
    texts = [source.raw(int(length)) for length in take_integers(source, number)]
    if max(map(len, texts)) > dtype.itemsize:
        raise StorageError(
            f"Expected texts of at most {dtype.itemsize} bytes in a block, was "
            f"{max(map(len, texts))}; read it with the version that wrote it."
        )
    which = take_integers(source, count)
    return np.array(texts, dtype=dtype)[which]
