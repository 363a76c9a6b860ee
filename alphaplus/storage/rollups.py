"""Minutes of trades and measures, summed up in the database: `market_trades_1m` and others.

On TimescaleDB they are continuous aggregates, which its own job keeps up; on plain PostgreSQL
maintenance fills them. Rows that come more than an hour (three on TimescaleDB) late, as of a
history that is loaded, are not looked for by either: `fill_rollups` takes them in.
"""

from functools import partial
from typing import Any, Final

from alphaplus.storage.lock_retries import patiently
from alphaplus.storage.migrations import NATIVE
from alphaplus.storage.queries import time_range

_NATIVE: Final = "SELECT ap_fill_rollup($1, $2, $3)"
_TIMESCALE: Final = (
    "CALL refresh_continuous_aggregate($1::text::regclass, $2::timestamptz, $3::timestamptz)"
)


async def fill_rollups(connection: Any, *, start_ns: int, end_ns: int) -> None:
    """Sum up the intervals of [start, end) again (ns, UTC), in all rollups.

    `connection` is an asyncpg connection that is in no transaction. Intervals of archived
    partitions stay as they are. Raises StorageError for a reversed range.
    """
    start, end = time_range(start_ns, end_ns)
    flavor = await connection.fetchval("SELECT ap_flavor()")
    one = _NATIVE if flavor == NATIVE else _TIMESCALE
    for record in await connection.fetch("SELECT rollup_name FROM ap_rollups ORDER BY 1"):
        name = record["rollup_name"]
        # TimescaleDB's own job may be at work on the same aggregate.
        await patiently(partial(connection.execute, one, name, start, end))
