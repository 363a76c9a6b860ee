"""Read archived rows back, as arrays of the table's row type.

Rows of closed partitions are in the archive, all others in the table itself. Whoever wants both
reads the table first and the archive in a later statement, outside of an isolated snapshot, and
takes each key once: what maintenance moves in between is then met twice, never missed.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from alphaplus.storage.archive.block import unpack
from alphaplus.storage.archive.blocks import blocks_in
from alphaplus.storage.queries import time_range
from alphaplus.storage.tables import RowArray, TableBatch, table_of


async def archived_batches(
    connection: Any,
    table: str,
    *,
    exchange: str | None,
    symbol: str | None,
    start_ns: int,
    end_ns: int,
) -> AsyncGenerator[TableBatch, None]:
    """Yield the archived rows of [start, end) with whose they are: by instrument, in key order.

    None is every exchange or symbol. Times are int64 ns UTC. `connection` is an asyncpg
    connection. A row that came again late may be in the table too, until the next maintenance:
    of two rows of one key the archived one counts. Raises
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
) -> AsyncGenerator[RowArray, None]:
    """Yield only the rows of what `archived_batches` yields."""
    found = archived_batches(
        connection, table, exchange=exchange, symbol=symbol, start_ns=start_ns, end_ns=end_ns
    )
    async for batch in found:
        yield batch.rows
