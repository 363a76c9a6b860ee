"""Move the rows of a closed partition to the archive.

One transaction packs the rows, writes the blocks, reads each back and compares it bit for bit,
and drops the partition: whatever is killed when, there are rows or blocks, never both or neither.

The partition is locked against writers meanwhile, not against readers. A writer that comes late
waits; where it would be waited for in turn, the move gives up after a moment and is done again
another time.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from alphaplus.errors import StorageError
from alphaplus.rows import join_rows
from alphaplus.storage.archive.blocks import chunk_blocks, delete_blocks, insert_blocks
from alphaplus.storage.archive.packing import Packer, add_late, verify
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.lock_retries import patiently
from alphaplus.storage.queries import to_ns
from alphaplus.storage.row_order import key_of
from alphaplus.storage.series import Series, hot_series
from alphaplus.storage.series_reader import SeriesReader
from alphaplus.storage.tables import RowArray, table_of

PAGE_BYTES: Final = 8 * 2**20
LOCK_MS: Final = 900
"""Below the server's deadlock_timeout of 1 s: the writer is never the one that is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A native partition of a table, [start, end)."""

    table: str
    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of a partition."""

    partition: str
    rows: int
    """That were in it."""
    duplicates: int
    """Of these, rows that were archived before."""
    blocks: int
    """That hold it now, earlier ones included."""
    plain_bytes: int
    """Size of the partition, heap and index."""
    packed_bytes: int
    """Payloads of the blocks."""
    seconds: float


async def move_partition(connection: Any, partition: Partition) -> Moved:
    """Archive the rows of a closed partition and drop it; returns when that is committed.

    Raises StorageError if something is not as it should be, asyncpg's LockNotAvailableError if
    writers or readers hold the partition for too long: the rows then stay where they are.
    """
    begun = time.monotonic()
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_MS}ms'")
        await connection.execute(f'LOCK TABLE "{partition.name}" IN SHARE MODE')
        total, plain = await connection.fetchrow(
            f'SELECT count(*), pg_total_relation_size($1::regclass) FROM "{partition.name}"',
            partition.name,
        )
        await _check_arrays(connection, partition)
        packers: list[Packer] = []
        rows = duplicates = 0
        query = HistoryQuery(
            table=partition.table, start_ns=to_ns(partition.start), end_ns=to_ns(partition.end)
        )
        for series in await hot_series(connection, partition.table, partition.name):
            packer = Packer(partition.table, *series)
            found, repeated = await _pack(connection, query, series, partition.start, packer)
            rows += found
            duplicates += repeated
            packers.append(packer)
            await _store(connection, packer, partition.start, plain / max(total, 1))
        if rows != total:
            raise StorageError(
                f"Expected {total} rows in {partition.name}, was {rows} read; it stays as it is."
            )
        await patiently(lambda: _drop(connection, partition.name))
    return Moved(
        partition=partition.name,
        rows=rows,
        duplicates=duplicates,
        blocks=sum(len(packer.blocks) for packer in packers),
        plain_bytes=plain,
        packed_bytes=sum(len(block.payload) for packer in packers for block in packer.blocks),
        seconds=time.monotonic() - begun,
    )


async def _check_arrays(connection: Any, partition: Partition) -> None:
    """Refuse arrays that our row types cannot hold; none of our writers makes such."""
    spec = table_of(partition.table)
    for first, second in pairwise(spec.stored):
        if not first.count or first.count != second.count:
            continue
        lengths = f"cardinality({first.name}), cardinality({second.name})"
        if await connection.fetchval(
            f'SELECT EXISTS (SELECT FROM "{partition.name}" WHERE ({lengths}) IS DISTINCT FROM '
            f"(cardinality({second.name}), least(cardinality({second.name}), {first.width})))"
        ):
            raise StorageError(
                f"Expected {first.name} and {second.name} of equal lengths up to {first.width} in "
                f"{partition.name}, was another row; correct or delete it."
            )


async def _pack(
    connection: Any, query: HistoryQuery, series: Series, start: datetime, packer: Packer
) -> tuple[int, int]:
    """Pack an instrument's rows; return how many there were, and were archived before."""
    earlier = [block async for block in chunk_blocks(connection, query.table, *series, start)]
    reader = SeriesReader(connection, query, series)
    most = max(PAGE_BYTES // reader.layout.dtype.itemsize, 1)
    late: list[RowArray] = []
    found, key = 0, None
    while True:
        rows = await reader.hot(key, most)
        found += len(rows)
        if earlier:
            late.append(rows)
        elif len(rows):
            await asyncio.to_thread(packer.add, rows)
        if len(rows) < most:
            break
        key = key_of(rows, len(rows) - 1, query.spec)
    if not earlier:
        await asyncio.to_thread(packer.finish)
        return found, 0
    return found, await asyncio.to_thread(add_late, packer, earlier, join_rows(late))


async def _store(
    connection: Any, packer: Packer, start: datetime, plain_bytes_a_row: float
) -> None:
    """Write the blocks of an instrument in place of any earlier ones, and read them back."""
    names = (packer.table, packer.exchange, packer.symbol)
    await delete_blocks(connection, *names, start)
    await insert_blocks(connection, packer.blocks, start, plain_bytes_a_row=plain_bytes_a_row)
    stored = [block async for block in chunk_blocks(connection, *names, start)]
    await asyncio.to_thread(verify, packer, stored)


async def _drop(connection: Any, name: str) -> None:
    async with connection.transaction():  # a savepoint: a lock that is not had costs only this
        await connection.execute(f'DROP TABLE "{name}"')
