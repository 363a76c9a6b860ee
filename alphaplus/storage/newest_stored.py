"""The newest rows of the database, for who asks and for the rings in memory at their start."""

import json
from typing import Any, Final

from alphaplus.storage.archive_extent import newest_archived
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import Piece
from alphaplus.storage.history_records import records_of
from alphaplus.storage.latest_rows import KEPT, LatestRows
from alphaplus.storage.queries import MAX_ROWS, latest
from alphaplus.storage.series import Series
from alphaplus.storage.series_reader import SeriesReader
from alphaplus.storage.tables import Type, table_of

AROUND_NS: Final = (300 * 10**9, 3600 * 10**9)
"""How far around now the newest rows are looked for, before they are anywhere."""
UNPACKED_NS: Final = 600 * 10**9
"""Rows so young are in no archive: `storage.archive_after_h` is at least a quarter of an hour."""
FEW: Final = min(500, MAX_ROWS)
"""Up to so many rows the driver's prepared statements and records are faster than a COPY, which
is planned anew each time."""


async def newest_records(
    connection: Any, table: str, series: Series, count: int, now_ns: int
) -> list[dict[str, Any]]:
    """Return the newest rows of an instrument as plain records, newest first.

    A short time around now is looked at first, so that neither old partitions nor those made
    ahead are: each would be planned and entered. `connection` is an asyncpg connection that is in
    no transaction.
    """
    query = HistoryQuery(table=table, exchange=series[0], symbols=(series[1],))
    if count <= FEW:
        hot = await _hot(connection, table, series, count, now_ns)
        if len(hot) == count and hot[-1]["time"] > now_ns - UNPACKED_NS:
            return _parsed(hot, table)
        packed = await newest_archived(connection, query, series, 1)
        if packed is None or (len(hot) == count and hot[-1]["time"] > packed[1]):
            return _parsed(hot, table)
    rows = await SeriesReader(connection, query, series).newest(count)
    return list(records_of(Piece(*series, rows[::-1]), query))


async def _hot(
    connection: Any, table: str, series: Series, count: int, now_ns: int
) -> list[dict[str, Any]]:
    for around in AROUND_NS:
        start, end = now_ns - around, now_ns + around
        hot = await latest(connection, table, *series, count, start_ns=start, end_ns=end)
        if len(hot) == count:
            return hot
    return await latest(connection, table, *series, count)


async def stored_rows(connection: Any, exchange: str, symbol: str, count: int) -> list[LatestRows]:
    """Return the newest `count` rows of an instrument of each table that is kept in memory.

    `connection` is an asyncpg connection that is in no transaction.
    """
    found = []
    for table in KEPT:
        query = HistoryQuery(table=table, exchange=exchange, symbols=(symbol,))
        rows = await SeriesReader(connection, query, (exchange, symbol)).newest(count)
        found.append(LatestRows(table=table, exchange=exchange, symbol=symbol, rows=rows))
    return found


def _parsed(records: list[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    """Return records of the driver with their JSON parsed."""
    names = [column.name for column in table_of(table).columns if column.type is Type.JSON]
    for record in records if names else ():
        record.update({name: json.loads(record[name]) for name in names})
    return records
