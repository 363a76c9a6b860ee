"""Read rows of a table as plain records: the newest, and how many. For ranges see `history_reader`.

Times in and out are int64 nanoseconds UTC. A range is [start, end); both bounds let the
database skip every partition outside, so give them where they are known.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from alphaplus.errors import StorageError
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS, Table, Type, table_of

MAX_ROWS: Final = 10_000
"""Rows per call; longer ranges are read in pages by time."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(time_ns: int) -> datetime:
    """Return a time as the driver wants it, floored to microseconds."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def to_ns(time: datetime) -> int:
    """Return a time of the database in nanoseconds."""
    since = time - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


async def latest(
    connection: Any,
    table: str,
    exchange: str,
    symbol: str,
    count: int,
    *,
    start_ns: int = MIN_TIME_NS,
    end_ns: int = MAX_TIME_NS,
) -> list[dict[str, Any]]:
    """Return the newest `count` rows of an instrument in a range, newest first.

    `connection` is an asyncpg connection or pool. Raises StorageError for an unknown table, a
    reversed range or a `count` outside 1 to `MAX_ROWS`.
    """
    sql = _select(table, count)
    span = time_range(start_ns, end_ns)
    return _plain(await connection.fetch(sql, exchange, symbol, *span, count), table_of(table))


async def count(
    connection: Any, table: str, *, start_ns: int = MIN_TIME_NS, end_ns: int = MAX_TIME_NS
) -> int:
    """Return how many rows of all instruments a table has in a range."""
    name = table_of(table).name
    start, end = time_range(start_ns, end_ns)
    sql = f"SELECT count(*) FROM {name} WHERE time >= $1 AND time < $2"
    return int(await connection.fetchval(sql, start, end))


def _select(table: str, number: int) -> str:
    spec = table_of(table)
    if not 1 <= number <= MAX_ROWS:
        raise StorageError(f"Expected 1 to {MAX_ROWS} rows, was {number}; read in pages.")
    # The key's other columns break ties of time, so that the order is always the same.
    keys = ", ".join(f"{name} DESC" for name in spec.key)
    return (
        f"SELECT * FROM {spec.name} WHERE exchange = $1 AND symbol = $2 "
        f"AND time >= $3 AND time < $4 ORDER BY {keys} LIMIT $5"
    )


def _plain(records: list[Any], spec: Table) -> list[dict[str, Any]]:
    """Return records as dicts with times in ns."""
    times = [column.name for column in spec.columns if column.type is Type.TIME]
    found = [dict(record.items()) for record in records]
    for row in found:
        for name in times:
            time = row[name]
            if time is not None:
                row[name] = to_ns(time)
    return found


def time_range(start_ns: int, end_ns: int) -> tuple[datetime, datetime]:
    """Return both bounds as the driver wants them; raises StorageError if they are no range."""
    if not MIN_TIME_NS <= start_ns < end_ns <= MAX_TIME_NS:
        raise StorageError(
            "Expected a range of time from its start to its end between 2000 and 2100, "
            f"was {start_ns} to {end_ns} ns."
        )
    return to_datetime(start_ns), to_datetime(end_ns)
