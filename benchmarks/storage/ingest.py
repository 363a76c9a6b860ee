"""How many rows a second become durable on one connection, in batches of 1,000."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphaplus.storage.connection import connect
from alphaplus.storage.copy import copy_columns, copy_payload
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.tables import TABLES, TableBatch
from alphaplus.storage.writer import Writer

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one way of writing reached; `batch_*` is the time of one call, ms."""

    table: str
    way: str
    rows: int
    rows_per_s: float
    batch_p50_ms: float
    batch_p99_ms: float


def stretched(batch: TableBatch, count: int) -> TableBatch:
    """Return `count` rows: the given ones again and again, each time later, with keys anew."""
    loops = -(-count // len(batch))
    rows = np.tile(batch.rows, loops)
    loop = np.repeat(np.arange(loops), len(batch))
    for name in ("time", "recv_time", "seq"):
        if name in rows.dtype.names:
            span = int(np.ptp(batch.rows[name])) + 1_000_000
            rows[name] += loop * span
    return TableBatch(batch.table, batch.exchange, batch.symbol, rows[:count])


def pieces(batch: TableBatch, size: int = BATCH) -> Iterator[TableBatch]:
    """Cut a batch into calls."""
    return batch.pieces(size * batch.rows.dtype.itemsize)


async def through_writer(dsn: str, folder: Path, batch: TableBatch, flush_rows: int) -> Rate:
    """Accept (spool, fdatasync) and store by the product's writer, until all is committed."""
    taken = []
    async with Writer(dsn, folder / "spool", flush_rows=flush_rows, flush_ms=50) as writer:
        begun = time.perf_counter()
        for piece in pieces(batch):
            at = time.perf_counter()
            await writer.accept([piece])
            taken.append(time.perf_counter() - at)
        await writer.drain(600)
        seconds = time.perf_counter() - begun
        stored = writer.stats.written
    if stored != len(batch):
        raise RuntimeError(f"Expected {len(batch)} rows of {batch.table} stored, was {stored}.")
    return _rate(batch, "writer", seconds, taken)


async def by_copy(dsn: str, batch: TableBatch) -> Rate:
    """Encode and COPY each batch in a transaction of its own, without a spool."""
    connection = await connect(dsn, write=True)
    try:
        await make_partitions(connection, batch)
        taken = []
        begun = time.perf_counter()
        for piece in pieces(batch):
            at = time.perf_counter()
            await copy(connection, piece)
            taken.append(time.perf_counter() - at)
        seconds = time.perf_counter() - begun
    finally:
        await connection.close()
    return _rate(batch, "copy", seconds, taken)


async def make_partitions(connection: Any, batch: TableBatch) -> None:
    """Make the partitions of a batch's times, as the writer would."""
    times = batch.rows["time"]
    span = to_datetime(int(times.min())), to_datetime(int(times.max()))
    await connection.fetchval("SELECT ap_ensure_partitions($1, $2, $3)", batch.table, *span)


async def copy(connection: Any, batch: TableBatch) -> None:
    """Write one batch with binary COPY."""

    async def source() -> Any:
        yield copy_payload([batch])

    await connection.copy_to_table(
        batch.table, source=source(), columns=copy_columns(batch.table), format="binary"
    )


async def empty(dsn: str) -> None:
    """Remove all rows, so that every measurement begins with empty tables."""
    connection = await connect(dsn, write=True)
    try:
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
    finally:
        await connection.close()


def _rate(batch: TableBatch, way: str, seconds: float, taken: list[float]) -> Rate:
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    return Rate(
        table=batch.table,
        way=way,
        rows=len(batch),
        rows_per_s=round(len(batch) / seconds),
        batch_p50_ms=round(float(p50), 3),
        batch_p99_ms=round(float(p99), 3),
    )
