"""Partitions with rows for the tests of the archive."""

from datetime import timedelta

import numpy as np

from alphaplus.storage.archive.move import Partition
from alphaplus.storage.archive.reader import archived_rows
from alphaplus.storage.copy import copy_payload
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS, TABLES, Type
from tests.storage.rows import T0, batch
from tests.storage.test_copy import copy

HOUR_NS = 3600 * 10**9


def sent_batch(table, count, start=0, symbol="BTC-USDT-PERP"):
    """Rows as the database gives them back: array elements past their length are nan."""
    sent = batch(table, count, start, symbol).floored()
    for column in sent.spec.columns:
        if column.type is Type.FLOAT8_ARRAY:
            counts = sent.rows[column.count]
            sent.rows[column.name][np.arange(column.width) >= counts[:, None]] = np.nan
    return sent


async def insert(connection, *batches):
    """Store rows, into whichever partitions there are."""
    await copy(connection, batches[0].table, copy_payload(batches))


async def partition_of(connection, table, time_ns=T0):
    """Make the partition of a time, if there is none, and describe it."""
    time = to_datetime(time_ns)
    await connection.fetchval("SELECT ap_ensure_partitions($1, $2, $2::timestamptz)", table, time)
    row = await connection.fetchrow(
        "SELECT chunk_name, from_time, to_time FROM ap_chunk_stats() "
        "WHERE table_name = $1 AND from_time <= $2 AND to_time > $2",
        table,
        time,
    )
    return Partition(
        table=table, name=row["chunk_name"], start=row["from_time"], end=row["to_time"]
    )


async def archived(connection, table, symbol="BTC-USDT-PERP"):
    """Everything of an instrument that is in the archive."""
    found = archived_rows(
        connection,
        table,
        exchange="binance",
        symbol=symbol,
        start_ns=MIN_TIME_NS,
        end_ns=MAX_TIME_NS,
    )
    return np.concatenate([TABLES[table].rows(0), *[rows async for rows in found]])


async def hot(connection, table):
    """How many rows are not in the archive."""
    return await connection.fetchval(f"SELECT count(*) FROM {table}")


def later(time_ns, **span):
    return to_datetime(time_ns) + timedelta(**span)
