"""Migrations: once, whole, in order; what does not belong together is refused."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from alphaplus.errors import MigrationError, StorageError
from alphaplus.storage import migrations
from alphaplus.storage.migrations import find_directory, load, migrate, status
from alphaplus.storage.tables import TABLES
from tests.storage.servers import execute, first_files, with_options

FILES = tuple(str(migration) for migration in load())


@pytest.fixture
def folder(tmp_path):
    """A copy of the migrations that a test may change."""
    return shutil.copytree(find_directory(), tmp_path / "migrations")


async def fetch(dsn, sql, *args):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


async def schema(dsn):
    """Everything that a migration may make or change, in one comparable list."""
    return await fetch(
        dsn,
        "SELECT c.relname::text AS name, c.relkind::text AS kind, a.attname::text AS part, "
        "format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS said "
        "FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "WHERE c.relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT p.oid::regprocedure::text, 'f', NULL, md5(p.prosrc), NULL FROM pg_proc p "
        "WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d "
        "WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1, 2, 3",
    )


async def relations(dsn):
    return await fetch(
        dsn, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )


@pytest.mark.db
async def test_dry_run_changes_nothing_and_twice_is_once(server, empty_dsn):
    planned = await migrate(empty_dsn, dry_run=True)
    assert (planned.applied, planned.pending) == ((), FILES)
    assert await relations(empty_dsn) == []
    done = await migrate(empty_dsn)
    assert done == planned
    before = await fetch(empty_dsn, "SELECT * FROM schema_migrations ORDER BY version")
    again = await migrate(empty_dsn)
    assert (again.flavor, again.applied, again.pending) == (server.flavor, FILES, ())
    assert await fetch(empty_dsn, "SELECT * FROM schema_migrations ORDER BY version") == before
    assert await status(empty_dsn) == again


@pytest.mark.db
async def test_concurrent_runs_apply_each_file_once(empty_dsn):
    results = await asyncio.gather(*(migrate(empty_dsn) for _ in range(3)))
    assert sorted(len(result.pending) for result in results) == [0, 0, len(FILES)]


@pytest.mark.db
async def test_changed_file_is_refused_but_line_ends_do_not_matter(empty_dsn, folder):
    await migrate(empty_dsn, folder)
    first = folder / FILES[0]
    first.write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))
    assert (await migrate(empty_dsn, folder)).pending == ()
    first.write_bytes(first.read_bytes() + b"-- more\n")
    (folder / f"{len(FILES) + 1:04d}_next.sql").write_text("CREATE TABLE never (a int);")
    with pytest.raises(MigrationError, match=r"0001_timeseries\.sql was changed"):
        await migrate(empty_dsn, folder)
    assert "never" not in {row["relname"] for row in await relations(empty_dsn)}


@pytest.mark.db
async def test_failing_file_leaves_no_trace_and_can_be_mended(empty_dsn, folder):
    await migrate(empty_dsn, folder)
    before = await relations(empty_dsn)
    bad = folder / f"{len(FILES) + 1:04d}_bad.sql"
    bad.write_text("CREATE TABLE half (a int);\nINSERT INTO half SELECT 1 / 0;\n")
    with pytest.raises(MigrationError, match=r"_bad\.sql failed .*division by zero"):
        await migrate(empty_dsn, folder)
    assert await relations(empty_dsn) == before
    assert (await status(empty_dsn, folder)).pending == (bad.name,)
    bad.write_text("CREATE TABLE half (a int);\n")
    assert (await migrate(empty_dsn, folder)).pending == (bad.name,)


@pytest.mark.db
async def test_failing_first_file_leaves_the_database_empty(empty_dsn, folder):
    first = folder / FILES[0]
    whole = first.read_text()
    first.write_text(whole + "SELECT 1 / 0;\n")
    extensions = "SELECT extname FROM pg_extension ORDER BY 1"
    before = await fetch(empty_dsn, extensions)
    with pytest.raises(MigrationError, match=r"0001_timeseries\.sql failed and nothing of it"):
        await migrate(empty_dsn, folder)
    assert await relations(empty_dsn) == []
    assert await fetch(empty_dsn, extensions) == before
    first.write_text(whole)
    assert (await migrate(empty_dsn, folder)).pending == FILES


@pytest.mark.db
@pytest.mark.parametrize("version", range(2, len(FILES) + 1))
async def test_any_file_that_fails_half_way_leaves_the_version_before(empty_dsn, folder, version):
    await migrate(empty_dsn, first_files(folder.with_name("earlier"), version - 1))
    before = await schema(empty_dsn)
    bad = folder / FILES[version - 1]
    bad.write_text(bad.read_text() + "DO $$ BEGIN RAISE 'half way'; END $$;\n")
    with pytest.raises(MigrationError, match=r"nothing of it was kept: half way\.$"):
        await migrate(empty_dsn, folder)
    assert await schema(empty_dsn) == before
    assert len((await status(empty_dsn, folder)).applied) == version - 1


@pytest.mark.db
async def test_newer_database_is_refused(empty_dsn, folder):
    (folder / f"{len(FILES) + 1:04d}_later.sql").write_text("SELECT 1;")
    await migrate(empty_dsn, folder)
    with pytest.raises(MigrationError, match="newer than this version"):
        await migrate(empty_dsn)


@pytest.mark.db
async def test_a_gap_in_the_database_is_refused(empty_dsn):
    await migrate(empty_dsn)
    await execute(empty_dsn, "DELETE FROM schema_migrations WHERE version = 3")
    with pytest.raises(MigrationError, match=r"lacks migration 0003 before 0004_trades\.sql"):
        await migrate(empty_dsn)


@pytest.mark.db
@pytest.mark.parametrize(
    "table",
    ["schema_migrations (version bigint PRIMARY KEY, dirty boolean)", "ap_timeseries (a int)"],
    ids=["its migrations", "its tables"],
)
async def test_schema_of_another_program_is_refused_and_left_alone(empty_dsn, table):
    await execute(empty_dsn, f"CREATE TABLE {table}")
    before = await schema(empty_dsn)
    with pytest.raises(MigrationError, match=r"database of its own|failed and nothing of it"):
        await migrate(empty_dsn)
    assert await schema(empty_dsn) == before


@pytest.mark.db
async def test_file_without_transaction_that_fails_can_be_run_again(empty_dsn, folder):
    await migrate(empty_dsn, folder)
    odd = folder / f"{len(FILES) + 1:04d}_odd.sql"
    odd.write_text("-- alphaplus: no-transaction\nVACUUM no_such_table;")
    with pytest.raises(MigrationError, match="may be half applied; it can be run again: relation"):
        await migrate(empty_dsn, folder)
    assert (await status(empty_dsn, folder)).pending == (odd.name,)


@pytest.mark.db
async def test_file_without_transaction(empty_dsn, folder):
    await migrate(empty_dsn, folder)
    (folder / f"{len(FILES) + 1:04d}_index.sql").write_text(
        "-- alphaplus: no-transaction\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS extra ON ap_timeseries (chunk);"
    )
    await migrate(empty_dsn, folder)
    assert "extra" in {row["relname"] for row in await relations(empty_dsn)}


@pytest.mark.db
@pytest.mark.native
async def test_timescale_database_on_a_server_without_it_is_refused(empty_dsn):
    await migrate(empty_dsn)
    await execute(empty_dsn, "UPDATE schema_migrations SET flavor = 'timescale'")
    with pytest.raises(MigrationError, match="no longer has it"):
        await status(empty_dsn)


@pytest.mark.db
async def test_read_only_database_is_one_sentence(empty_dsn):
    read_only = with_options(empty_dsn, default_transaction_read_only="on")
    with pytest.raises(StorageError, match=r"read-only; name the primary"):
        await migrate(read_only)


@pytest.mark.parametrize(
    ("rename", "reason"),
    [("0999_gap.sql", "next"), ("0002_twice.sql", "next"), ("late.sql", "names like")],
)
def test_gaps_repetitions_and_odd_names_are_refused(folder, rename, reason):
    (folder / rename).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=reason):
        load(folder)


def test_missing_folder_says_where(monkeypatch, tmp_path):
    monkeypatch.setattr(migrations.alphaplus, "__file__", str(tmp_path / "a" / "__init__.py"))
    with pytest.raises(MigrationError, match="run from a full checkout"):
        find_directory()


@pytest.mark.db
async def test_columns_equal_the_row_types_and_all_have_comments(connection):
    for name, spec in TABLES.items():
        rows = await connection.fetch(
            "SELECT attname, format_type(atttypid, NULL) AS type, attnotnull, "
            "col_description(attrelid, attnum) AS comment "
            "FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 ORDER BY attnum",
            name,
        )
        assert all(row["comment"] for row in rows), name
        nullable = {row["attname"]: not row["attnotnull"] for row in rows}
        for column in spec.stored:
            assert nullable.pop(column.name) is column.nullable, (name, column.name)
        assert nullable == {"exchange": False, "symbol": False}
        keys = await connection.fetchval(
            "SELECT array_agg(a.attname::text) FROM pg_index i "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
            "WHERE i.indrelid = to_regclass($1) AND i.indisunique",
            name,
        )
        assert set(keys) == {"exchange", "symbol", *spec.key}
    uncommented = await connection.fetch(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') "
        "AND NOT c.relispartition AND a.attnum > 0 AND c.relname <> 'liquidation_level_points' "
        "AND col_description(c.oid, a.attnum) IS NULL"
    )
    assert uncommented == []


@pytest.mark.db
@pytest.mark.native
async def test_partitions_are_made_once_and_rows_move_out_of_the_default(connection):
    noon = datetime(2024, 8, 8, 12, 30, tzinfo=UTC)
    await connection.execute(
        "INSERT INTO market_trades VALUES ($1, 'binance', 'X', $1, 1, 0, 1.0, 1.0, false, NULL)",
        noon,
    )
    ensure = "SELECT ap_ensure_partitions('market_trades', $1, $2)"
    assert await connection.fetchval(ensure, noon, noon + timedelta(hours=2)) == 3
    assert await connection.fetchval(ensure, noon, noon + timedelta(hours=2)) == 0
    assert await connection.fetchval("SELECT count(*) FROM market_trades_default") == 0
    assert await connection.fetchval("SELECT count(*) FROM market_trades_p2024080812") == 1
    drop = "SELECT ap_drop_before('market_trades', $1)"
    assert await connection.fetchval(drop, noon) == 0
    assert await connection.fetchval(drop, noon + timedelta(minutes=30)) == 1
    assert await connection.fetchval("SELECT count(*) FROM market_trades") == 0


@pytest.mark.db
@pytest.mark.native
async def test_partitions_for_all_tables(connection):
    now = datetime(2024, 8, 8, 12, 30, tzinfo=UTC)
    made = await connection.fetchval(
        "SELECT ap_ensure_partitions($1::timestamptz, $2::interval)", now, timedelta(hours=1)
    )
    assert made == 2 * 4 + 5 + 3
    stats = await connection.fetch("SELECT * FROM ap_chunk_stats() WHERE from_time IS NOT NULL")
    assert len(stats) == made
    assert all(row["from_time"] <= now + timedelta(hours=1) for row in stats)


@pytest.mark.db
async def test_view_of_liquidation_levels(connection):
    await connection.execute(
        "INSERT INTO liquidation_levels VALUES (now(), 'binance', 'X', now(), 1, 1, 100, "
        "'{90,80}', '{900,1600}', '{110}', '{7500}')"
    )
    rows = await connection.fetch(
        "SELECT price_level, side, quantity, risk_score, distance_from_price "
        "FROM liquidation_level_points ORDER BY price_level"
    )
    assert [row["price_level"] for row in rows] == [80, 90, 110]
    assert [row["side"] for row in rows] == [0, 0, 1]
    assert [row["quantity"] for row in rows] == pytest.approx([20, 10, 7500 / 110])
    assert [row["risk_score"] for row in rows] == pytest.approx([0.16, 0.09, 0.75])
    assert [row["distance_from_price"] for row in rows] == pytest.approx([-0.2, -0.1, 0.1])
