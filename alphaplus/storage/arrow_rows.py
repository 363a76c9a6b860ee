"""Stored rows as Arrow record batches.

The schema of a table: `time`, `exchange` and `symbol`, then the columns asked for (default: all),
in the order of the table. Times are timestamp[us, UTC], arrays list<double>, JSON is text, sides
and other codes are the small integers of the database; NULL is null, never nan.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from alphaplus.storage.history_query import SERIES, HistoryQuery
from alphaplus.storage.history_reader import Piece, answered
from alphaplus.storage.tables import NAT, Column, RowArray, Type

_TYPES: Final[dict[Type, Any]] = {
    Type.TIME: pa.timestamp("us", tz="UTC"),
    Type.INT8: pa.int64(),
    Type.INT4: pa.int32(),
    Type.INT2: pa.int16(),
    Type.FLOAT8: pa.float64(),
    Type.BOOL: pa.bool_(),
    Type.TEXT: pa.string(),
    Type.JSON: pa.string(),
    Type.FLOAT8_ARRAY: pa.list_(pa.field("item", pa.float64(), nullable=False)),
}


def schema_of(query: HistoryQuery) -> Any:
    """Return the pyarrow schema of a query's answer; its metadata names the table."""
    head = [
        pa.field("time", _TYPES[Type.TIME], nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in SERIES),
    ]
    columns = [
        pa.field(column.name, _TYPES[column.type], nullable=column.nullable)
        for column in answered(query)
    ]
    return pa.schema([*head, *columns], metadata={"table": query.table})


def record_batch(piece: Piece, query: HistoryQuery) -> Any:
    """Return the rows of a piece as one pyarrow.RecordBatch of `schema_of(query)`."""
    rows = piece.rows
    names = (pa.repeat(pa.scalar(name, pa.string()), len(rows)) for name in
             (piece.exchange, piece.symbol))  # fmt: skip
    columns = (_array(rows, column) for column in answered(query))
    return pa.record_batch([_times(rows["time"]), *names, *columns], schema=schema_of(query))


def _array(rows: RowArray, column: Column) -> Any:
    values = rows[column.name]
    match column.type:
        case Type.TIME:
            return _times(values)
        case Type.FLOAT8_ARRAY:
            counts = rows[column.count]
            meant = np.arange(column.width) < counts[:, None]
            offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
            inner = pa.array(values[meant], pa.float64())
            return pa.ListArray.from_arrays(offsets, inner, type=_TYPES[column.type])
        case Type.TEXT | Type.JSON:
            mask = values == b"" if column.nullable else None
            return pa.array(values, pa.binary(), mask=mask).cast(pa.string())
        case Type.FLOAT8 if column.nullable:
            return pa.array(values, pa.float64(), from_pandas=True)
    return pa.array(values, _TYPES[column.type])


def _times(values: Any) -> Any:
    unknown = values == NAT
    micros = np.where(unknown, 0, values // 1000)
    mask = unknown if unknown.any() else None
    return pa.array(micros, pa.int64(), mask=mask).cast(_TYPES[Type.TIME])
