"""Which instruments a table has rows of, and from when to when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from alphaplus.storage.archive_extent import archived_extent, archived_series
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.queries import to_ns
from alphaplus.storage.tables import table_of

Series = tuple[str, str]
"""Exchange and symbol."""

_BEFORE_TIME: Final = {
    "candles": ("exchange", "symbol", "kind", "step_s"),
    "trades": ("portfolio", "exchange", "symbol"),
}
"""The columns of a table's index before time, where they are not exchange and symbol."""

# One step into the index for each group of rows, not a look at every row.
_GROUPS: Final = """
WITH RECURSIVE found AS (
    (SELECT {names} FROM {table} ORDER BY {names} LIMIT 1)
    UNION ALL
    SELECT later.* FROM found, LATERAL (
        SELECT {names} FROM {table} t WHERE ({names}) > ({places}) ORDER BY {names} LIMIT 1
    ) later
)
"""
_SERIES: Final = "SELECT DISTINCT exchange, symbol FROM found"
_EXTENT: Final = """
SELECT min(oldest.time) AS oldest, max(newest.time) AS newest FROM found,
    LATERAL (SELECT time FROM {table} t WHERE {same} ORDER BY time LIMIT 1) oldest,
    LATERAL (SELECT time FROM {table} t WHERE {same} ORDER BY time DESC LIMIT 1) newest
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Times of the first and the last row, ns; None: there is no row."""

    oldest_ns: int | None
    newest_ns: int | None


async def all_series(connection: Any, table: str) -> list[Series]:
    """Return every instrument of which a table has rows, archived or not, ordered."""
    hot = await hot_series(connection, table)
    return sorted({*hot, *await archived_series(connection, table)})


async def hot_series(connection: Any, table: str, partition: str | None = None) -> list[Series]:
    """Return every instrument of which a table, or one partition of it, has rows, ordered."""
    rows = await connection.fetch(_sql(table, _SERIES, partition))
    return sorted((row["exchange"], row["symbol"]) for row in rows)


async def series_of(connection: Any, query: HistoryQuery) -> Sequence[Series]:
    """Return the instruments that a query asks for, ordered."""
    if query.exchange is not None and query.symbols:
        return sorted((query.exchange, symbol) for symbol in set(query.symbols))
    return [
        (exchange, symbol)
        for exchange, symbol in await all_series(connection, query.table)
        if query.exchange in (None, exchange) and (not query.symbols or symbol in query.symbols)
    ]


async def extent(connection: Any, table: str) -> Extent:
    """Return the times between which a table has rows, archived or not."""
    row = await connection.fetchrow(_sql(table, _EXTENT))
    hot = [to_ns(time) for time in row if time is not None]
    packed = [time for time in await archived_extent(connection, table) if time is not None]
    times = [*hot, *packed]
    return Extent(oldest_ns=min(times, default=None), newest_ns=max(times, default=None))


def _sql(table: str, select: str, partition: str | None = None) -> str:
    name = table_of(table).name
    columns = _BEFORE_TIME.get(name, ("exchange", "symbol"))
    names = ", ".join(columns)
    return (_GROUPS + select).format(
        table=partition or name,
        names=names,
        places=", ".join(f"found.{column}" for column in columns),
        same=" AND ".join(f"t.{column} = found.{column}" for column in columns),
    )
