"""From each earlier version to this one with data in place: every row is as it was."""

import json

import asyncpg
import pytest

from alphaplus.storage import queries
from alphaplus.storage.migrations import load, migrate
from alphaplus.storage.tables import TABLES
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, batch, python_value
from tests.storage.servers import execute, first_files

pytestmark = pytest.mark.db

VERSIONS = len(load())
ROWS = 30
AROUND = queries.to_datetime(T0), queries.to_datetime(T0 + 3600 * 10**9)


async def fill(connection):
    """Put rows into every table of batches that there is, with the columns that it has by now."""
    filled = {}
    for name, spec in TABLES.items():
        found = await connection.fetch(
            "SELECT attname FROM pg_attribute "
            "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            name,
        )
        there = {row["attname"] for row in found}
        if "time" not in there:  # not yet, or of another kind then
            continue
        made = batch(name, ROWS)
        columns = [column for column in spec.stored if column.name in there]
        records = [
            ("binance", made.symbol, *(python_value(column, row) for column in columns))
            for row in made.rows
        ]
        await connection.fetchval("SELECT ap_ensure_partitions($1, $2, $3)", name, *AROUND)
        names = ["exchange", "symbol", *(column.name for column in columns)]
        await connection.copy_records_to_table(name, records=records, columns=names)
        filled[name] = names
    return filled


async def contents(connection, filled):
    return {
        name: await connection.fetch(f"SELECT {', '.join(columns)} FROM {name} ORDER BY time")
        for name, columns in filled.items()
    }


@pytest.mark.parametrize("version", range(1, VERSIONS))
async def test_rows_of_an_earlier_version_are_there_after_the_upgrade(empty_dsn, tmp_path, version):
    await migrate(empty_dsn, first_files(tmp_path / "files", version))
    connection = await asyncpg.connect(empty_dsn)
    try:
        filled = await fill(connection)
        if version >= 8:
            await connection.execute(
                "INSERT INTO portfolios (id, accounts) VALUES ('main', '[{\"id\": \"a\"}]')"
            )
        before = await contents(connection, filled)
        assert all(len(rows) == ROWS for rows in before.values())
        assert len(filled) >= {1: 0, 2: 4, 3: 8, 4: 9, 5: 9, 6: 11}.get(version, len(TABLES))
    finally:
        await connection.close()
    upgraded = await migrate(empty_dsn)
    assert len(upgraded.pending) == VERSIONS - version
    connection = await asyncpg.connect(empty_dsn)
    try:
        assert await contents(connection, filled) == before
        if version >= 8:
            kept = await connection.fetchval("SELECT accounts FROM portfolios WHERE id = 'main'")
            assert json.loads(kept) == [{"id": "a"}]
        async with Writer(empty_dsn, tmp_path / "spool") as writer:
            await writer.accept([batch(name, 5, start=ROWS) for name in TABLES])
            await writer.drain()
            assert (writer.stats.written, writer.stats.dead) == (5 * len(TABLES), 0)
        for name in TABLES:
            expected = 5 + (ROWS if name in filled else 0)
            assert await queries.count(connection, name) == expected
        new = "SELECT count(microprice), count(*) FROM market_depth_analysis"
        known, total = await connection.fetchrow(new)
        assert (known, total) == (total - (ROWS if version in {2, 3, 4} else 0), total)
    finally:
        await connection.close()


async def test_a_spool_of_an_earlier_schema_is_written_after_the_upgrade(empty_dsn, tmp_path):
    """The server comes back newer than the spool: rows go in, what is new is NULL."""
    await migrate(empty_dsn)
    writer = Writer(empty_dsn, tmp_path / "spool", flush_rows=10**9, flush_ms=60_000)
    await writer.start()
    await writer.accept([batch("open_interest", ROWS)])
    await writer.close()
    await execute(empty_dsn, "ALTER TABLE open_interest ADD COLUMN later float8")
    async with Writer(empty_dsn, tmp_path / "spool") as again:
        await again.drain()
        assert again.stats.written == ROWS
