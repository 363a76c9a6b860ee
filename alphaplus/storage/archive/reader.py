"""Read archived rows back, as arrays of the table's row type.

Rows of closed partitions are in the archive, all others in the table itself. Whoever reads both
does so within `reading`, so that no row is missed or met twice while maintenance moves some.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from alphaplus.storage.archive.block import unpack
from alphaplus.storage.archive.blocks import blocks_in
from alphaplus.storage.queries import time_range
from alphaplus.storage.tables import RowArray, TableBatch, table_of


@asynccontextmanager
async def reading(connection: Any, table: str) -> AsyncIterator[None]:
    """Keep rows of a table where they are, in the table or in the archive, for some statements.

    A transaction that holds the weakest lock on the table and its partitions: writers go on,
    but a partition cannot be dropped, nor late rows be moved to the archive, until it ends. A
    statement of an isolated snapshot (repeatable read) would not do: it may miss both.
    """
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table_of(table).name} IN ACCESS SHARE MODE")
        yield


async def archived_batches(
    connection: Any,
    table: str,
    *,
    exchange: str | None,
    symbol: str | None,
    start_ns: int,
    end_ns: int,
) -> AsyncIterator[TableBatch]:
    """Yield the archived rows of [start, end) with whose they are: by instrument, in key order.

    None is every exchange or symbol. Times are int64 ns UTC. `connection` is an asyncpg
    connection, best within `reading`. Rows that came late may be in the table as well, until
    the next maintenance: of two rows of one key this one is the one that counts. Raises
    StorageError for a reversed range, an unknown table or a damaged block.
    """
    start, end = time_range(start_ns, end_ns)
    name = table_of(table).name
    async with connection.transaction():
        found = blocks_in(connection, name, exchange=exchange, symbol=symbol, start=start, end=end)
        async for block in found:
            rows = await asyncio.to_thread(unpack, block)
            if block.time_from < start_ns or block.time_to >= end_ns:
                times = rows["time"]
                rows = rows[(times >= start_ns) & (times < end_ns)]
            if len(rows):
                yield TableBatch(name, block.exchange, block.symbol, rows)


async def archived_rows(
    connection: Any,
    table: str,
    *,
    exchange: str | None,
    symbol: str | None,
    start_ns: int,
    end_ns: int,
) -> AsyncIterator[RowArray]:
    """Yield only the rows of what `archived_batches` yields."""
    found = archived_batches(
        connection, table, exchange=exchange, symbol=symbol, start_ns=start_ns, end_ns=end_ns
    )
    async for batch in found:
        yield batch.rows
