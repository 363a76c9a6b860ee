"""Back-up and restore as docs/storage.md tells: spool first, then pg_dump; nothing is lost."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest

from alphaplus.storage.binaries import find_binaries
from alphaplus.storage.maintenance import maintain
from alphaplus.storage.maintenance_report import Policy
from alphaplus.storage.migrations import NATIVE, TIMESCALE, migrate
from alphaplus.storage.rollups import fill_rollups
from alphaplus.storage.row_order import order_of
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS, TABLES
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, batch
from tests.storage.servers import execute

pytestmark = pytest.mark.db

OTHERS = ("archive_blocks", "market_trades_1m", "market_depth_analysis_1m", "portfolios")
DAY = 86_400 * 10**9


async def programs(server):
    """The folder of pg_dump and pg_restore of the server's version; skip if there is none."""
    connection = await asyncpg.connect(server.dsn)
    try:
        told = await connection.fetchval("SELECT setting FROM pg_config() WHERE name = 'BINDIR'")
    finally:
        await connection.close()
    for folder in (Path(told), find_binaries().directory):
        if server.flavor == TIMESCALE and folder != Path(told):
            break
        if (folder / "pg_dump").exists() and (folder / "pg_restore").exists():
            return folder
    pytest.skip(f"no pg_dump and pg_restore of the {server.flavor} server on this machine")


def run(*command):
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def digests(dsn):
    """One hash of all rows of each table, in order, as the server sends them."""
    connection = await asyncpg.connect(dsn)
    found = {}
    try:
        for name in (*TABLES, *OTHERS):
            columns = order_of(TABLES[name]) if name in TABLES else ()
            order = ", ".join(("exchange", "symbol", *columns)) if columns else "1, 2, 3"
            digest = hashlib.sha256()

            async def take(data, digest=digest):
                digest.update(data)

            tag = await connection.copy_from_query(
                f"SELECT * FROM {name} ORDER BY {order}", output=take, format="binary"
            )
            found[name] = (tag, digest.hexdigest())
    finally:
        await connection.close()
    return found


async def test_what_was_backed_up_comes_back(server, dsn, tmp_path):
    folder = await programs(server)
    spool = tmp_path / "spool"
    writer = Writer(dsn, spool, flush_rows=10**9, flush_ms=1)
    await writer.start()
    await writer.accept([batch(name, 200) for name in TABLES])
    await writer.drain()
    await fill_rows_of_other_kinds(server, dsn)
    await writer.close()
    waiting = Writer(dsn, spool, flush_rows=10**9, flush_ms=60_000)
    await waiting.start()
    await waiting.accept([batch(name, 50, start=200) for name in TABLES])
    await waiting.close()

    shutil.copytree(spool, tmp_path / "spool.backup")
    dump = str(tmp_path / "alphaplus.dump")
    run(folder / "pg_dump", "--format=custom", f"--file={dump}", dsn)
    expected = await digests(dsn)

    async with server.database(empty=True) as restored:
        if server.flavor == TIMESCALE:
            await execute(
                restored, "CREATE EXTENSION timescaledb", "SELECT timescaledb_pre_restore()"
            )
        restore = (folder / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={restored}")
        run(*restore, dump)
        if server.flavor == TIMESCALE:
            await execute(restored, "SELECT timescaledb_post_restore()")
        assert await digests(restored) == expected
        status = await migrate(restored)
        assert (status.flavor, status.pending) == (server.flavor, ())
        async with Writer(restored, tmp_path / "spool.backup") as again:
            await again.drain()
            assert again.stats.replayed == 50 * len(TABLES)
            assert again.stats.written == 50 * len(TABLES)
        async with Writer(dsn, spool) as original:
            await original.drain()
        assert await digests(restored) == await digests(dsn)


async def fill_rows_of_other_kinds(server, dsn):
    """Have archived or compressed rows, rollups and a portfolio in the database too."""
    connection = await asyncpg.connect(dsn)
    try:
        await fill_rollups(connection, start_ns=MIN_TIME_NS, end_ns=MAX_TIME_NS)
        await connection.execute("INSERT INTO portfolios (id, accounts) VALUES ('main', '[]')")
        if server.flavor == TIMESCALE:
            await connection.execute("SELECT compress_chunk(c) FROM show_chunks('market_trades') c")
    finally:
        await connection.close()
    if server.flavor == NATIVE:
        report = await maintain(dsn, Policy(), T0 + 30 * DAY)
        assert report.moved
