"""Which instruments a table has rows of."""

from collections.abc import Sequence
from typing import Any, Final

from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.tables import table_of

Series = tuple[str, str]
"""Exchange and symbol."""

# One step into the index for each instrument, not a look at every row.
_SKIP: Final = """
WITH RECURSIVE found AS (
    (SELECT exchange, symbol FROM {table} ORDER BY exchange, symbol LIMIT 1)
    UNION ALL
    SELECT later.exchange, later.symbol FROM found, LATERAL (
        SELECT exchange, symbol FROM {table}
        WHERE (exchange, symbol) > (found.exchange, found.symbol)
        ORDER BY exchange, symbol LIMIT 1
    ) later
)
SELECT exchange, symbol FROM found
"""
_EVERY: Final = "SELECT DISTINCT exchange, symbol FROM {table}"


async def all_series(connection: Any, table: str) -> list[Series]:
    """Return every instrument of which a table has rows, ordered."""
    spec = table_of(table)
    # The index of our own fills begins with the portfolio; there are few of them.
    sql = _EVERY if "portfolio" in spec.key else _SKIP
    rows = await connection.fetch(sql.format(table=spec.name))
    return sorted({(row["exchange"], row["symbol"]) for row in rows})


async def series_of(connection: Any, query: HistoryQuery) -> Sequence[Series]:
    """Return the instruments that a query asks for, ordered."""
    if query.exchange is not None and query.symbols:
        return sorted((query.exchange, symbol) for symbol in set(query.symbols))
    return [
        (exchange, symbol)
        for exchange, symbol in await all_series(connection, query.table)
        if query.exchange in (None, exchange) and (not query.symbols or symbol in query.symbols)
    ]
