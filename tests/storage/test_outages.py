"""Outages and odd conditions around the writer: rows wait, arrive in order, and none is lost."""

import asyncio
import json
import os
import subprocess
import time
from itertools import pairwise
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest

from alphaplus.storage import queries
from alphaplus.storage.spool import SEGMENT_BYTES, Spool
from alphaplus.storage.tables import TABLES, TableBatch, fingerprint, write_schemas
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, batch, rows
from tests.storage.servers import execute, other_database
from tests.storage.test_writer import balanced, until

pytestmark = pytest.mark.db


async def lock_out(server, dsn):
    """Make a database unreachable, as if its server were down."""
    name = urlsplit(dsn).path.strip("/")
    await execute(
        other_database(server.dsn, "postgres"),
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )


async def let_in(server, dsn):
    name = urlsplit(dsn).path.strip("/")
    await execute(
        other_database(server.dsn, "postgres"), f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"
    )


async def test_rows_of_an_outage_wait_in_segments_and_arrive_in_order(server, dsn, tmp_path):
    table, count = "enhanced_order_book_snapshots", 12_000
    async with Writer(dsn, tmp_path, flush_ms=1) as writer:
        await writer.accept([batch(table, 10)])
        await writer.drain()
        await lock_out(server, dsn)
        try:
            for start in range(10, count, 1_000):
                await writer.accept([batch(table, min(1_000, count - start), start)])
            await until(lambda: writer.stats.state == "degraded")
            assert writer.stats.pending == count - 10
            assert writer.stats.spool_bytes > 2 * SEGMENT_BYTES
            assert len(list(tmp_path.glob("*.seg"))) >= 3
        finally:
            await let_in(server, dsn)
        await writer.drain(120)
        assert (writer.stats.state, writer.stats.written) == ("ok", count)
        assert writer.stats.reconnects >= 1
        assert balanced(writer.stats)
        assert len(list(tmp_path.glob("*.seg"))) == 1
    connection = await asyncpg.connect(dsn)
    try:
        assert await queries.count(connection, table) == count
        assert await in_order(connection, table, "seq")
    finally:
        await connection.close()


async def in_order(connection, table, number):
    """Whether each transaction wrote higher numbers than the one before."""
    spans = await connection.fetch(
        f"SELECT min({number}) AS first, max({number}) AS last FROM {table} "
        "GROUP BY xmin::text::int8 ORDER BY xmin::text::int8"
    )
    assert len(spans) > 1
    return all(a["last"] < b["first"] for a, b in pairwise(spans))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
async def test_a_full_disk_makes_accept_wait_and_drops_nothing(dsn, connection, small_disk):
    async with Writer(dsn, small_disk / "spool", flush_ms=1) as writer:
        await connection.execute("ALTER TABLE order_book_deltas RENAME TO hidden")

        async def produce():
            for start in range(0, 50_000, 1_000):
                await writer.accept([batch("order_book_deltas", 1_000, start)])

        producer = asyncio.create_task(produce())
        await until(lambda: writer.stats.refused > 0)
        assert not producer.done()
        assert writer.stats.state == "degraded"
        assert "is full" in writer.stats.reason
        await connection.execute("ALTER TABLE hidden RENAME TO order_book_deltas")
        await producer
        await writer.drain()
        assert (writer.stats.state, writer.stats.written, writer.stats.dead) == ("ok", 50_000, 0)
    assert await queries.count(connection, "order_book_deltas") == 50_000


async def test_a_clock_that_steps_back_changes_no_order(dsn, connection, tmp_path, monkeypatch):
    first = Writer(dsn, tmp_path, flush_rows=10**9, flush_ms=60_000)
    await first.start()
    sent = batch("market_trades", 100)
    sent.rows["recv_time"] -= 3600 * 10**9 * (np.arange(100) >= 50)
    await first.accept([sent])
    await first.close()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 86_400 * 10**9)
    monkeypatch.setattr(time, "time", lambda: (now - 86_400 * 10**9) / 1e9)
    async with Writer(dsn, tmp_path) as again:
        await again.accept([batch("market_trades", 100, start=100)])
        await again.drain()
        assert (again.stats.written, again.stats.duplicate, again.stats.dead) == (200, 0, 0)
    assert await queries.count(connection, "market_trades") == 200
    assert await in_order(connection, "market_trades", "trade_id")


async def test_a_spool_of_other_columns_is_read_by_its_own_description(dsn, connection, tmp_path):
    """Columns that are new are NULL; a row type with columns that are gone is a dead letter."""
    spec = TABLES["open_interest"]
    made = rows("open_interest", 6)
    spool = Spool(tmp_path, head=write_schemas() + b"\n" + older_schemas(spec))
    spool.append([as_another_version(made[:4], spec, drop="oi_usd")])
    spool.append([as_another_version(made[4:], spec, rename=("oi_usd", "oi_eur"))])
    os.close(spool._active)
    os.close(spool._lock)
    async with Writer(dsn, tmp_path) as writer:
        await writer.drain()
        stats = writer.stats
    assert (stats.replayed, stats.written, stats.dead) == (6, 4, 2)
    stored = await connection.fetch("SELECT oi_base, oi_usd FROM open_interest ORDER BY time")
    assert [row["oi_base"] for row in stored] == made["oi_base"][:4].tolist()
    assert {row["oi_usd"] for row in stored} == {None}
    (letter,) = (tmp_path / "dead-letters.jsonl").read_text().splitlines()
    assert "oi_eur; drain the spool with the version that wrote it" in json.loads(letter)["reason"]


def changed(spec, drop=None, rename=("", "")):
    fields = [(rename[1] if f[0] == rename[0] else f[0], *f[1:]) for f in spec.dtype.descr]
    return np.dtype([field for field in fields if field[0] != drop])


def older_schemas(spec):
    """Describe two row types of a table that this version does not have."""
    lines = []
    for dtype in (changed(spec, drop="oi_usd"), changed(spec, rename=("oi_usd", "oi_eur"))):
        columns = ",".join(f"{name}:{code}:" for name, code in dtype.descr)
        lines.append(f"{fingerprint(spec.name, dtype):016x}\t{spec.name}\t{columns}")
    return "\n".join(lines).encode()


def as_another_version(made, spec, **change):
    """Serialise rows as the version with that row type did."""
    dtype = changed(spec, **change)
    old = np.zeros(len(made), dtype=dtype)
    for name in dtype.names:
        if name in made.dtype.names:
            old[name] = made[name]
    whole = TableBatch(spec.name, "binance", "BTC-USDT-PERP", made).to_bytes()
    head = len(whole) - len(made) * spec.dtype.itemsize
    mark = fingerprint(spec.name, dtype).to_bytes(8, "little")
    return whole[:10] + mark + whole[18:head] + old.tobytes()


async def test_times_of_1970_and_of_another_age_are_dead_letters(dsn, connection, tmp_path):
    sent = batch("market_trades", 6)
    strange = [0, 1_000, -(10**18), 2**63 - 1, 4_102_444_800 * 10**9]
    sent.rows["time"][:5] = strange
    async with Writer(dsn, tmp_path) as writer:
        await writer.accept([sent])
        await writer.drain()
        assert (writer.stats.written, writer.stats.dead) == (1, 5)
        assert balanced(writer.stats)
    letters = [json.loads(x) for x in (tmp_path / "dead-letters.jsonl").read_text().splitlines()]
    assert {letter["reason"] for letter in letters} == {"its time is not between 2000 and 2100"}
    assert [letter["row"]["time"] for letter in letters] == [t - t % 1000 for t in strange]
    assert await connection.fetchval("SELECT trade_id FROM market_trades") == 5
    assert T0 in sent.rows["time"] - 5 * 1_000_000
