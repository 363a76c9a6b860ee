"""How many bytes a row of a recording takes, plain and packed, and whether it comes back whole.

Packed is TimescaleDB's compression of the chunks on one flavour, the archive of packed blocks on
the other. Sizes are those of whole relations on disk, indexes and TOAST included.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from alphaplus.storage.archive.block import pack_all
from alphaplus.storage.archive.blocks import insert_blocks
from alphaplus.storage.archive.reader import archived_rows
from alphaplus.storage.connection import connect
from alphaplus.storage.migrations import TIMESCALE
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.row_order import order_of
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS, TableBatch
from benchmarks.storage.ingest import copy, make_partitions

_PLAIN = "SELECT sum(size_bytes)::int8 FROM ap_chunk_stats() WHERE table_name = $1"
_COMPRESSED = "SELECT hypertable_size($1::regclass)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes a row of one table; `saved` is the share that packing saves."""

    table: str
    rows: int
    plain_bytes: float
    packed_bytes: float
    saved: float
    packed_by: str
    equal: bool
    """Every row read back from the packed form has the bits that went in."""


async def size_of(dsn: str, batch: TableBatch, flavor: str) -> Size:
    """Store the rows of one instrument plain, then packed."""
    batch = _in_order(batch.floored())
    connection = await connect(dsn, write=True)
    try:
        await make_partitions(connection, batch)
        for piece in batch.pieces(8 * 2**20):
            await copy(connection, piece)
        pack = _compress if flavor == TIMESCALE else _archive
        plain = await connection.fetchval(_PLAIN, batch.table) - await _unused(connection, batch)
        packed, equal = await pack(connection, batch)
    finally:
        await connection.close()
    return Size(
        table=batch.table,
        rows=len(batch),
        plain_bytes=round(plain / len(batch), 2),
        packed_bytes=round(packed / len(batch), 2),
        saved=round(1 - packed / plain, 4),
        packed_by="compression of TimescaleDB" if flavor == TIMESCALE else "archive",
        equal=equal,
    )


async def _unused(connection: Any, batch: TableBatch) -> int:
    """Return the bytes of the default partition, which is empty."""
    name = f"{batch.table}_default"
    if await connection.fetchval("SELECT to_regclass($1)", name) is None:
        return 0
    return int(await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", name))


async def _compress(connection: Any, batch: TableBatch) -> tuple[int, bool]:
    before = await _digest(connection, batch)
    await connection.execute(f"SELECT compress_chunk(c) FROM show_chunks('{batch.table}') c")
    size = await connection.fetchval(_COMPRESSED, batch.table)
    return int(size), await _digest(connection, batch) == before


async def _archive(connection: Any, batch: TableBatch) -> tuple[int, bool]:
    sql = "SELECT pg_total_relation_size('archive_blocks')"
    before = await connection.fetchval(sql)
    start = to_datetime(int(batch.rows["time"][0]))
    await insert_blocks(connection, list(pack_all(batch)), start)
    size = await connection.fetchval(sql) - before
    found = archived_rows(
        connection,
        batch.table,
        exchange=batch.exchange,
        symbol=batch.symbol,
        start_ns=MIN_TIME_NS,
        end_ns=MAX_TIME_NS,
    )
    read = b"".join([rows.tobytes() async for rows in found])
    return int(size), read == batch.rows.tobytes()


async def _digest(connection: Any, batch: TableBatch) -> bytes:
    """Hash all rows in the binary form of the server."""
    digest = hashlib.sha256()

    async def take(data: bytes) -> None:
        digest.update(data)

    await connection.copy_from_query(
        f"SELECT * FROM {batch.table} ORDER BY {', '.join(order_of(batch.spec))}",
        output=take,
        format="binary",
    )
    return digest.digest()


def _in_order(batch: TableBatch) -> TableBatch:
    keys = [batch.rows[name] for name in reversed(order_of(batch.spec))]
    rows = np.ascontiguousarray(batch.rows[np.lexsort(keys)])
    return TableBatch(batch.table, batch.exchange, batch.symbol, rows)
