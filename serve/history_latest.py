"""The newest rows of an instrument: of the actor that makes them, else of the database."""

from typing import TYPE_CHECKING

from alphaplus.errors import UnknownSymbol
from serve import problems
from serve.deps import FleetUnavailable, Record, closest
from serve.history_view import HistoryView, checked

if TYPE_CHECKING:
    from alphaplus.storage.latest_rows import LatestRows

SEQUENCES = ("seq", "trade_id", "event_id", "fill_id")
"""Columns by which the exchange, or we, number the rows of a table."""


async def newest_rows(
    history: HistoryView, table: str, symbol: str, exchange: str | None, count: int
) -> Record:
    """Return the answer of `/v1/history/{table}/latest`."""
    from alphaplus.storage.latest_rows import KEPT

    found = None
    if table in KEPT:
        try:
            found = await history.fleet.fleet.latest(symbol, exchange, table, count)
        except (FleetUnavailable, UnknownSymbol):  # the database may know it all the same
            found = None
    if found is not None:
        return _answer(found, "memory")
    return _answer(await _from_sql(history, table, symbol, exchange, count), "sql")


async def _from_sql(
    history: HistoryView, table: str, symbol: str, exchange: str | None, count: int
) -> "LatestRows":
    from alphaplus.storage.history_query import HistoryQuery
    from alphaplus.storage.latest_rows import LatestRows
    from alphaplus.storage.series import series_of
    from alphaplus.storage.series_reader import SeriesReader

    with checked():
        query = HistoryQuery(table=table, exchange=exchange, symbols=(symbol,))
    async with history.connection() as connection:
        for series in await series_of(connection, query):
            rows = await SeriesReader(connection, query, series).newest(count)
            if len(rows):
                return LatestRows(table=table, exchange=series[0], symbol=symbol, rows=rows)
        await history.require_known(connection, query)
    raise problems.not_stored(table, symbol, closest(symbol, []))


def _answer(found: "LatestRows", source: str) -> Record:
    from alphaplus.storage.history_query import HistoryQuery
    from alphaplus.storage.history_reader import Piece
    from alphaplus.storage.history_records import records_of

    query = HistoryQuery(table=found.table)
    newest_first = found.rows[::-1]
    rows = list(records_of(Piece(found.exchange, found.symbol, newest_first), query))
    newest = rows[0] if rows else {}
    return {
        "table": found.table,
        "exchange": found.exchange,
        "symbol": found.symbol,
        "source": source,
        "newest": newest.get("time"),
        "newest_sequence": next((newest[n] for n in SEQUENCES if n in newest), None),
        "count": len(rows),
        "rows": rows,
    }
