"""From frames of the spool to groups of rows: one group per table, written in one transaction.

Rows of one instrument come together, so that they lie together in the database too. A key that
comes twice is found by a hash of the keys of a whole table; only a table in which two hashes are
equal (or keys are text) is sorted, instrument by instrument. Rows whose time cannot be are
set aside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.rows import join_rows
from alphaplus.storage.spool import Frame
from alphaplus.storage.tables import (
    MAX_TIME_NS,
    MIN_TIME_NS,
    TABLES,
    RowArray,
    TableBatch,
    read_schemas,
)

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)

_Instruments = Mapping[tuple[str, str], Sequence[TableBatch]]


@dataclass(slots=True)
class Group:
    """Batches of one table that are written in one transaction."""

    table: str
    parts: list[TableBatch]
    staged: bool
    """Rows may be in the database already."""

    @property
    def rows(self) -> int:
        return sum(map(len, self.parts))

    def halves(self) -> tuple["Group", "Group"]:
        """Cut in two, to find a bad row; both may be in the database by then."""
        first: list[TableBatch] = []
        second: list[TableBatch] = []
        room = self.rows // 2
        for part in self.parts:
            cut = min(room, len(part))
            room -= cut
            for rows, half in ((part.rows[:cut], first), (part.rows[cut:], second)):
                if len(rows):
                    half.append(TableBatch(part.table, part.exchange, part.symbol, rows))
        return Group(self.table, first, True), Group(self.table, second, True)


@dataclass(slots=True)
class Merged:
    """What the frames of one read come to."""

    groups: list[Group] = field(default_factory=list)
    duplicate: int = 0
    dead: list[tuple[TableBatch, str]] = field(default_factory=list)
    unreadable: list[tuple[Frame, str]] = field(default_factory=list)


def merge(frames: Sequence[Frame]) -> Merged:
    """Put the batches of each table together: instrument by instrument, keys once."""
    merged = Merged()
    tables: dict[str, dict[tuple[str, str], list[TableBatch]]] = {}
    for frame in frames:
        try:
            batch = TableBatch.from_bytes(frame.payload, read_schemas(frame.head))
        except StorageError as error:
            merged.unreadable.append((frame, str(error)))
            continue
        instruments = tables.setdefault(batch.table, {})
        instruments.setdefault((batch.exchange, batch.symbol), []).append(batch)
    for table, found in tables.items():
        parts = [part for of_one in found.values() for part in of_one]
        if not is_clean(found):
            parts = list(_cleaned(found, merged))
        if parts:
            merged.groups.append(Group(table, parts, frames[0].recovered))
    return merged


def is_clean(instruments: _Instruments) -> bool:
    """Say whether all times of a table's batches can be, and certainly no key comes twice.

    False may be wrong, True is not.
    """
    counts = [sum(map(len, parts)) for parts in instruments.values()]
    rows = join_rows([part.rows for parts in instruments.values() for part in parts])
    if not _timely(rows).all():
        return False
    key = next(iter(instruments.values()))[0].spec.key
    if any(rows.dtype[name].kind == "S" for name in key):
        return False
    mixed = np.repeat(np.arange(1, len(counts) + 1, dtype=np.uint64), counts)
    for name in key:
        # The zero makes -0.0, which the database takes for equal, to 0.0.
        values = rows[name] + 0.0 if rows.dtype[name].kind == "f" else rows[name].astype(np.int64)
        mixed *= _ODD
        mixed ^= mixed >> _HALF
        mixed ^= values.view(np.uint64)
    mixed.sort()
    return not bool((mixed[1:] == mixed[:-1]).any())


def once(rows: RowArray, key: tuple[str, ...]) -> RowArray:
    """Return the rows without those whose key comes again later."""
    if len(rows) < 2:
        return rows
    order = np.lexsort([rows[name] for name in key])
    repeated = np.ones(len(rows) - 1, dtype=np.bool_)
    for name in key:
        values = rows[name][order]
        repeated &= values[1:] == values[:-1]
    if not repeated.any():
        return rows
    keep = np.ones(len(rows), dtype=np.bool_)
    keep[order[:-1][repeated]] = False  # lexsort is stable: of equal keys the last one stays
    return rows[keep]


def _cleaned(instruments: _Instruments, merged: Merged) -> Iterable[TableBatch]:
    """Yield a batch per instrument, and note what is left out."""
    for (exchange, symbol), parts in instruments.items():
        table = parts[0].table
        rows = join_rows([part.rows for part in parts])
        timely = _timely(rows)
        if not timely.all():
            strange = TableBatch(table, exchange, symbol, rows[~timely])
            merged.dead.append((strange, "its time is not between 2000 and 2100"))
            rows = rows[timely]
        unique = once(rows, TABLES[table].key)
        merged.duplicate += len(rows) - len(unique)
        if len(unique):
            yield TableBatch(table, exchange, symbol, unique)


def _timely(rows: RowArray) -> npt.NDArray[np.bool_]:
    timely: npt.NDArray[np.bool_] = (rows["time"] >= MIN_TIME_NS) & (rows["time"] < MAX_TIME_NS)
    return timely
