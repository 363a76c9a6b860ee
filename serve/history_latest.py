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
    if found is None:
        return await _from_sql(history, table, symbol, exchange, count)
    return _answer(table, (found.exchange, found.symbol), _records(found), "memory")


async def _from_sql(
    history: HistoryView, table: str, symbol: str, exchange: str | None, count: int
) -> Record:
    from alphaplus.storage.history_query import HistoryQuery
    from alphaplus.storage.newest_stored import newest_records
    from alphaplus.storage.series import series_of

    with checked():
        query = HistoryQuery(table=table, exchange=exchange, symbols=(symbol,))
    async with history.connection() as connection:
        for series in await series_of(connection, query):
            now = history.fleet.now_ns()
            rows = await newest_records(connection, table, series, count, now)
            if rows:
                return _answer(table, series, rows, "sql")
        await history.require_known(connection, query)
    raise problems.not_stored(table, symbol, closest(symbol, []))


def _records(found: "LatestRows") -> list[Record]:
    """Return rows of memory as records, newest first."""
    from alphaplus.storage.history_query import HistoryQuery
    from alphaplus.storage.history_reader import Piece
    from alphaplus.storage.history_records import records_of

    piece = Piece(found.exchange, found.symbol, found.rows[::-1])
    return list(records_of(piece, HistoryQuery(table=found.table)))


def _answer(table: str, series: tuple[str, str], rows: list[Record], source: str) -> Record:
    newest = rows[0] if rows else {}
    return {
        "table": table,
        "exchange": series[0],
        "symbol": series[1],
        "source": source,
        "newest": newest.get("time"),
        "newest_sequence": next((newest[n] for n in SEQUENCES if n in newest), None),
        "count": len(rows),
        "rows": rows,
    }
