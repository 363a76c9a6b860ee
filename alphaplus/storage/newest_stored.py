"""The newest rows of the database, with which rings in memory are filled up at the start."""

from typing import Any

from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.latest_rows import KEPT, LatestRows
from alphaplus.storage.series_reader import SeriesReader


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
