"""Rows of one instrument from a place on, or the newest ones."""

from contextlib import aclosing
from typing import Any

import numpy as np

from alphaplus.rows import join_rows
from alphaplus.storage.archive.reader import archived_batches
from alphaplus.storage.archive_extent import newest_archived
from alphaplus.storage.copy_rows import copy_rows, layout_of
from alphaplus.storage.history_query import SERIES, HistoryQuery
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.row_order import Key, after, key_types, merged, order_of
from alphaplus.storage.series import Series
from alphaplus.storage.tables import RowArray, Type


class SeriesReader:
    """Reads one instrument's rows within the range of a query, in the order of the key.

    `connection` is an asyncpg connection that is in no transaction.
    """

    def __init__(self, connection: Any, query: HistoryQuery, series: Series) -> None:
        self._connection = connection
        self._query = query
        self._series = series
        names = tuple(name for name in query.columns if name not in SERIES)
        if query.columns:  # the order needs the key's columns, whatever was asked for
            names = tuple(dict.fromkeys((*order_of(query.spec), *names)))
        self.layout = layout_of(query.table, names)
        self._columns = [
            f'{name} COLLATE "C"' if kind is Type.TEXT else name
            for name, kind in zip(order_of(query.spec), key_types(query.spec), strict=True)
        ]

    async def after(self, key: Key | None, count: int) -> RowArray:
        """Return the first `count` rows after a key, or of all."""
        # Hot rows first and the archive after them, in two statements: a partition that is
        # archived in between is then read twice, and its rows taken once. The other way around,
        # or in one snapshot (a dropped partition is gone for old snapshots too), it is missed.
        hot = await self.hot(key, count)
        start = self._query.start_ns if key is None else int(key[0])
        packed = await self._archived(start, key, count)
        return merged(packed, hot, self._query.spec)[:count]

    async def newest(self, count: int) -> RowArray:
        """Return the last `count` rows, oldest of them first."""
        columns = ", ".join(f"{name} DESC" for name in self._columns)
        condition, arguments = self._range()
        found = await self._copy(f"{condition} ORDER BY {columns} LIMIT {count:d}", *arguments)
        hot = found[::-1]
        span = await newest_archived(self._connection, self._query, self._series, count)
        if span is None or (len(hot) == count and int(hot["time"][0]) > span[1]):
            return hot
        packed = await self._archived(max(span[0], self._query.start_ns), None, None)
        return merged(packed, hot, self._query.spec)[-count:]

    async def _archived(self, start_ns: int, key: Key | None, count: int | None) -> RowArray:
        """Return archived rows from a time on that are after a key, some more than `count`."""
        query, (exchange, symbol) = self._query, self._series
        batches = archived_batches(
            self._connection,
            query.table,
            exchange=exchange,
            symbol=symbol,
            start_ns=start_ns,
            end_ns=query.end_ns,
        )
        parts, found = [np.empty(0, dtype=self.layout.dtype)], 0
        async with aclosing(batches):
            async for batch in batches:
                rows = batch.rows if key is None else after(batch.rows, key, query.spec)
                parts.append(self._as_read(rows))
                found += len(rows)
                if count is not None and found >= count:
                    break
        return join_rows(parts)

    def _as_read(self, rows: RowArray) -> RowArray:
        """Return the columns that are read, of rows of the whole table."""
        if rows.dtype == self.layout.dtype:
            return np.ascontiguousarray(rows)
        chosen = np.empty(len(rows), dtype=self.layout.dtype)
        for column in self.layout.columns:
            chosen[column.name] = rows[column.name]
        return chosen

    async def hot(self, key: Key | None, count: int) -> RowArray:
        """Return the first `count` rows after a key, or of all, of those that are not archived."""
        condition, arguments = self._range()
        columns = ", ".join(self._columns)
        if key is not None:
            time = to_datetime(int(key[0]))
            arguments[2] = time  # by which partitions are left out and the index is entered
            arguments += [time, *key[1:]]
            types = key_types(self._query.spec)
            places = ", ".join(f"${at}::{kind}" for at, kind in enumerate(types, start=5))
            condition += f" AND ({columns}) > ({places})"
        return await self._copy(f"{condition} ORDER BY {columns} LIMIT {count:d}", *arguments)

    def _range(self) -> tuple[str, list[Any]]:
        query = self._query
        times = (to_datetime(query.start_ns), to_datetime(query.end_ns))
        condition = "WHERE exchange = $1 AND symbol = $2 AND time >= $3 AND time < $4"
        return condition, [*self._series, *times]

    async def _copy(self, condition: str, *arguments: Any) -> RowArray:
        return await copy_rows(self._connection, self.layout, condition, *arguments)
