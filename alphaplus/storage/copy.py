"""Rows to PostgreSQL's binary COPY format, a whole batch at a time.

A row type becomes a "wire" dtype: the same columns as big-endian numbers, each behind its
int32 length, in the order of the table. Filling it is one numpy assignment per column, or per
run of neighbouring float columns. What varies in length (NULL, text, arrays) is given its full
width, and a mask then drops the bytes that are not meant.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; arrays as in
`array_send`: int32 dimensions, flags, element type oid, then size and lower bound of each
dimension, then every element behind its length.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.rows import join_rows
from alphaplus.storage.tables import NAT, Column, Table, TableBatch, Type, table_of

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
EPOCH_US: Final = 946_684_800 * 10**6
"""2000-01-01 in microseconds since 1970, where PostgreSQL's time starts."""
PIECE_BYTES: Final = 256 * 2**10
"""Rows that are encoded at once: their wire form and its mask stay in the processor's cache."""
_FLOAT8_OID: Final = 701
_ELEMENT: Final = np.dtype([("length", ">i4"), ("value", ">f8")])
"""A float behind its length: of an array, or a column."""
_ARRAY_HEAD: Final = 20
"""Bytes of an array before its elements; an empty array has the first 12 only."""

_WIRE: Final[dict[Type, str]] = {
    Type.TIME: ">i8",
    Type.INT8: ">i8",
    Type.INT4: ">i4",
    Type.INT2: ">i2",
    Type.FLOAT8: ">f8",
    Type.BOOL: "u1",
}


def copy_columns(table: str) -> list[str]:
    """Return the column names in the order in which `copy_payload` writes them."""
    return ["exchange", "symbol", *(column.name for column in table_of(table).stored)]


def copy_payload(batches: Iterable[TableBatch]) -> bytes:
    """Encode batches of one table as a complete binary COPY stream."""
    return b"".join(copy_pieces(batches))


def copy_pieces(batches: Iterable[TableBatch]) -> Iterator[bytes]:
    """Encode batches of one table as pieces that make up a complete binary COPY stream.

    A piece holds rows of as many batches as have names of equal length and fit.
    """
    yield SIGNATURE
    gathered: list[TableBatch] = []
    room, shape = 0, (0, 0)
    for piece in (piece for batch in batches for piece in batch.pieces(PIECE_BYTES)):
        names = (len(piece.exchange.encode()), len(piece.symbol.encode()))
        if gathered and (names != shape or piece.rows.nbytes > room):
            yield encode_rows(gathered)
            gathered = []
        if not gathered:
            room, shape = PIECE_BYTES, names
        gathered.append(piece)
        room -= piece.rows.nbytes
    if gathered:
        yield encode_rows(gathered)
    yield TRAILER


def encode_rows(batches: Sequence[TableBatch]) -> bytes:
    """Encode the rows of batches of one table, without the stream's head and trailer.

    The names of their instruments are of equal length.
    """
    table, counts = batches[0].table, [len(batch) for batch in batches]
    rows = join_rows([np.ascontiguousarray(batch.rows) for batch in batches])
    exchanges = [batch.exchange.encode() for batch in batches]
    symbols = [batch.symbol.encode() for batch in batches]
    wire = np.empty(len(rows), dtype=_wire_dtype(table, len(exchanges[0]), len(symbols[0])))
    wire["fields"] = 2 + len(batches[0].spec.stored)
    for name, values in (("exchange", exchanges), ("symbol", symbols)):
        wire[f"{name}_length"] = len(values[0])
        wire[name] = values[0] if len(values) == 1 else np.repeat(np.array(values), counts)
    mask = _Mask(wire)
    for columns in _runs(table):
        if len(columns) > 1:
            _fill_floats(wire, mask, columns, rows)
        else:
            _FILL[columns[0].type](wire, mask, columns[0], rows)
    return mask.apply()


class _Mask:
    """Which bytes of the wire rows are meant; made only once a byte is not."""

    def __init__(self, wire: npt.NDArray[Any]) -> None:
        self._wire = wire
        self._keep: npt.NDArray[np.bool_] | None = None

    def of(self, name: str) -> npt.NDArray[np.bool_]:
        """Return the part of the mask for one wire field, (rows, bytes)."""
        offset = _offset(self._wire, name)
        return self.between(offset, offset + self._wire.dtype[name].itemsize)

    def between(self, start: int, end: int) -> npt.NDArray[np.bool_]:
        """Return the part of the mask for some bytes of each row, (rows, bytes)."""
        if self._keep is None:
            self._keep = np.ones((len(self._wire), self._wire.dtype.itemsize), dtype=np.bool_)
        return self._keep[:, start:end]

    def apply(self) -> bytes:
        keep = self._keep
        if keep is None:
            return self._wire.tobytes()
        octets = self._wire.view(np.uint8).reshape(keep.shape)
        if len(keep) and (keep == keep[0]).all():  # the same columns are NULL in all rows
            return _columns_of(octets, keep[0]).tobytes()
        return octets[keep].tobytes()


def _columns_of(
    octets: npt.NDArray[np.uint8], keep: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return the bytes of every row that are kept, (rows, kept), copied run by run."""
    edges = np.flatnonzero(np.diff(keep, prepend=False, append=False))
    kept = np.empty((len(octets), np.count_nonzero(keep)), dtype=np.uint8)
    at = 0
    for start, end in edges.reshape(-1, 2).tolist():
        kept[:, at : at + end - start] = octets[:, start:end]
        at += end - start
    return kept


def _fill_time(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    times = rows[column.name]
    wire[column.name] = times // 1000 - EPOCH_US
    _nulls(wire, mask, column, times == NAT)


def _fill_float(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    values = rows[column.name]
    wire[column.name] = values
    _nulls(wire, mask, column, np.isnan(values))


def _fill_floats(wire: Any, mask: _Mask, columns: tuple[Column, ...], rows: Any) -> None:
    """Fill neighbouring float columns at once."""
    first, shape = columns[0].name, (len(rows), len(columns))
    values: npt.NDArray[np.float64] = np.ndarray(
        shape, "<f8", rows, _offset(rows, first), (rows.strides[0], 8)
    )
    start = _offset(wire, f"{first}_length")
    fields: Any = np.ndarray(shape, _ELEMENT, wire, start, (wire.strides[0], _ELEMENT.itemsize))
    fields["value"] = values
    null = np.isnan(values)
    if not null.any():
        fields["length"] = 8
        return
    fields["length"] = np.where(null, -1, 8)
    part = mask.between(start, start + _ELEMENT.itemsize * len(columns))
    part.reshape(*shape, _ELEMENT.itemsize)[..., 4:] = ~null[..., None]


def _fill_plain(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    wire[column.name] = rows[column.name]
    wire[f"{column.name}_length"] = wire.dtype[column.name].itemsize


def _fill_text(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    values = rows[column.name]
    wire[column.name] = values
    lengths = np.strings.str_len(values)
    mask.of(column.name)[:] = np.arange(column.width) < lengths[:, None]
    wire[f"{column.name}_length"] = (
        np.where(lengths == 0, -1, lengths) if column.nullable else lengths
    )


def _fill_json(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    values = rows[column.name]
    wire[column.name]["version"] = 1
    wire[column.name]["text"] = values
    lengths = 1 + np.strings.str_len(values)
    mask.of(column.name)[:] = np.arange(1 + column.width) < lengths[:, None]
    wire[f"{column.name}_length"] = lengths


def _fill_array(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    counts = np.clip(rows[column.count], 0, column.width)
    field = wire[column.name]
    field["dimensions"] = counts > 0
    field["flags"] = 0
    field["oid"] = _FLOAT8_OID
    field["size"] = counts
    field["lower"] = 1
    field["elements"]["length"] = 8
    field["elements"]["value"] = rows[column.name]
    lengths = _ARRAY_HEAD + _ELEMENT.itemsize * counts
    wire[f"{column.name}_length"] = np.where(counts > 0, lengths, 12)
    if (counts < column.width).any():
        size = np.where(counts > 0, lengths, 12)
        mask.of(column.name)[:] = np.arange(wire.dtype[column.name].itemsize) < size[:, None]


def _nulls(wire: Any, mask: _Mask, column: Column, null: npt.NDArray[np.bool_]) -> None:
    width = wire.dtype[column.name].itemsize
    if null.any():
        mask.of(column.name)[null] = False
        wire[f"{column.name}_length"] = np.where(null, -1, width)
    else:
        wire[f"{column.name}_length"] = width


_FILL: Final = {
    Type.TIME: _fill_time,
    Type.FLOAT8: _fill_float,
    Type.INT8: _fill_plain,
    Type.INT4: _fill_plain,
    Type.INT2: _fill_plain,
    Type.BOOL: _fill_plain,
    Type.TEXT: _fill_text,
    Type.JSON: _fill_json,
    Type.FLOAT8_ARRAY: _fill_array,
}


def _offset(rows: npt.NDArray[Any], name: str) -> int:
    fields = rows.dtype.fields
    assert fields is not None
    return int(fields[name][1])


@lru_cache(maxsize=64)
def _runs(table: str) -> tuple[tuple[Column, ...], ...]:
    """Return the stored columns in order, neighbouring floats together."""
    runs: list[tuple[Column, ...]] = []
    for are_floats, columns in groupby(table_of(table).columns, lambda c: c.type is Type.FLOAT8):
        stored = [column for column in columns if column.type is not Type.COUNT]
        runs += [tuple(stored)] if are_floats else [(column,) for column in stored]
    return tuple(runs)


@lru_cache(maxsize=1024)
def _wire_dtype(table: str, exchange: int, symbol: int) -> np.dtype[Any]:
    spec: Table = table_of(table)
    fields: list[Any] = [("fields", ">i2")]
    fields += [("exchange_length", ">i4"), ("exchange", f"S{exchange}")]
    fields += [("symbol_length", ">i4"), ("symbol", f"S{symbol}")]
    for column in spec.stored:
        fields += [(f"{column.name}_length", ">i4"), (column.name, wire_format(column))]
    return np.dtype(fields)


def wire_format(column: Column) -> Any:
    """Return the numpy format of a column in the stream, at its full width."""
    if column.type is Type.TEXT:
        return f"S{column.width}"
    if column.type is Type.JSON:  # jsonb_recv: a version, then the text
        return np.dtype([("version", "u1"), ("text", f"S{column.width}")])
    if column.type is Type.FLOAT8_ARRAY:
        head = [(name, ">i4") for name in ("dimensions", "flags", "oid", "size", "lower")]
        return np.dtype([*head, ("elements", _ELEMENT, (column.width,))])
    return _WIRE[column.type]
