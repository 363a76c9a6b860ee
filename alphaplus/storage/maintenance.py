"""Maintenance of the database: partitions ahead, the archive, retention. All of it can be repeated.

On plain PostgreSQL it makes partitions ahead of time, brings rows out of the default partitions,
fills the rollups, packs closed partitions into the archive and drops what is too old. On
TimescaleDB only the last is left to do: its own jobs do the others. One maintenance at a time
works on a database.

Whatever fails with one partition is logged, reported and tried again the next time; the others
go on.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from alphaplus.errors import StorageError
from alphaplus.storage.archive.move import Partition, move_partition
from alphaplus.storage.connection import LOST, connect, describe, explained
from alphaplus.storage.lock_retries import patiently
from alphaplus.storage.maintenance_report import MaintenanceReport, Policy
from alphaplus.storage.migrations import NATIVE
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.series import hot_series
from alphaplus.storage.vacuum_hints import vacuum_hints

LOCK_KEY: Final = 0x416C70684D61
"""Advisory lock of a maintenance run."""
DEFAULT_CHUNKS: Final = 400
"""Partitions that are made in one run for rows that wait in a default partition."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Table:
    """A row of `ap_timeseries`."""

    name: str
    chunk: timedelta
    archive: bool
    compress_after: timedelta | None
    retention: timedelta | None


async def maintain(
    dsn: str, policy: Policy, now_ns: int, say: Callable[[str], None] = log.info
) -> MaintenanceReport:
    """Do what is due at `now_ns` (UTC); `say` hears of progress.

    Raises StorageError if another maintenance is at work, or the database cannot be used.
    """
    begun = time.monotonic()
    async with _alone(dsn) as connection:
        try:
            report = await _maintain(connection, policy, to_datetime(now_ns), say)
        except (*LOST, asyncpg.PostgresError) as error:
            raise explained(error, dsn) from error
    report.seconds = time.monotonic() - begun
    return report


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[Any]:
    """Connect, and hold the lock of maintenance until the end."""
    connection = await connect(dsn, write=True)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
            raise StorageError(
                f"Expected no other maintenance of {describe(dsn)}, was one at work; wait for it."
            )
        yield connection
    except BaseException:
        # Not close(): after a lost connection or a cancellation it might wait for long.
        connection.terminate()
        raise
    await connection.close()


async def _maintain(
    connection: Any, policy: Policy, now: datetime, say: Callable[[str], None]
) -> MaintenanceReport:
    flavor = await connection.fetchval("SELECT ap_flavor()")
    report = MaintenanceReport(flavor=flavor)
    tables = [
        _Table(row["table_name"], *row[1:])
        for row in await connection.fetch(
            "SELECT table_name, chunk, archive, compress_after, retention FROM ap_timeseries "
            "ORDER BY table_name"
        )
    ]
    for table in tables:
        if flavor == NATIVE:
            until = now + timedelta(hours=policy.partitions_ahead_h)
            await _ensure(connection, table, now, until, report)
            await _empty_default(connection, table, report)
        await _drop_old(connection, table, policy, now, report)
    if flavor == NATIVE:
        # Before the archive takes rows away: rollups are summed up in SQL.
        report.minutes_filled = await connection.fetchval("SELECT ap_fill_rollups($1)", now)
        for table in tables:
            await _archive(connection, table, policy, now, report=report, say=say)
    report.hints = await vacuum_hints(connection)
    return report


async def _empty_default(connection: Any, table: _Table, report: MaintenanceReport) -> None:
    """Give rows that wait in the default partition partitions of their own."""
    waiting = await connection.fetch(
        "SELECT to_timestamp(floor(extract(epoch FROM time) / w) * w) AS start, count(*) AS rows "
        f"FROM {table.name}_default, (SELECT extract(epoch FROM $1::interval) AS w) AS width "
        "GROUP BY 1 ORDER BY 1",
        table.chunk,
    )
    if not waiting:
        return
    rows = sum(row["rows"] for row in waiting)
    report.rows_in_default[table.name] = rows
    log.warning(
        "%d rows of %s were in its default partition, of %d partitions: they came late or far "
        "from now; they are given partitions",
        rows,
        table.name,
        len(waiting),
    )
    for row in waiting[:DEFAULT_CHUNKS]:
        await _ensure(connection, table, row["start"], row["start"], report)


async def _ensure(
    connection: Any, table: _Table, start: datetime, end: datetime, report: MaintenanceReport
) -> None:
    report.partitions_made += await _guarded(
        report,
        f"make partitions of {table.name}",
        lambda: connection.fetchval(
            "SELECT ap_ensure_partitions($1, $2::timestamptz, $3::timestamptz)",
            table.name,
            start,
            end,
        ),
    )


async def _archive(
    connection: Any,
    table: _Table,
    policy: Policy,
    now: datetime,
    *,
    report: MaintenanceReport,
    say: Callable[[str], None],
) -> None:
    """Move the closed partitions of a table into the archive, oldest first."""
    after = table.compress_after
    if policy.archive_after_h is not None:
        after = timedelta(hours=policy.archive_after_h)
    if not table.archive or after is None:
        return
    closed = await connection.fetch(
        "SELECT chunk_name, from_time, to_time FROM ap_chunk_stats() "
        "WHERE table_name = $1 AND to_time <= $2 ORDER BY from_time",
        table.name,
        now - after,
    )
    for row in closed:
        partition = Partition(
            table=table.name, name=row["chunk_name"], start=row["from_time"], end=row["to_time"]
        )
        if await _is_written(connection, partition, now - after):
            log.info("%s is old but still written to; it is left for later", partition.name)
            continue
        try:
            moved = await move_partition(connection, partition)
        except (StorageError, asyncpg.PostgresError) as error:
            if isinstance(error, LOST):
                raise
            _fail(report, f"archive {partition.name}", error)
            continue
        report.moved.append(moved)
        say(
            f"archived {moved.rows:,} rows of {moved.partition} in {moved.seconds:.1f} s: "
            f"{moved.plain_bytes:,} bytes became {moved.packed_bytes:,}"
        )


async def _is_written(connection: Any, partition: Partition, since: datetime) -> bool:
    """Say whether the newest row of any instrument was received after `since`.

    So while a history is loaded its partitions are not locked under the loader's hands.
    """
    series = await hot_series(connection, partition.table, partition.name)
    newest = await connection.fetchval(
        "SELECT max(recv_time) FROM unnest($1::text[], $2::text[]) AS s (e, i), "
        f'LATERAL (SELECT recv_time FROM "{partition.name}" '
        "WHERE exchange = s.e AND symbol = s.i ORDER BY time DESC LIMIT 1) AS row",
        [exchange for exchange, _ in series],
        [symbol for _, symbol in series],
    )
    return newest is not None and newest > since


async def _drop_old(
    connection: Any, table: _Table, policy: Policy, now: datetime, report: MaintenanceReport
) -> None:
    """Drop whole chunks and whole blocks that are older than the table's retention."""
    days = policy.retention_days.get(table.name)
    keep = timedelta(days=days) if days is not None else table.retention
    if keep is None:
        return
    limit = now - keep
    report.chunks_dropped += await _guarded(
        report,
        f"drop old chunks of {table.name}",
        lambda: connection.fetchval("SELECT ap_drop_before($1, $2)", table.name, limit),
    )
    report.archived_rows_dropped += await connection.fetchval(
        "WITH gone AS (DELETE FROM archive_blocks WHERE table_name = $1 "
        "AND chunk_from + $2::interval <= $3 RETURNING rows) "
        "SELECT coalesce(sum(rows), 0) FROM gone",
        table.name,
        table.chunk,
        limit,
    )


async def _guarded(report: MaintenanceReport, what: str, attempt: Callable[[], Any]) -> int:
    """Return what `attempt` counts; 0, reported, if others hold its lock for too long."""
    try:
        return int(await patiently(attempt))
    except asyncpg.PostgresError as error:
        if isinstance(error, LOST):
            raise
        _fail(report, what, error)
        return 0


def _fail(report: MaintenanceReport, what: str, error: Exception) -> None:
    sentence = f"could not {what}: {str(error).splitlines()[0].rstrip('.')}; it is tried again."
    report.failures.append(sentence)
    log.warning("%s", sentence)
