"""The columns of a table's rows, one after another, each in the form that suits its type.

A column stands with its name, so that a version with more columns reads what one with fewer wrote:
what a block does not have is NULL.
"""

import struct
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.archive.derived import derived_bits
from alphaplus.storage.archive.floats import put_floats, take_floats
from alphaplus.storage.archive.integers import Integers, put_integers, take_integers
from alphaplus.storage.archive.levels import put_levels, take_levels
from alphaplus.storage.archive.streams import Sink, Source
from alphaplus.storage.archive.texts import put_texts, take_texts
from alphaplus.storage.tables import NAT, Column, RowArray, Table, Type

_COUNT: Final = struct.Struct("<H")
_NAME: Final = struct.Struct("<cB")
"""Form of the column, length of its name, which follows."""
_MEMBERS: Final = struct.Struct("<B")
"""Columns of arrays that are kept together; their names follow."""
_TIME: Final = struct.Struct("<I?")
"""ns of a unit, and whether a bitmap of NULL comes before the times."""
_UNITS: Final = (1_000_000, 1000, 1)

_TIMES, _NUMBERS, _FLOATS, _TEXTS, _ARRAYS, _DERIVED = b"t", b"i", b"f", b"s", b"a", b"d"
_FORMS: Final = {
    Type.TIME: _TIMES,
    Type.INT8: _NUMBERS,
    Type.INT4: _NUMBERS,
    Type.INT2: _NUMBERS,
    Type.BOOL: _NUMBERS,
    Type.COUNT: _NUMBERS,
    Type.FLOAT8: _FLOATS,
    Type.TEXT: _TEXTS,
    Type.JSON: _TEXTS,
    Type.FLOAT8_ARRAY: _ARRAYS,
}


def put_rows(sink: Sink, table: Table, rows: RowArray) -> None:
    """Append all columns of rows of a table."""
    groups = [list(group) for _, group in groupby(table.columns, _shared)]
    sink.head(_COUNT, len(groups))
    for group in groups:
        column = group[0]
        values = rows[column.name]
        expected = derived_bits(table.name, column.name, rows)
        form = _FORMS[column.type] if expected is None else _DERIVED
        _put_name(sink, form, column.name)
        if form == _ARRAYS:
            sink.head(_MEMBERS, len(group) - 1)
            for member in group[1:]:
                _put_name(sink, form, member.name)
            put_levels(sink, [rows[member.name] for member in group], _counts(rows, column))
        elif expected is not None:
            put_integers(sink, np.ascontiguousarray(values).view(np.int64) ^ expected)
        else:
            _PUT[form](sink, values)


def take_rows(source: Source, table: Table, count: int) -> RowArray:
    """Read `count` rows; raises StorageError for columns that the table no longer has."""
    rows = table.rows(count)
    columns = {column.name: column for column in table.columns}
    (groups,) = source.head(_COUNT)
    for _ in range(groups):
        form, name = _take_name(source)
        if form == _ARRAYS:
            (more,) = source.head(_MEMBERS)
            names = [name, *(_take_name(source)[1] for _ in range(more))]
            members = [_known(columns, member, form, table) for member in names]
            width, counts = members[0].width, _counts(rows, members[0])
            arrays = take_levels(source, len(members), width, counts)
            for member, array in zip(members, arrays, strict=True):
                rows[member.name] = array
            continue
        column = _known(columns, name, form, table)
        if form == _DERIVED:
            expected = derived_bits(table.name, name, rows)
            if expected is None:
                raise StorageError(f"Expected {table.name}.{name} to follow from other columns.")
            rows[name] = (take_integers(source, count) ^ expected).view(np.float64)
        elif form == _TEXTS:
            rows[name] = take_texts(source, count, np.dtype(f"S{column.width}"))
        else:
            rows[name] = _TAKE[form](source, count)
    return rows


def _shared(column: Column) -> str:
    """Name what is kept together: arrays that share their lengths, any other column alone."""
    return column.count or column.name


def _counts(rows: RowArray, column: Column) -> npt.NDArray[np.int16]:
    counts: npt.NDArray[np.int16] = np.clip(rows[column.count], 0, column.width)
    return counts


def _put_name(sink: Sink, form: bytes, name: str) -> None:
    encoded = name.encode()
    sink.head(_NAME, form, len(encoded))
    sink.raw(encoded)


def _take_name(source: Source) -> tuple[bytes, str]:
    form, length = source.head(_NAME)
    return form, source.raw(length).decode(errors="replace")


def _known(columns: dict[str, Column], name: str, form: bytes, table: Table) -> Column:
    column = columns.get(name)
    if column is None or (form != _FORMS[column.type] and form != _DERIVED):
        raise StorageError(
            f"Expected the columns of {table.name} as this version has them, was {name!r} in a "
            "block; read it with the version that wrote it."
        )
    return column


def _put_times(sink: Sink, times: Integers) -> None:
    null = times == NAT
    mixed = bool(null.any())
    dense = times[~null] if mixed else times
    unit = next(unit for unit in _UNITS if not (dense % unit).any())
    sink.head(_TIME, unit, mixed)
    if mixed:
        put_integers(sink, null.astype(np.int64))
    put_integers(sink, dense // unit)


def _take_times(source: Source, count: int) -> Integers:
    unit, mixed = source.head(_TIME)
    known = take_integers(source, count) == 0 if mixed else np.ones(count, dtype=np.bool_)
    times = np.full(count, NAT)
    times[known] = take_integers(source, int(np.count_nonzero(known))) * unit
    return times


def _put_numbers(sink: Sink, values: npt.NDArray[Any]) -> None:
    put_integers(sink, values.astype(np.int64))


_PUT: Final[dict[bytes, Callable[[Sink, Any], None]]] = {
    _TIMES: _put_times,
    _NUMBERS: _put_numbers,
    _FLOATS: put_floats,
    _TEXTS: put_texts,
}
_TAKE: Final[dict[bytes, Callable[[Source, int], Any]]] = {
    _TIMES: _take_times,
    _NUMBERS: take_integers,
    _FLOATS: take_floats,
}
