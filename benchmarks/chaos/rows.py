"""What the store has accepted beside what the database holds, key by key."""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from alphaplus.storage.accepted_log import read_accepted
from alphaplus.storage.copy import copy_columns, copy_payload
from alphaplus.storage.tables import TABLES, TableBatch

log = logging.getLogger(__name__)

_TIERS_LOST: Final = """
    SELECT exchange, symbol, time, hash FROM accepted_leverage_tiers AS a
    WHERE hash IS DISTINCT FROM (
        SELECT hash FROM leverage_tiers AS t
        WHERE t.exchange = a.exchange AND t.symbol = a.symbol AND t.time <= a.time
        ORDER BY t.time DESC LIMIT 1
    )
"""
"""Tiers that say the same as those in force are not kept, on purpose: the others must be."""


@dataclass(slots=True)
class RowCounts:
    """Rows of all tables by their keys."""

    accepted: int = 0
    """Different keys that the store has acknowledged."""
    stored: int = 0
    missing: int = 0
    """Accepted, and not in the database."""
    duplicated: int = 0
    """More than once in the database."""
    different: int = 0
    """In the database with values that were never accepted under their key."""
    unacknowledged: int = 0
    """In the database, though no sender was told so before the store was killed."""


async def compare_rows(dsn: str, folder: Path) -> RowCounts:
    """Compare the log of accepted batches with the database at `dsn`."""
    by_table: defaultdict[str, list[TableBatch]] = defaultdict(list)
    for batch in read_accepted(folder):
        by_table[batch.table].append(batch)
    counts = RowCounts()
    connection = await asyncpg.connect(dsn)
    try:
        for table in TABLES:
            await _compare(connection, table, by_table[table], counts)
    finally:
        await connection.close()
    return counts


async def _compare(
    connection: Any, table: str, batches: Iterable[TableBatch], counts: RowCounts
) -> None:
    """Let the database compare, by its own equality, which holds NULL equal to NULL."""
    accepted = f"accepted_{table}"
    columns = ", ".join(f'"{name}"' for name in copy_columns(table))
    keys = ", ".join(f'"{name}"' for name in ("exchange", "symbol", *TABLES[table].key))
    await connection.execute(
        f"CREATE TEMP TABLE {accepted} AS SELECT {columns} FROM {table} WITH NO DATA"
    )

    async def payload() -> AsyncIterator[bytes]:
        yield copy_payload(batches)

    await connection.copy_to_table(
        accepted, source=payload(), columns=copy_columns(table), format="binary", timeout=300
    )
    counts.accepted += await _count(connection, f"SELECT DISTINCT {keys} FROM {accepted}")
    stored = await _count(connection, f"SELECT {keys} FROM {table}")
    different_keys = await _count(connection, f"SELECT DISTINCT {keys} FROM {table}")
    counts.stored += stored
    counts.duplicated += stored - different_keys
    lost = f"SELECT {keys} FROM {accepted} EXCEPT SELECT {keys} FROM {table}"
    if table == "leverage_tiers":
        lost = _TIERS_LOST
    missing = await _count(connection, lost)
    counts.missing += missing
    if missing:
        log.error("%d rows of %s are missing:", missing, table)
        for row in await connection.fetch(f"{lost} LIMIT 5"):
            log.error("  %s", dict(row))
    unknown = await _count(
        connection, f"SELECT {keys} FROM {table} EXCEPT SELECT {keys} FROM {accepted}"
    )
    counts.unacknowledged += unknown
    counts.different += (
        await _count(
            connection, f"SELECT {columns} FROM {table} EXCEPT SELECT {columns} FROM {accepted}"
        )
        - unknown
    )
    await connection.execute(f"DROP TABLE {accepted}")


async def _count(connection: Any, rows: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM ({rows}) AS t", timeout=600))
