"""Rows out of PostgreSQL by binary COPY, a whole page at a time: the inverse of `copy`.

The driver takes some microseconds to make the records of one row, and a page has thousands. Here
the SELECT gives every field a fixed width (NULL becomes nan or infinity, text is filled up with
zero bytes, arrays with nan), so that all rows have one layout and a page is one numpy array.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.copy import EPOCH_US, SIGNATURE, TRAILER, wire_format
from alphaplus.storage.tables import NAT, Column, RowArray, Table, Type, table_of

_PLACE: Final = re.compile(r"\$(\d+)")
_INFINITY: Final = 2**63 - 1
"""The time `infinity` as the database sends it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read of a table: `dtype` is the rows' type, `select` the list for SELECT."""

    table: Table
    columns: tuple[Column, ...]
    dtype: np.dtype[np.void]
    wire: np.dtype[Any]
    select: str


@lru_cache(maxsize=256)
def layout_of(table: str, names: tuple[str, ...] = ()) -> Layout:
    """Return how to read these columns of a table (default: all), in the order of the table.

    Counts of array columns come with them. The dtype of all columns is the table's own, except
    that JSON has twice the room, as the database writes it with spaces. Raises StorageError for
    a column that the table has not.
    """
    spec = table_of(table)
    check_columns(spec, names)
    counts = {c.count for c in spec.columns if c.count and (not names or c.name in names)}
    chosen = tuple(
        _read(column)
        for column in spec.columns
        if not names or column.name in names or column.name in counts
    )
    wire: list[Any] = [("fields", ">i2")]
    for column in chosen:
        wire += [(f"{column.name}_length", ">i4"), (column.name, _format(column))]
    counted = {c.count: c.name for c in chosen if c.count}
    return Layout(
        spec,
        chosen,
        np.dtype([column.format for column in chosen]),
        np.dtype(wire),
        ", ".join(_expression(column, counted) for column in chosen),
    )


def check_columns(spec: Table, names: Sequence[str]) -> None:
    """Raise StorageError, naming those there are, unless all `names` are columns of the table."""
    known = [column.name for column in spec.stored]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StorageError(
            f"Expected columns of {spec.name}, was {unknown[0][:64]!r}; there are "
            f"{', '.join(known)}."
        )


async def copy_rows(connection: Any, layout: Layout, condition: str, *arguments: Any) -> RowArray:
    """Return the rows of `SELECT ... FROM table` and `condition`, the rest of the statement.

    `connection` is an asyncpg connection, `arguments` fill the $1, $2, ... of the condition.
    """
    # COPY takes no arguments. The driver asks the server twice to have them quoted.
    filled = _PLACE.sub(lambda found: _literal(arguments[int(found[1]) - 1]), condition)
    payload = bytearray()

    async def collect(data: bytes) -> None:
        payload.extend(data)

    await connection.copy_from_query(
        f"SELECT {layout.select} FROM {layout.table.name} {filled}",
        output=collect,
        format="binary",
    )
    return decode(payload, layout)


def decode(payload: bytes | bytearray, layout: Layout) -> RowArray:
    """Return the rows of a complete binary COPY stream of a layout.

    Raises StorageError if it is not one: a text or an array has more than its column holds.
    """
    body = memoryview(payload)[len(SIGNATURE) : -len(TRAILER)]
    wire = layout.wire
    if len(body) % wire.itemsize or bytes(payload[-len(TRAILER) :]) != TRAILER:
        raise StorageError(
            f"Expected rows of {layout.table.name} of {wire.itemsize} bytes, was another layout; "
            "bring the database to this version with alphaplus migrate."
        )
    sent = np.frombuffer(body, dtype=wire)
    rows = np.empty(len(sent), dtype=layout.dtype)
    for column in layout.columns:
        rows[column.name] = _values(column, sent[column.name])
    return rows


def _literal(value: int | float | str | datetime) -> str:
    """Write a value as SQL does; text as `quote_literal` of the server."""
    match value:
        case datetime():
            return f"'{value.isoformat()}'::timestamptz"
        case str():
            text = value.replace("'", "''").replace("\\", "\\\\")
            return f" E'{text}'" if "\\" in text else f"'{text}'"
        case float():
            return f"'{value!r}'::float8"
        case int():
            return f"{value:d}"


def _read(column: Column) -> Column:
    """Return the column as it is read."""
    if column.type is Type.JSON:
        return Column(column.name, column.type, 2 * column.width, column.nullable)
    return column


def _format(column: Column) -> Any:
    if column.type is Type.JSON:
        return f"S{column.width}"
    return ">i4" if column.type is Type.COUNT else wire_format(column)


def _expression(column: Column, counted: dict[str, str]) -> str:
    name, width = column.name, column.width
    match column.type:
        case Type.COUNT:
            return f"cardinality({counted[name]})"
        case Type.FLOAT8 if column.nullable:
            return f"coalesce({name}, 'NaN')"
        case Type.TIME if column.nullable:
            return f"coalesce({name}, 'infinity')"
        case Type.FLOAT8_ARRAY:
            rest = f"array_fill('NaN'::float8, ARRAY[{width} - cardinality({name})])"
            return f"CASE cardinality({name}) WHEN {width} THEN {name} ELSE {name} || {rest} END"
        case Type.TEXT | Type.JSON:
            filled = f"rpad(encode(convert_to({name}::text, 'UTF8'), 'hex'), {2 * width}, '0')"
            return (
                f"CASE WHEN {name} IS NULL THEN decode(repeat('00', {width}), 'hex') "
                f"ELSE decode({filled}, 'hex') END"
            )
    return name


def _values(column: Column, sent: npt.NDArray[Any]) -> npt.NDArray[Any]:
    match column.type:
        case Type.TIME:
            micros = sent.astype(np.int64)
            times = (micros + EPOCH_US) * 1000
            return np.where(micros == _INFINITY, NAT, times) if column.nullable else times
        case Type.FLOAT8_ARRAY:
            if np.any(sent["size"] != column.width):
                raise StorageError(
                    f"Expected at most {column.width} elements in {column.name}, was more; "
                    "run the version of alphaplus that wrote them."
                )
            return np.asarray(sent["elements"]["value"])
        case Type.JSON:
            if np.any(np.strings.str_len(sent) == column.width):
                raise StorageError(f"Expected {column.name} below {column.width} bytes, was more.")
    return sent
