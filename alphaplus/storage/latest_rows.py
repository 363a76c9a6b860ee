"""The newest rows of an instrument in memory, as they are handed to the store.

A row is here when it goes to the store, so memory may lead the database by one flush. Only tables
that nobody but the symbol's actor writes are kept, or the newest row of the database could be
another's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.row_order import merged, ordered
from alphaplus.storage.tables import MIN_TIME_NS, NAT, RowArray, Table, Type, table_of

KEPT: Final = (
    "enhanced_order_book_snapshots",
    "order_book_deltas",
    "market_trades",
    "market_depth_analysis",
    "liquidation_events",
)
"""Tables with a ring; others have few rows, rows of other writers, or very large rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestRows:
    """The newest rows of one table and instrument, oldest of them first."""

    table: str
    exchange: str
    symbol: str
    rows: RowArray


class RowRing:
    """The last `capacity` rows of one table and instrument, in the order in which they came.

    Which rows are missing is known: those up to the newest time that was ever pushed out, and,
    until `refill`, everything older than the first row that came.
    """

    def __init__(self, table: str, capacity: int) -> None:
        if capacity < 1:
            raise StorageError(f"Expected room for at least 1 row, was {capacity}.")
        self._spec: Table = table_of(table)
        self._capacity = capacity
        # Pages that were never written to take no memory.
        self._rows = np.empty(capacity, dtype=self._spec.dtype)
        self._count = 0
        self._complete_after: int | None = None
        """Rows after this time (ns) are all here; None: nothing is known yet."""

    def add(self, rows: RowArray) -> None:
        """Take rows in the order in which they go to the store."""
        if not len(rows):
            return
        if self._complete_after is None:
            self._complete_after = int(rows["time"][0])
        kept = rows[-self._capacity :]
        self._forget(rows[: len(rows) - len(kept)])
        place = self._count % self._capacity
        first = min(len(kept), self._capacity - place)
        for start, part in ((place, kept[:first]), (0, kept[first:])):
            end = start + len(part)
            full = min(max(self._filled - start, 0), len(part))
            self._forget(self._rows[start : start + full])
            self._rows[start:end] = part
        self._count += len(kept)

    def _forget(self, gone: RowArray) -> None:
        if len(gone) and self._complete_after is not None:
            self._complete_after = max(self._complete_after, int(gone["time"].max()))

    def refill(self, stored: RowArray) -> None:
        """Put the newest rows of the database (at most `capacity`, in order) before all others.

        Fewer than `capacity` rows are all that the database has.
        """
        if self._count >= self._capacity:
            return
        every = merged(stored, self._ordered(), self._spec)
        kept, gone = every[-self._capacity :], every[: -self._capacity]
        known = MIN_TIME_NS - 1 if len(stored) < self._capacity else int(stored["time"][0])
        self._complete_after = max([known, *gone["time"][-1:].tolist()])
        self._rows[: len(kept)] = kept
        self._count = len(kept)

    def newest(self, count: int) -> RowArray | None:
        """Return the newest `count` rows, oldest first; None if some may be only in SQL.

        Fewer come back where there are no more in the database either.
        """
        if self._complete_after is None:
            return None
        times = self._rows["time"][: self._filled]
        times = times - times % 1000
        rows = self._ordered(times >= _nth_largest(times, count))
        if len(rows) < count:  # a row that came twice took the place of another
            rows = self._ordered()
        certain = rows[rows["time"] > self._complete_after]
        if len(certain) < count and self._complete_after >= MIN_TIME_NS:
            return None
        return certain[-count:]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that rows have been written to."""
        return self._filled * self._rows.dtype.itemsize

    @property
    def _filled(self) -> int:
        return min(self._count, self._capacity)

    def _ordered(self, chosen: npt.NDArray[np.bool_] | None = None) -> RowArray:
        """Return the rows, or the chosen ones, with times as the database keeps them, in order."""
        places = np.arange(self._filled) if chosen is None else np.flatnonzero(chosen)
        if self._count > self._capacity:  # as they came: the oldest is not at the beginning
            turn = np.searchsorted(places, self._count % self._capacity)
            places = np.roll(places, -turn)
        rows = self._rows[places]
        for column in self._spec.columns:
            if column.type is Type.TIME:
                known = rows[column.name] != NAT
                rows[column.name][known] -= rows[column.name][known] % 1000
        return ordered(rows, self._spec)


def _nth_largest(values: npt.NDArray[np.int64], count: int) -> int:
    """Return the `count`-th largest value, or the least if there are fewer."""
    if len(values) <= count:
        return int(values.min(initial=0))
    return int(np.partition(values, -count)[-count])


class LatestOfMarket:
    """The rings of one market."""

    def __init__(self, capacity: int, tables: Sequence[str] = KEPT) -> None:
        self._rings = {table: RowRing(table, capacity) for table in tables} if capacity else {}

    def add(self, table: str, rows: RowArray) -> None:
        """Take rows of a table that go to the store."""
        ring = self._rings.get(table)
        if ring is not None:
            ring.add(rows)

    def refill(self, table: str, stored: RowArray) -> None:
        """Put what the database has before what came since the start."""
        ring = self._rings.get(table)
        if ring is not None:
            ring.refill(stored)

    def newest(self, table: str, count: int) -> RowArray | None:
        """Return the newest rows of a table; None where only the database knows them."""
        ring = self._rings.get(table)
        return None if ring is None else ring.newest(count)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of all rings."""
        return sum(ring.nbytes for ring in self._rings.values())
