"""Closed partitions move to the archive whole, once, whatever comes in between."""

import asyncio
import os
import signal
import sys

import asyncpg
import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage import lock_retries
from alphaplus.storage.archive import block, move, packing
from alphaplus.storage.archive.move import move_partition
from alphaplus.storage.tables import TABLES
from tests.storage.archive.partitions import archived, hot, insert, partition_of, sent_batch

pytestmark = [pytest.mark.db, pytest.mark.native]

TABLE = "order_book_deltas"
ARCHIVED = (
    "enhanced_order_book_snapshots",
    "order_book_deltas",
    "market_trades",
    "market_depth_analysis",
    "liquidation_events",
    "liquidation_levels",
)


async def exists(connection, name):
    return await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name)


@pytest.fixture
def small_pieces(monkeypatch):
    """Blocks of 100 rows and pages of few rows, so that little data has many of both."""
    monkeypatch.setattr(block, "BLOCK_ROWS", 100)
    monkeypatch.setattr(move, "PAGE_BYTES", 70 * 51)


async def test_these_tables_are_archived_and_no_others(connection):
    marked = await connection.fetch("SELECT table_name FROM ap_timeseries WHERE archive")
    assert {row["table_name"] for row in marked} == set(ARCHIVED)


@pytest.mark.parametrize("table", ARCHIVED)
async def test_rows_of_all_instruments_move_bit_for_bit(connection, monkeypatch, table):
    monkeypatch.setattr(block, "BLOCK_ROWS", 100)
    monkeypatch.setattr(move, "PAGE_BYTES", 70 * TABLES[table].dtype.itemsize)
    partition = await partition_of(connection, table)
    first, second = sent_batch(table, 730), sent_batch(table, 41, symbol="ETH-USDT-PERP")
    await insert(connection, first, second)
    await connection.execute(f"ANALYZE {partition.name}")
    moved = await move_partition(connection, partition)
    assert (moved.rows, moved.duplicates) == (771, 0)
    assert moved.blocks >= 9
    assert 0 < moved.packed_bytes < moved.plain_bytes
    assert not await exists(connection, partition.name)
    assert await hot(connection, table) == 0
    assert (await archived(connection, table)).tobytes() == first.rows.tobytes()
    got = await archived(connection, table, "ETH-USDT-PERP")
    assert got.tobytes() == second.rows.tobytes()
    told = await connection.fetchval("SELECT sum(plain_bytes) FROM archive_blocks")
    assert told == pytest.approx(moved.plain_bytes, abs=moved.blocks)


async def test_an_empty_partition_is_dropped(connection):
    partition = await partition_of(connection, TABLE)
    moved = await move_partition(connection, partition)
    assert (moved.rows, moved.blocks, moved.packed_bytes) == (0, 0, 0)
    assert not await exists(connection, partition.name)


async def test_late_rows_are_merged_and_those_that_were_there_stay(connection, small_pieces):
    """Late: before the first block, within some, after the last one, and twice."""
    everything = sent_batch(TABLE, 1000)
    late = np.zeros(1000, dtype=bool)
    late[[0, 1, 250, 251, 252, 998, 999]] = True
    early = type(everything)(TABLE, "binance", "BTC-USDT-PERP", everything.rows[~late])
    await partition_of(connection, TABLE)
    await insert(connection, early)
    await move_partition(connection, await partition_of(connection, TABLE))
    again = np.concatenate([everything.rows[late], everything.rows[400:410]])
    again["qty"][7:] = 77.0  # another value under a key that is archived does not count
    await insert(connection, type(everything)(TABLE, "binance", "BTC-USDT-PERP", again))
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}_default") == 17
    before = await connection.fetchval("SELECT array_agg(checksum) FROM archive_blocks")
    moved = await move_partition(connection, await partition_of(connection, TABLE))
    assert (moved.rows, moved.duplicates) == (17, 10)
    assert await hot(connection, TABLE) == 0
    assert (await archived(connection, TABLE)).tobytes() == everything.rows.tobytes()
    after = await connection.fetchval("SELECT array_agg(checksum) FROM archive_blocks")
    assert len(set(before) & set(after)) >= 5, "blocks without late rows are kept as they are"


async def test_a_new_instrument_comes_late(connection):
    await partition_of(connection, TABLE)
    await insert(connection, sent_batch(TABLE, 50))
    await move_partition(connection, await partition_of(connection, TABLE))
    late = sent_batch(TABLE, 30, symbol="ETH-USDT-PERP")
    await insert(connection, late)
    await move_partition(connection, await partition_of(connection, TABLE))
    assert len(await archived(connection, TABLE)) == 50
    assert (await archived(connection, TABLE, "ETH-USDT-PERP")).tobytes() == late.rows.tobytes()


async def test_blocks_that_read_back_wrongly_leave_everything_as_it_was(connection, monkeypatch):
    partition = await partition_of(connection, TABLE)
    await insert(connection, sent_batch(TABLE, 50))
    real = packing.pack

    def flawed(batch):
        rows = batch.rows.copy()
        rows["qty"][3] = 1.0
        return real(type(batch)(batch.table, batch.exchange, batch.symbol, rows))

    monkeypatch.setattr(packing, "pack", flawed)
    with pytest.raises(StorageError, match=r"to read back .* as they were"):
        await move_partition(connection, partition)
    assert await hot(connection, TABLE) == 50
    assert await connection.fetchval("SELECT count(*) FROM archive_blocks") == 0


@pytest.mark.parametrize("size", [1, 21])
async def test_rows_that_are_not_ours_stay_where_they_are(connection, size):
    """An array as long as no other of its side, or longer than any of ours."""
    table = "enhanced_order_book_snapshots"
    partition = await partition_of(connection, table)
    await insert(connection, sent_batch(table, 50))
    await connection.execute(
        f"UPDATE {table} SET bid_px = array_fill(1.0::float8, ARRAY[{size}]) WHERE seq = 7"
    )
    with pytest.raises(StorageError, match=r"bid_px and bid_qty of equal lengths up to 20"):
        await move_partition(connection, partition)
    assert await hot(connection, table) == 50


async def test_a_reader_holds_up_the_drop_and_loses_nothing(dsn, connection, monkeypatch):
    monkeypatch.setattr(move, "LOCK_MS", 50)
    monkeypatch.setattr(lock_retries, "PAUSE_S", 0.01)
    partition = await partition_of(connection, TABLE)
    await insert(connection, sent_batch(TABLE, 50))
    reader = await asyncpg.connect(dsn)
    try:
        async with reader.transaction():
            assert await hot(reader, TABLE) == 50
            with pytest.raises(asyncpg.LockNotAvailableError):
                await move_partition(connection, partition)
            assert await hot(reader, TABLE) == 50
        assert await connection.fetchval("SELECT count(*) FROM archive_blocks") == 0
        await move_partition(connection, partition)
    finally:
        await reader.close()
    assert len(await archived(connection, TABLE)) == 50


async def test_a_writer_that_comes_late_waits_and_its_rows_are_kept(dsn, connection, monkeypatch):
    """Its rows find no partition any more, and wait in the default one."""
    monkeypatch.setattr(move, "LOCK_MS", 300)
    partition = await partition_of(connection, TABLE)
    await insert(connection, sent_batch(TABLE, 50))
    writer = await asyncpg.connect(dsn)
    late = sent_batch(TABLE, 5, start=1000)
    real, tasks = move._store, []

    async def store(*arguments, **options):
        await real(*arguments, **options)
        tasks.append(asyncio.create_task(insert(writer, late)))
        await asyncio.sleep(0.1)  # it is at the partition's door by now

    monkeypatch.setattr(move, "_store", store)
    monkeypatch.setattr(lock_retries, "TRIES", 1)
    try:
        with pytest.raises(asyncpg.LockNotAvailableError):
            await move_partition(connection, partition)
        await tasks[0]
        assert await hot(connection, TABLE) == 55, "the move gave way"
        monkeypatch.setattr(move, "_store", real)
        await move_partition(connection, partition)
        assert len(await archived(connection, TABLE)) == 55
    finally:
        await writer.close()


MOVER = """
import asyncio, sys, asyncpg
from alphaplus.storage.archive import move
from tests.storage.archive.partitions import partition_of

async def main(dsn, stop_at):
    connection = await asyncpg.connect(dsn)
    partition = await partition_of(connection, "order_book_deltas")
    real = getattr(move, stop_at)
    async def halted(*arguments, **options):
        found = await real(*arguments, **options)
        print("there", flush=True)
        await asyncio.sleep(600)
        return found
    setattr(move, stop_at, halted)
    await move.move_partition(connection, partition)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("stop_at", ["_pack", "_store", "_drop"])
async def test_a_kill_in_the_middle_leaves_the_rows(dsn, connection, stop_at):
    """After packing, after the blocks were written and read back, after the drop."""
    partition = await partition_of(connection, TABLE)
    sent = sent_batch(TABLE, 500)
    await insert(connection, sent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MOVER, dsn, stop_at, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"there\n"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await hot(connection, TABLE) == 500
    assert await connection.fetchval("SELECT count(*) FROM archive_blocks") == 0
    moved = await move_partition(connection, partition)
    assert moved.rows == 500
    assert (await archived(connection, TABLE)).tobytes() == sent.rows.tobytes()
