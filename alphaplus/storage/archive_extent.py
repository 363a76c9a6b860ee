"""What the archive holds, told from the heads of its blocks alone.

The primary key of `archive_blocks` is (table_name, exchange, symbol, chunk_from, ordinal), and
blocks of one instrument are in the order of time.
"""

from typing import Any, Final

from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.queries import to_datetime, to_ns

# One step into the key for each instrument, not a look at every block.
_SERIES: Final = """
WITH RECURSIVE found AS (
    (SELECT exchange, symbol FROM archive_blocks WHERE table_name = $1
     ORDER BY exchange, symbol LIMIT 1)
    UNION ALL
    SELECT later.* FROM found, LATERAL (
        SELECT exchange, symbol FROM archive_blocks b
        WHERE table_name = $1 AND (b.exchange, b.symbol) > (found.exchange, found.symbol)
        ORDER BY exchange, symbol LIMIT 1
    ) later
)
"""
_EXTENT: Final = """
SELECT min(oldest.time_from) AS oldest, max(newest.time_to) AS newest FROM found,
    LATERAL (SELECT time_from FROM archive_blocks b
        WHERE table_name = $1 AND b.exchange = found.exchange AND b.symbol = found.symbol
        ORDER BY chunk_from, ordinal LIMIT 1) oldest,
    LATERAL (SELECT time_to FROM archive_blocks b
        WHERE table_name = $1 AND b.exchange = found.exchange AND b.symbol = found.symbol
        ORDER BY chunk_from DESC, ordinal DESC LIMIT 1) newest
"""
_NEWEST: Final = """
SELECT min(time_from) AS oldest, max(time_to) AS newest FROM (
    SELECT time_from, time_to,
        sum(CASE WHEN time_to < $5 THEN rows ELSE 0 END) OVER older
        - CASE WHEN time_to < $5 THEN rows ELSE 0 END AS after
    FROM (
        SELECT * FROM archive_blocks
        WHERE table_name = $1 AND exchange = $2 AND symbol = $3
            AND time_to >= $4 AND time_from < $5
        ORDER BY chunk_from DESC, ordinal DESC LIMIT $6
    ) last
    WINDOW older AS (ORDER BY chunk_from DESC, ordinal DESC)
) counted
WHERE after < $7
"""


async def archived_series(connection: Any, table: str) -> set[tuple[str, str]]:
    """Return exchange and symbol of all that is archived of a table."""
    rows = await connection.fetch(f"{_SERIES} SELECT exchange, symbol FROM found", table)
    return {(row["exchange"], row["symbol"]) for row in rows}


async def archived_extent(connection: Any, table: str) -> tuple[int | None, int | None]:
    """Return the times of the first and the last archived row of a table, ns."""
    return _times(await connection.fetchrow(_SERIES + _EXTENT, table))


async def newest_archived(
    connection: Any, query: HistoryQuery, series: tuple[str, str], count: int
) -> tuple[int, int] | None:
    """Return from when on the archive has `count` rows of an instrument (or all it has), and the
    time of its last one, both ns and within the blocks that the query's range touches."""
    row = await connection.fetchrow(
        _NEWEST,
        query.table,
        *series,
        to_datetime(query.start_ns),
        to_datetime(query.end_ns),
        count + 2,  # every block has a row; those at either end may lie outside the range
        count,
    )
    oldest, newest = _times(row)
    return None if oldest is None or newest is None else (oldest, newest)


def _times(row: Any) -> tuple[int | None, int | None]:
    oldest, newest = (None if time is None else to_ns(time) for time in row)
    return oldest, newest
