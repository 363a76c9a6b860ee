"""Rows to PostgreSQL's binary COPY format, a whole batch at a time.

A row type becomes a "wire" dtype: the same columns as big-endian numbers, each behind its
int32 length, in the order of the table. Filling it is one numpy assignment per column. What
varies in length (NULL, text, arrays) is given its full width, and a mask then drops the bytes
that are not meant.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; arrays as in
`array_send`: int32 dimensions, flags, element type oid, then size and lower bound of each
dimension, then every element behind its length.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.storage.tables import NAT, Column, Table, TableBatch, Type, table_of

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
EPOCH_US: Final = 946_684_800 * 10**6
"""2000-01-01 in microseconds since 1970, where PostgreSQL's time starts."""
_FLOAT8_OID: Final = 701
_ELEMENT: Final = np.dtype([("length", ">i4"), ("value", ">f8")])
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
    return b"".join((SIGNATURE, *(encode_rows(batch) for batch in batches), TRAILER))


def encode_rows(batch: TableBatch) -> bytes:
    """Encode the rows of one batch, without the stream's head and trailer."""
    exchange, symbol = batch.exchange.encode(), batch.symbol.encode()
    dtype = _wire_dtype(batch.table, len(exchange), len(symbol))
    wire = np.empty(len(batch.rows), dtype=dtype)
    wire["fields"] = 2 + len(batch.spec.stored)
    for name, value in (("exchange", exchange), ("symbol", symbol)):
        wire[f"{name}_length"] = len(value)
        wire[name] = value
    mask = _Mask(wire)
    for column in batch.spec.stored:
        _FILL[column.type](wire, mask, column, batch.rows)
    return mask.apply()


class _Mask:
    """Which bytes of the wire rows are meant; made only once a byte is not."""

    def __init__(self, wire: npt.NDArray[Any]) -> None:
        self._wire = wire
        self._keep: npt.NDArray[np.bool_] | None = None

    def of(self, name: str) -> npt.NDArray[np.bool_]:
        """Return the part of the mask for one wire field, (rows, bytes)."""
        if self._keep is None:
            self._keep = np.ones((len(self._wire), self._wire.dtype.itemsize), dtype=np.bool_)
        fields = self._wire.dtype.fields
        assert fields is not None
        dtype, offset = fields[name][:2]
        return self._keep[:, offset : offset + dtype.itemsize]

    def apply(self) -> bytes:
        if self._keep is None:
            return self._wire.tobytes()
        octets = self._wire.view(np.uint8).reshape(self._keep.shape)
        return octets[self._keep].tobytes()


def _fill_time(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    times = rows[column.name]
    wire[column.name] = times // 1000 - EPOCH_US
    _nulls(wire, mask, column, times == NAT)


def _fill_float(wire: Any, mask: _Mask, column: Column, rows: Any) -> None:
    values = rows[column.name]
    wire[column.name] = values
    _nulls(wire, mask, column, np.isnan(values))


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
