"""Where a database stands: `alphaplus db status`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import asyncpg

from alphaplus.storage.access import require_schema
from alphaplus.storage.connection import LOST, connect, describe, explained
from alphaplus.storage.maintenance_report import Policy
from alphaplus.storage.migrations import NATIVE
from alphaplus.storage.series import extent
from alphaplus.storage.vacuum_hints import vacuum_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """One time series table. Sizes are bytes, times int64 ns UTC; None is not known."""

    table: str
    chunks: int
    """Partitions or chunks, without the default partition."""
    rows_estimate: int | None
    """Rows that are not archived or compressed, by the last analyze; None: there was none."""
    bytes: int
    """Heap, index and TOAST, outside the archive."""
    archived_rows: int | None
    """None: TimescaleDB does not say how many rows its compressed chunks hold."""
    archived_bytes: int
    """Payloads of the archive; on TimescaleDB, compressed chunks (part of `bytes`)."""
    archived_saved_pct: float | None
    """By how much those rows are smaller than they were before, %."""
    oldest_ns: int | None
    newest_ns: int | None
    rows_in_default: int
    """Rows that came late or far from now; above 0 is an alert."""
    retention_days: float | None
    """None: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """A database with its tables."""

    server: str
    flavor: str
    version: str
    """Of PostgreSQL, and of TimescaleDB if it is there."""
    migrations: int
    bytes: int
    tables: tuple[TableStatus, ...]
    alerts: tuple[str, ...]
    hints: tuple[str, ...]


_CHUNKS: Final = """
SELECT s.table_name, s.retention, count(c.from_time) AS chunks,
    CASE WHEN coalesce(every(k.reltuples >= 0 OR pg_relation_size(k.oid) = 0), true)
        THEN coalesce(sum(c.row_estimate), 0)::int8 END AS rows,
    coalesce(sum(c.size_bytes), 0)::int8 AS bytes
FROM ap_timeseries s LEFT JOIN ap_chunk_stats() c USING (table_name)
    LEFT JOIN pg_class k ON k.oid = to_regclass(c.chunk_name)
GROUP BY 1, 2 ORDER BY 1
"""
_ARCHIVE: Final = """
SELECT table_name, sum(rows)::int8 AS rows, sum(octet_length(payload))::int8 AS packed,
    sum(plain_bytes)::int8 AS plain
FROM archive_blocks GROUP BY 1
"""
_COMPRESSED: Final = """
SELECT s.table_name, NULL::int8 AS rows, c.after_compression_total_bytes AS packed,
    c.before_compression_total_bytes AS plain
FROM ap_timeseries s, LATERAL hypertable_compression_stats(s.table_name::regclass) c
WHERE c.after_compression_total_bytes IS NOT NULL
"""


async def database_status(dsn: str, policy: Policy) -> DatabaseStatus:
    """Look at everything and change nothing.

    Raises StorageError if the database cannot be reached or is of another version.
    """
    await require_schema(dsn)
    connection = await connect(dsn)
    try:
        return await _status(connection, dsn, policy)
    except (*LOST, asyncpg.PostgresError) as error:
        raise explained(error, dsn) from error
    finally:
        connection.terminate()


async def _status(connection: Any, dsn: str, policy: Policy) -> DatabaseStatus:
    flavor = await connection.fetchval("SELECT ap_flavor()")
    packed = await connection.fetch(_ARCHIVE if flavor == NATIVE else _COMPRESSED)
    archived = {row["table_name"]: row for row in packed}
    tables = [
        await _table(connection, row, archived.get(row["table_name"]), flavor, policy)
        for row in await connection.fetch(_CHUNKS)
    ]
    return DatabaseStatus(
        server=describe(dsn),
        flavor=flavor,
        version=await _version(connection),
        migrations=await connection.fetchval("SELECT count(*) FROM schema_migrations"),
        bytes=await connection.fetchval("SELECT pg_database_size(current_database())"),
        tables=tuple(tables),
        alerts=tuple(
            f"{table.rows_in_default:,} rows of {table.table} are in its default partition; "
            "the next maintenance moves them, see that it runs (jobs.maintain)."
            for table in tables
            if table.rows_in_default
        ),
        hints=tuple(await vacuum_hints(connection)),
    )


async def _table(
    connection: Any, chunks: Any, archived: Any | None, flavor: str, policy: Policy
) -> TableStatus:
    name = chunks["table_name"]
    times = await extent(connection, name)
    waiting, size, rows = 0, chunks["bytes"], chunks["rows"]
    if flavor == NATIVE:
        waiting = await connection.fetchval(f"SELECT count(*) FROM {name}_default")
    else:  # the compressed part of a chunk is a relation of its own
        size, rows = await connection.fetchrow(
            "SELECT hypertable_size($1::regclass), approximate_row_count($1::regclass)", name
        )
    kept: timedelta | None = chunks["retention"]
    days = policy.retention_days.get(name, kept.total_seconds() / 86_400 if kept else None)
    saved = None
    if archived is not None and archived["plain"]:
        saved = round(100 * (1 - archived["packed"] / archived["plain"]), 2)
    return TableStatus(
        table=name,
        chunks=chunks["chunks"],
        rows_estimate=rows,
        bytes=size,
        archived_rows=archived["rows"] if archived is not None else 0,
        archived_bytes=archived["packed"] if archived is not None else 0,
        archived_saved_pct=saved,
        oldest_ns=times.oldest_ns,
        newest_ns=times.newest_ns,
        rows_in_default=waiting,
        retention_days=days,
    )


async def _version(connection: Any) -> str:
    version = f"PostgreSQL {await connection.fetchval('SHOW server_version')}"
    extension = await connection.fetchval(
        "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
    )
    return f"{version}, TimescaleDB {extension}" if extension else version
