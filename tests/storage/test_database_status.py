"""What `alphaplus db status` says is what is there."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from alphaplus.cli import app
from alphaplus.config import Storage
from alphaplus.errors import StorageError
from alphaplus.storage.access import database, require_schema
from alphaplus.storage.database_status import database_status
from alphaplus.storage.maintenance import maintain
from alphaplus.storage.maintenance_report import Policy
from alphaplus.storage.spool import Spool
from alphaplus.storage.spool_status import spool_status
from alphaplus.storage.status_table import print_status
from alphaplus.storage.tables import TABLES
from tests.storage.archive.partitions import HOUR_NS, insert, partition_of, sent_batch
from tests.storage.rows import T0, batch

TABLE = "order_book_deltas"


def of(status, table=TABLE):
    (found,) = [item for item in status.tables if item.table == table]
    return found


@pytest.mark.db
async def test_an_empty_database(dsn):
    status = await database_status(dsn, Policy())
    assert {item.table for item in status.tables} == set(TABLES)
    assert status.version.startswith("PostgreSQL 1")
    found = of(status)
    assert (found.rows_estimate, found.archived_rows or 0, found.rows_in_default) == (0, 0, 0)
    assert (found.oldest_ns, found.newest_ns, found.retention_days) == (None, None, None)
    assert (status.alerts, status.hints) == ((), ())


@pytest.mark.db
@pytest.mark.native
async def test_rows_the_archive_and_the_default_partition(dsn, connection):
    for hour in (0, 5):
        sent = sent_batch(TABLE, 1000, start=3600 * 1000 * hour)
        await partition_of(connection, TABLE, int(sent.rows["time"][0]))
        await insert(connection, sent)
    await maintain(dsn, Policy(partitions_ahead_h=1), T0 + 5 * HOUR_NS)
    before = of(await database_status(dsn, Policy()))
    assert before.rows_estimate is None, "nobody has counted the rows yet"
    await connection.execute(f"ANALYZE {TABLE}")
    await insert(connection, sent_batch(TABLE, 7, start=3600 * 1000 * 50))
    status = await database_status(dsn, Policy(retention_days={TABLE: 3}))
    found = of(status)
    assert (found.archived_rows, found.rows_in_default, found.chunks) == (1000, 7, 2)
    assert found.rows_estimate == 1000
    assert found.bytes > before.bytes
    assert found.oldest_ns == T0
    assert found.newest_ns == T0 + (3600 * 1000 * 50 + 6) * 10**6
    assert 50 < found.archived_saved_pct < 100
    assert found.archived_bytes > 0
    assert found.retention_days == 3
    (alert,) = status.alerts
    assert alert.startswith("7 rows of order_book_deltas are in its default partition")


@pytest.mark.db
@pytest.mark.timescale
async def test_compressed_chunks_count_as_archived(dsn, connection):
    await insert(connection, sent_batch(TABLE, 5000))
    await connection.execute(f"ANALYZE {TABLE}")
    before = of(await database_status(dsn, Policy()))
    assert (before.rows_estimate, before.archived_bytes) == (5000, 0)
    await connection.execute(f"SELECT compress_chunk(c) FROM show_chunks('{TABLE}') c")
    found = of(await database_status(dsn, Policy()))
    assert found.archived_rows is None
    assert 0 < found.archived_bytes <= found.bytes
    assert found.archived_saved_pct > 0
    assert found.rows_estimate == 0, "those that are compressed are not among them"


@pytest.mark.db
async def test_a_database_without_the_tables_is_one_sentence(empty_dsn):
    with pytest.raises(StorageError, match=r"without 0001_\w+\.sql; apply it with alphaplus mig"):
        await database_status(empty_dsn, Policy())
    with pytest.raises(StorageError, match="apply it with alphaplus migrate"):
        await require_schema(empty_dsn)


@pytest.mark.db
def test_the_command(dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("ALPHAPLUS_STORAGE__DSN", dsn)
    monkeypatch.setenv("ALPHAPLUS_STORAGE__DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, ["db", "status", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["spool"]["segments"] == 0
    assert {item["table"] for item in found["tables"]} == set(TABLES)
    text = CliRunner().invoke(app, ["db", "status"]).stdout
    assert "order_book_deltas" in text
    assert "0 dead letters" in text


@pytest.mark.db
async def test_alerts_and_hints_are_printed(dsn):
    status = await database_status(dsn, Policy())
    item = replace(of(status), rows_estimate=None, archived_saved_pct=98.7, retention_days=3)
    status = replace(status, tables=(item,), alerts=("7 rows wait.",), hints=("Run VACUUM x.",))
    out = io.StringIO()
    print_status(Console(file=out, width=200), status, spool_status(status_dir()))
    text = out.getvalue()
    for words in ("ALERT 7 rows wait.", "hint Run VACUUM x.", "unknown", "98.7 %", "3 days"):
        assert words in text


def status_dir():
    return Storage().data_dir / "nowhere"


def test_spools_and_dead_letters_of_a_machine(tmp_path):
    assert spool_status(tmp_path).segments == 0
    folder = tmp_path / "spool" / "0"
    spool = Spool(folder)
    spool.append([batch(TABLE, 10).to_bytes()])
    (folder / "dead-letters.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (folder / "quarantine").mkdir()
    (folder / "quarantine" / "1-2.bin").write_bytes(b"xxx")
    found = spool_status(tmp_path)
    assert (found.segments, found.dead_letters, found.quarantined_bytes) == (1, 2, 3)
    assert found.bytes == spool.size_bytes
    spool.close()


def test_no_embedded_database_is_one_sentence(tmp_path):
    with (
        pytest.raises(StorageError, match=r"Expected an embedded database in .* start the fleet"),
        database(Storage(data_dir=tmp_path)),
    ):
        raise AssertionError("there is none")
    assert list(tmp_path.iterdir()) == [], "nothing is made"
