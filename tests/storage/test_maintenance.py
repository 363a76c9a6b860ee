"""Maintenance: what is due is done, what fails is said, nothing is done twice or lost."""

import asyncio
import logging

import asyncpg
import pytest

from alphaplus.config import Storage
from alphaplus.errors import ConfigError, StorageError
from alphaplus.storage import lock_retries
from alphaplus.storage.archive import move
from alphaplus.storage.maintenance import LOCK_KEY, maintain
from alphaplus.storage.maintenance_report import Policy
from alphaplus.storage.tables import TABLES
from alphaplus.storage.vacuum_hints import vacuum_hints
from alphaplus.storage.writer import Writer
from tests.storage.archive.partitions import (
    HOUR_NS,
    archived,
    hot,
    insert,
    partition_of,
    sent_batch,
)
from tests.storage.rows import T0

pytestmark = pytest.mark.db

TABLE = "order_book_deltas"
DAY_NS = 24 * HOUR_NS


def said():
    words = []
    return words, words.append


@pytest.mark.native
async def test_partitions_are_made_ahead_and_once(dsn, connection):
    policy = Policy(partitions_ahead_h=5)
    report = await maintain(dsn, policy, T0)
    assert report.partitions_made == 6 * 4 + 5 + 3  # hourly, daily (noon + 5 h), longer
    again = await maintain(dsn, policy, T0 + HOUR_NS)
    assert again.partitions_made == 4
    assert (again.failures, again.moved, again.rows_in_default) == ([], [], {})
    await insert(connection, sent_batch(TABLE, 10, start=4 * 3600 * 1000))
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}_default") == 0


@pytest.mark.native
async def test_closed_partitions_are_archived_and_open_ones_are_not(dsn, connection):
    early, late = sent_batch(TABLE, 100), sent_batch(TABLE, 100, start=3600 * 1000)
    for sent in (early, late):
        await partition_of(connection, TABLE, int(sent.rows["time"][0]))
    await insert(connection, early, late)
    words, say = said()
    report = await maintain(dsn, Policy(), T0 + 3 * HOUR_NS, say)
    assert [moved.rows for moved in report.moved] == [100]
    assert "archived 100 rows of order_book_deltas_p2024080812" in words[0]
    assert await hot(connection, TABLE) == 100
    assert (await archived(connection, TABLE)).tobytes() == early.rows.tobytes()
    sooner = await maintain(dsn, Policy(archive_after_h=0.5), T0 + 3 * HOUR_NS)
    assert [moved.rows for moved in sooner.moved] == [100]
    summary = sooner.summary()
    assert (summary["rows_archived"], summary["partitions_archived"]) == (100, 1)
    assert summary["packed_bytes"] < summary["plain_bytes"]


@pytest.mark.native
async def test_a_partition_that_is_still_written_is_left_for_later(dsn, connection, caplog):
    sent = sent_batch(TABLE, 50)
    sent.rows["recv_time"] = T0 + 4 * HOUR_NS  # a history that is being loaded
    await partition_of(connection, TABLE)
    await insert(connection, sent)
    with caplog.at_level(logging.INFO):
        assert (await maintain(dsn, Policy(), T0 + 5 * HOUR_NS)).moved == []
    assert "still written to" in caplog.text
    assert [m.rows for m in (await maintain(dsn, Policy(), T0 + 7 * HOUR_NS)).moved] == [50]


@pytest.mark.native
async def test_tables_that_models_read_by_sql_stay(dsn, connection):
    await partition_of(connection, "open_interest")
    await insert(connection, sent_batch("open_interest", 50))
    report = await maintain(dsn, Policy(), T0 + 30 * DAY_NS)
    assert [moved.rows for moved in report.moved] == []
    assert await hot(connection, "open_interest") == 50


@pytest.mark.native
async def test_rows_in_the_default_partition_raise_an_alert_and_are_merged(dsn, connection, caplog):
    """Of an hour that is archived, of one that is closed, of one that is open, of the future."""
    await partition_of(connection, TABLE)
    parts = [sent_batch(TABLE, 100, start=3600 * 1000 * hour) for hour in (0, 1, 9, 400)]
    await insert(connection, parts[0])
    await maintain(dsn, Policy(), T0 + 4 * HOUR_NS)
    late = sent_batch(TABLE, 20, start=100)
    await insert(connection, late)
    await insert(connection, parts[1])
    await insert(connection, parts[2])
    await insert(connection, parts[3])
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}_default") == 220
    with caplog.at_level(logging.WARNING):
        report = await maintain(dsn, Policy(), T0 + 10 * HOUR_NS)
    assert report.rows_in_default == {TABLE: 220}
    assert "220 rows of order_book_deltas were in its default partition, of 3" in caplog.text
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}_default") == 0
    assert [moved.rows for moved in report.moved if moved.rows] == [20, 100]
    expected = b"".join(part.rows.tobytes() for part in (parts[0], late, parts[1]))
    assert (await archived(connection, TABLE)).tobytes() == expected
    assert await hot(connection, TABLE) == 200
    assert (await maintain(dsn, Policy(), T0 + 10 * HOUR_NS)).rows_in_default == {}


@pytest.mark.native
async def test_the_writer_and_maintenance_share_a_table(dsn, connection, tmp_path):
    """A writer that knows partitions which are gone by now loses nothing."""
    async with Writer(dsn, tmp_path, flush_ms=1) as writer:
        for start in (0, 50, 100):
            await writer.accept([sent_batch(TABLE, 50, start)])
            await writer.drain()
            await maintain(dsn, Policy(), T0 + 9 * HOUR_NS)
        assert writer.stats.dead == 0
    expected = b"".join(sent_batch(TABLE, 50, start).rows.tobytes() for start in (0, 50, 100))
    assert (await archived(connection, TABLE)).tobytes() == expected
    assert await hot(connection, TABLE) == 0


@pytest.mark.native
async def test_retention_drops_whole_partitions_and_blocks(dsn, connection):
    hours = [sent_batch(TABLE, 10, start=3600 * 1000 * hour) for hour in range(4)]
    for sent in hours:
        await partition_of(connection, TABLE, int(sent.rows["time"][0]))
        await insert(connection, sent)
    await maintain(dsn, Policy(), T0 + 4 * HOUR_NS)  # two are packed, two are not
    assert await hot(connection, TABLE) == 20
    policy = Policy(retention_days={TABLE: 1}, archive_after_h=10_000)
    report = await maintain(dsn, policy, T0 + DAY_NS + HOUR_NS + HOUR_NS // 2)
    assert (report.chunks_dropped, report.archived_rows_dropped) == (0, 10)
    assert (await archived(connection, TABLE)).tobytes() == hours[1].rows.tobytes()
    report = await maintain(dsn, policy, T0 + DAY_NS + 3 * HOUR_NS)
    assert (report.chunks_dropped, report.archived_rows_dropped) == (1, 10)
    assert await hot(connection, TABLE) == 10
    kept = await maintain(dsn, Policy(), T0 + 400 * DAY_NS)
    assert (kept.chunks_dropped, kept.archived_rows_dropped) == (0, 0), "unset: for ever"


@pytest.mark.timescale
async def test_on_timescale_only_retention_is_left_to_do(dsn, connection):
    await insert(connection, sent_batch(TABLE, 10))
    policy = Policy(retention_days={TABLE: 1})
    report = await maintain(dsn, policy, T0 + DAY_NS // 2)
    assert (report.partitions_made, report.moved, report.rows_in_default) == (0, [], {})
    assert report.chunks_dropped == 0
    assert (await maintain(dsn, policy, T0 + 2 * DAY_NS)).chunks_dropped == 1
    assert await hot(connection, TABLE) == 0


async def test_a_second_one_at_the_same_time_is_refused(dsn, connection):
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    with pytest.raises(StorageError, match=r"Expected no other maintenance .* wait for it"):
        await maintain(dsn, Policy(), T0)
    await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
    for _ in range(3):
        await maintain(dsn, Policy(), T0)


@pytest.mark.native
async def test_what_fails_is_reported_and_the_rest_is_done(dsn, connection, monkeypatch):
    monkeypatch.setattr(move, "LOCK_MS", 50)
    monkeypatch.setattr(lock_retries, "PAUSE_S", 0.01)
    for table in (TABLE, "market_trades"):
        await partition_of(connection, table)
        await insert(connection, sent_batch(table, 10))
    reader = await asyncpg.connect(dsn)
    async with reader.transaction():
        await reader.execute(f"LOCK TABLE {TABLE}_p2024080812 IN ACCESS SHARE MODE")
        report = await maintain(dsn, Policy(), T0 + 4 * HOUR_NS)
    await reader.close()
    (failure,) = report.failures
    assert failure.startswith("could not archive order_book_deltas_p2024080812: canceling")
    assert [moved.partition for moved in report.moved] == ["market_trades_p2024080812"]
    assert (await maintain(dsn, Policy(), T0 + 4 * HOUR_NS)).failures == []
    assert await hot(connection, TABLE) == 0


@pytest.mark.native
async def test_a_damaged_block_keeps_late_rows_out_of_it(dsn, connection):
    await partition_of(connection, TABLE)
    await insert(connection, sent_batch(TABLE, 50))
    await maintain(dsn, Policy(), T0 + 4 * HOUR_NS)
    await connection.execute("UPDATE archive_blocks SET checksum = sha256('x')")
    await insert(connection, sent_batch(TABLE, 5, start=100))
    report = await maintain(dsn, Policy(), T0 + 4 * HOUR_NS)
    (failure,) = report.failures
    assert "it is damaged; restore archive_blocks from a backup" in failure
    assert await hot(connection, TABLE) == 5


async def test_cancelled_in_the_middle_it_leaves_no_lock(dsn, connection, monkeypatch):
    entered = asyncio.Event()

    async def forever(_):
        entered.set()
        await asyncio.sleep(600)

    with monkeypatch.context() as patched:
        patched.setattr("alphaplus.storage.maintenance.vacuum_hints", forever)
        task = asyncio.create_task(maintain(dsn, Policy(), T0))
        await asyncio.wait_for(entered.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(60):
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid::int8 = $1"
        while await connection.fetchval(held, LOCK_KEY % 2**32):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    await maintain(dsn, Policy(), T0)


async def test_hints_name_the_table_and_the_command(connection):
    assert await vacuum_hints(connection) == []
    await connection.execute("ALTER TABLE portfolios SET (autovacuum_enabled = off)")
    await connection.execute(
        "INSERT INTO portfolios SELECT n::text, '{}' FROM generate_series(1, 120000) n"
    )
    await connection.execute("DELETE FROM portfolios WHERE id::int > 50000")
    await connection.execute("SELECT pg_stat_force_next_flush()")
    first, second = await vacuum_hints(connection)
    assert "portfolios has 70,000 dead rows beside 50,000 live ones" in first
    assert first.endswith("run VACUUM portfolios.")
    assert second.endswith("run ANALYZE portfolios.")
    await connection.execute("VACUUM ANALYZE portfolios")
    await connection.execute("SELECT pg_stat_force_next_flush()")
    assert await vacuum_hints(connection) == []


def test_policy_of_settings():
    storage = Storage(retention=(f"{TABLE}=30", "market_trades=0.5"), archive_after_h=6)
    policy = Policy.from_settings(storage)
    assert policy.retention_days == {TABLE: 30, "market_trades": 0.5}
    assert (policy.archive_after_h, policy.partitions_ahead_h) == (6, 24)
    with pytest.raises(ConfigError, match=r"tables in storage\.retention, was 'nothing'"):
        Policy.from_settings(Storage(retention=("nothing=1",)))
    assert set(policy.retention_days) < set(TABLES)
