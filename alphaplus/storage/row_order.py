"""The order in which rows of one instrument are read: by time, then by the rest of their key.

A natural key is unique, so the order is the same every time, and a place in it is the key of
the last row that was read. Text is ordered by its bytes (`COLLATE "C"` in SQL), as numpy does.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from alphaplus.rows import join_rows
from alphaplus.storage.tables import RowArray, Table, Type

Key = tuple[int | float | str, ...]
"""The key of one row besides exchange and symbol, time (ns) first."""


def order_of(spec: Table) -> tuple[str, ...]:
    """Return the columns that order a table: time, then the rest of its natural key."""
    return ("time", *(name for name in spec.key if name != "time"))


def key_types(spec: Table) -> tuple[Type, ...]:
    """Return the types of the columns that order a table."""
    by_name = {column.name: column.type for column in spec.columns}
    return tuple(by_name[name] for name in order_of(spec))


def key_of(rows: RowArray, at: int, spec: Table) -> Key:
    """Return the key of one row."""
    values = (rows[name][at].item() for name in order_of(spec))
    return tuple(value.decode() if isinstance(value, bytes) else value for value in values)


def after(rows: RowArray, key: Key, spec: Table) -> RowArray:
    """Return the rows whose key comes after `key`."""
    later = np.zeros(len(rows), dtype=np.bool_)
    for name, value in zip(reversed(order_of(spec)), reversed(key), strict=True):
        values = rows[name]
        wanted = value.encode() if isinstance(value, str) else value
        later = (values > wanted) | ((values == wanted) & later)
    return rows[later]


def merged(first: RowArray, second: RowArray, spec: Table) -> RowArray:
    """Return the rows of both, each ordered, in order, each key once; `first` has precedence."""
    if not len(first) or not len(second):
        return first if len(first) else second
    return ordered(join_rows([np.ascontiguousarray(first), np.ascontiguousarray(second)]), spec)


def ordered(rows: RowArray, spec: Table) -> RowArray:
    """Return rows in order, each key once: of rows of one key that which stands first."""
    if len(rows) < 2:
        return rows
    rows = rows[np.lexsort([rows[name] for name in reversed(order_of(spec))])]  # stable
    new = np.ones(len(rows), dtype=np.bool_)
    new[1:] = False
    for name in order_of(spec):
        values: npt.NDArray[Any] = rows[name]
        new[1:] |= values[1:] != values[:-1]
    return rows[new]
