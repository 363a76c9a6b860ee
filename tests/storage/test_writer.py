"""The writer: accepted once is stored once, whatever fails, and bad rows hurt no others.

What happens when it or the server is killed: tests/benchmarks/test_crash_benchmark.py.
"""

import asyncio
import json
import os

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage import queries
from alphaplus.storage.spool import Spool
from alphaplus.storage.tables import TABLES, TableBatch
from alphaplus.storage.writer import MAX_NEW_CHUNKS, Writer
from tests.storage.rows import T0, batch
from tests.storage.servers import chunks_of, execute, rows_in_default, with_options

pytestmark = pytest.mark.db


def balanced(stats):
    got = stats.written + stats.duplicate + stats.dead + stats.pending + stats.quarantined
    return stats.accepted + stats.replayed == got


async def until(condition):
    """Wait for what another process or task brings about; nothing signals it."""
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_rows_of_all_tables_and_symbols_arrive(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path, flush_rows=100, flush_ms=5) as writer:
        for start in range(0, 300, 30):
            await writer.accept(
                [
                    batch(table, 30, start, symbol)
                    for table in TABLES
                    for symbol in ("BTC-USDT-PERP", "ETH-USDT-PERP")
                ]
            )
        await writer.drain()
        stats = writer.stats
    assert (stats.accepted, stats.written, stats.pending) == (600 * len(TABLES),) * 2 + (0,)
    assert (stats.duplicate, stats.retried, stats.dead, stats.state) == (0, 0, 0, "ok")
    for table in TABLES:
        assert await queries.count(connection, table) == 600
        assert await rows_in_default(connection, table) == 0
    assert list(tmp_path.glob("*.seg")) == []


async def test_duplicates_in_a_batch_and_in_the_database_are_counted(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path) as writer:
        sent = batch("order_book_deltas", 100)
        again = TableBatch("order_book_deltas", "binance", "BTC-USDT-PERP", sent.rows[:10].copy())
        again.rows["qty"] = 77.0
        await writer.accept([sent, again])
        await writer.drain()
        assert (writer.stats.written, writer.stats.duplicate) == (100, 10)
        assert writer.stats.retried == 0
        await writer.accept([sent, batch("order_book_deltas", 5, start=100)])
        await writer.drain()
        stats = writer.stats
    assert (stats.written, stats.duplicate, stats.retried) == (105, 110, 105)
    assert balanced(stats)
    newest = await connection.fetchval("SELECT count(*) FROM order_book_deltas WHERE qty = 77")
    assert newest == 10, "of one key in a batch the last row wins"


async def test_bad_rows_go_to_the_dead_letters_and_the_rest_is_stored(dsn, connection, tmp_path):
    sent = batch("market_trades", 64)
    sent.rows["price"][13] = np.nan
    sent.rows["trade_ref"][40] = b"\xff\xfe"
    sent.rows["time"][50] = 0
    async with Writer(dsn, tmp_path) as writer:
        await writer.accept([sent, batch("market_trades", 10, symbol="ETH-USDT-PERP")])
        await writer.drain()
        stats = writer.stats
    assert (stats.written, stats.dead, stats.duplicate, stats.pending) == (71, 3, 0, 0)
    assert balanced(stats)
    assert await queries.count(connection, "market_trades") == 71
    letters = [json.loads(x) for x in (tmp_path / "dead-letters.jsonl").read_text().splitlines()]
    assert sorted(letter["row"]["trade_id"] for letter in letters) == [13, 40, 50]
    assert {letter["symbol"] for letter in letters} == {"BTC-USDT-PERP"}
    assert all(letter["reason"] for letter in letters)


@pytest.mark.native
async def test_rows_of_many_hours_fall_into_the_default_partition(dsn, connection, tmp_path):
    count = MAX_NEW_CHUNKS + 1
    sent = batch("market_trades", count)
    sent.rows["time"] = T0 + np.arange(count) * 3600 * 10**9
    async with Writer(dsn, tmp_path) as writer:
        await writer.accept([sent])
        await writer.drain()
        assert writer.stats.misplaced == 1
    assert await rows_in_default(connection, "market_trades") == count


async def test_years_of_a_history_find_their_partitions(dsn, connection, tmp_path):
    day = 86_400 * 10**9
    candles, funding = batch("candles", 1_000), batch("enhanced_funding_rates", 1_000)
    for sent, step in ((candles, day), (funding, day // 3)):
        sent.rows["time"] = T0 + np.arange(1_000) * step
    async with Writer(dsn, tmp_path) as writer:
        await writer.accept([candles, funding])
        await writer.drain()
        assert (writer.stats.written, writer.stats.misplaced) == (2_000, 0)
    for table, partitions in (("candles", 35), ("enhanced_funding_rates", 334)):
        assert await rows_in_default(connection, table) == 0
        assert await chunks_of(connection, table) == partitions


async def test_spool_left_behind_is_written_first_and_once(dsn, connection, tmp_path):
    first = Writer(dsn, tmp_path, flush_rows=10**9, flush_ms=60_000)
    await first.start()
    await first.accept([batch("order_book_deltas", 100)])
    await first.close()
    assert await queries.count(connection, "order_book_deltas") == 0
    for _ in range(2):  # the second time all is there already
        kept = {path: path.read_bytes() for path in tmp_path.glob("*.seg")}
        async with Writer(dsn, tmp_path) as writer:
            assert writer.stats.replayed == 100
            await writer.drain()
            assert balanced(writer.stats)
        assert await queries.count(connection, "order_book_deltas") == 100
        for path, data in kept.items():
            path.write_bytes(data)


async def test_damaged_and_foreign_frames_are_not_lost_in_silence(dsn, tmp_path):
    spool = Spool(tmp_path)
    spool.append([b"no batch at all", batch("order_book_deltas", 5).to_bytes()])
    spool.append([batch("order_book_deltas", 5, start=5).to_bytes()])
    os.close(spool._active)
    os.close(spool._lock)
    async with Writer(dsn, tmp_path) as writer:
        await writer.drain()
        assert writer.stats.written == 10
    (letter,) = (tmp_path / "dead-letters.jsonl").read_text().splitlines()
    assert bytes.fromhex(json.loads(letter)["payload"]) == b"no batch at all"


async def test_database_that_refuses_for_a_while_costs_nothing(dsn, connection, tmp_path):
    """An SQL error that is not about the rows: the writer waits, and says so."""
    async with Writer(dsn, tmp_path, flush_ms=1) as writer:
        await connection.execute("ALTER TABLE open_interest RENAME TO hidden")
        await writer.accept([batch("open_interest", 10)])
        await until(lambda: writer.stats.state == "degraded")
        assert "open_interest" in writer.stats.reason
        with pytest.raises(StorageError, match=r"10 rows are not in the database .* are safe in"):
            await writer.drain(0.1)
        await connection.execute("ALTER TABLE hidden RENAME TO open_interest")
        await writer.drain()
        assert (writer.stats.state, writer.stats.reason) == ("ok", "")
        assert writer.stats.written == 10


async def test_killed_connections_are_made_again(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path, flush_rows=50, flush_ms=1) as writer:
        for start in range(0, 2000, 100):
            await writer.accept([batch("order_book_deltas", 100, start)])
            if start % 500 == 0:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        await writer.drain()
        stats = writer.stats
    assert await queries.count(connection, "order_book_deltas") == 2000
    assert stats.reconnects >= 1
    assert balanced(stats)


async def test_full_spool_makes_accept_wait_and_drops_nothing(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path, flush_ms=1, max_spool_bytes=100_000) as writer:
        await connection.execute("ALTER TABLE order_book_deltas RENAME TO hidden")

        async def produce():
            for start in range(0, 5000, 250):
                await writer.accept([batch("order_book_deltas", 250, start)])

        producer = asyncio.create_task(produce())
        await until(lambda: writer.stats.refused > 0)
        assert not producer.done()
        assert writer.stats.spool_bytes <= 100_000
        assert "reached its 100000 bytes" in writer.stats.reason
        await connection.execute("ALTER TABLE hidden RENAME TO order_book_deltas")
        await producer
        await writer.drain()
        assert (writer.stats.accepted, writer.stats.state) == (5000, "ok")
    assert await queries.count(connection, "order_book_deltas") == 5000


async def test_refusals_at_the_start(dsn, empty_dsn, tmp_path):
    with pytest.raises(StorageError, match="apply the migrations first"):
        await Writer(empty_dsn, tmp_path).start()
    with pytest.raises(StorageError, match="read-only"):
        await Writer(with_options(dsn, default_transaction_read_only="on"), tmp_path).start()
    writer = Writer(dsn, tmp_path)
    with pytest.raises(StorageError, match="not open"):
        await writer.accept([batch("trades", 1)])
    async with Writer(dsn, tmp_path), asyncio.timeout(10):
        with pytest.raises(StorageError, match="in use by another writer"):
            await writer.start()


async def test_oversized_batch_is_refused_whole(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path, max_spool_bytes=100_000) as writer:
        with pytest.raises(StorageError, match=r"half of storage.max_spool_mb"):
            await writer.accept([batch("order_book_deltas", 5000)])
        assert writer.stats.accepted == 0
        assert writer.stats.spool_bytes == 0


async def test_outage_at_the_start_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match="cannot be reached"):
        await Writer("postgresql://me:pw@127.0.0.1:1/db", tmp_path).start()
    assert list(tmp_path.iterdir()) == []


async def test_closed_while_degraded_keeps_the_rows(dsn, tmp_path):
    writer = Writer(dsn, tmp_path, flush_ms=1)
    await writer.start()
    await execute(dsn, "ALTER TABLE trades RENAME TO hidden")
    await writer.accept([batch("trades", 3)])
    await until(lambda: writer.stats.state == "degraded")
    await writer.close()
    await execute(dsn, "ALTER TABLE hidden RENAME TO trades")
    async with Writer(dsn, tmp_path) as again:
        await again.drain()
        assert again.stats.written == 3


async def test_a_patient_writer_takes_rows_before_there_is_a_database(connection, dsn, tmp_path):
    writer = Writer("postgresql://alphaplus@127.0.0.1:1/alphaplus", tmp_path)
    with pytest.raises(StorageError):
        await writer.start()
    await writer.start(patient=True)
    assert writer.stats.state == "degraded"
    await writer.accept([batch("market_trades", 64)])
    with pytest.raises(StorageError, match="64 rows are not in the database"):
        await writer.drain(0.3)
    writer._dsn = dsn  # it is there now
    await writer.drain()
    assert writer.stats.state == "ok"
    await writer.close()
    assert await queries.count(connection, "market_trades") == 64
