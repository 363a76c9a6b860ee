"""Exports of a real database: what the files hold, and what happens when they cannot be made."""

import asyncio
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage import export as exporting
from alphaplus.storage import history_reader
from alphaplus.storage.connection import connect
from alphaplus.storage.export_folder import ExportFolder, path_of
from alphaplus.storage.migrations import migrate
from alphaplus.storage.tables import TABLES, TableBatch, Type
from alphaplus.storage.writer import Writer
from jobs import export
from tests.storage.rows import T0, rows
from tests.storage.servers import execute, other_database, small
from tests.storage.test_history_reader import archive

pytestmark = pytest.mark.db

ROOT = Path(__file__).parents[2]
BTC, ETH = "BTC-USDT-PERP", "ETH-USDT-PERP"
DAY = 86_400 * 10**9
READ = {
    "parquet": pq.read_table,
    "arrow": lambda path: pa.ipc.open_stream(path.read_bytes()).read_all(),
    "csv": pacsv.read_csv,
}


def over_days(table, count=60):
    """Rows over three days."""
    made = rows(table, count)
    made["time"] = T0 + np.arange(count) * (DAY // 20)
    return made


async def fill(dsn, folder):
    await migrate(dsn)
    packed = over_days("order_book_deltas")
    connection = await connect(dsn)
    await archive(connection, TableBatch("order_book_deltas", "binance", BTC, packed[:25]))
    await connection.close()
    async with Writer(dsn, folder / "spool") as writer:
        await writer.accept(
            [
                TableBatch("order_book_deltas", "binance", BTC, packed[20:]),  # 5 of them twice
                TableBatch("order_book_deltas", "okx", ETH, over_days("order_book_deltas", 7)),
                *(
                    TableBatch(table, "binance", BTC, over_days(table))
                    for table in TABLES
                    if table != "order_book_deltas"
                ),
            ]
        )
        await writer.drain()


@pytest.fixture(scope="module")
def dsn():
    folder = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    folder.chmod(0o755)
    server = small(folder / "pg")
    try:
        admin = server.start()
        asyncio.run(execute(admin, "CREATE DATABASE export"))
        found = other_database(admin, "export")
        asyncio.run(fill(found, folder))
        yield found
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def run(dsn, monkeypatch, tmp_path):
    monkeypatch.setenv("ALPHAPLUS_STORAGE__DSN", dsn)

    def job(*arguments, out="out"):
        words = [*map(str, arguments), "--out", str(tmp_path / out)]
        return export.run(export._parser().parse_args(words))

    return job


async def by_sql(dsn, table):
    """Rows of one instrument as the database gives them, in order."""
    connection = await connect(dsn)
    try:
        order = ", ".join(("time", *(name for name in TABLES[table].key if name != "time")))
        return await connection.fetch(
            f"SELECT * FROM {table} WHERE exchange = 'binance' ORDER BY {order}"
        )
    finally:
        await connection.close()


def test_every_row_is_in_the_files_as_in_the_database(dsn, run, tmp_path):
    summary = run("--tables", "all", "--exchange", "binance")
    out = tmp_path / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    assert summary["rows"] == manifest["rows"] == 60 * len(TABLES)
    assert summary["files"] == len(manifest["files"])
    on_disk = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert on_disk == {"manifest.json", *(file["path"] for file in manifest["files"])}
    for file in manifest["files"]:
        path = out / file["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
        assert path.stat().st_size == file["bytes"]
        assert pq.read_metadata(path).num_rows == file["rows"]
        assert path.name == f"{file['day']}.parquet"
    for table in TABLES:
        files = sorted((out / table / "binance" / BTC).iterdir())
        assert len(files) == 4  # three days from noon on
        found = pa.concat_tables([pq.read_table(path) for path in files])
        if table == "order_book_deltas":
            want = over_days(table)
            for name in ("price", "qty"):
                assert found[name].to_numpy().tobytes() == want[name].tobytes()
            assert found["seq"].to_pylist() == want["seq"].tolist()
            continue
        records = asyncio.run(by_sql(dsn, table))
        assert found.num_rows == len(records) == 60
        for column in TABLES[table].stored:
            values = found[column.name].to_pylist()
            if column.type is Type.FLOAT8:
                bits = [None if v is None else v.hex() for v in values]
                assert bits == [None if (v := r[column.name]) is None else v.hex() for r in records]
            else:
                assert values == [record[column.name] for record in records], (table, column.name)


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv"])
def test_range_symbols_and_formats(run, tmp_path, form):
    summary = run(
        "--tables", "order_book_deltas", "market_trades", "--symbols", BTC, "--format", form,
        "--start", "2024-08-09", "--end", "2024-08-10T12:00:00Z",
    )  # fmt: skip
    assert summary["rows"] == 2 * 30
    path = tmp_path / "out" / "order_book_deltas" / "binance" / BTC
    ending = {"arrow": "arrows"}.get(form, form)
    (first, second) = sorted(path.iterdir())
    assert (first.name, second.name) == (f"2024-08-09.{ending}", f"2024-08-10.{ending}")
    assert READ[form](first).num_rows == 20
    assert READ[form](second).num_rows == 10
    assert not (tmp_path / "out" / "order_book_deltas" / "okx").exists()


def test_a_stopped_export_goes_on_and_comes_to_the_same(run, tmp_path, monkeypatch):
    monkeypatch.setattr(history_reader, "MAX_PIECE_ROWS", 11)
    whole = run("--tables", "market_trades", "order_book_deltas", "--end", "2024-08-20", out="a")
    add, calls = exporting._DayFile.add, []

    def stop(self, piece):
        calls.append(piece)
        if len(calls) == 6:
            raise KeyboardInterrupt
        add(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(exporting._DayFile, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            run("--tables", "market_trades", "order_book_deltas", "--end", "2024-08-20")
    out = tmp_path / "out"
    assert not (out / "manifest.json").exists()
    before = sorted(path for path in out.rglob("*.parquet"))
    assert before
    assert not list(out.rglob(".*.part"))
    before[-1].unlink()  # and one is lost: it is written again, with all that follow
    with pytest.raises(StorageError, match="beginning of another export"):
        run("--tables", "market_trades", "--end", "2024-08-20")
    with (out / "manifest.part.jsonl").open("a") as torn:
        torn.write('{"path": "mark')
    rest = run("--tables", "market_trades", "order_book_deltas", "--end", "2024-08-20")
    assert rest["files_taken_up"] == len(before) - 1
    assert (rest["rows"], rest["files"]) == (whole["rows"], whole["files"])
    for path in (tmp_path / "a").rglob("*.parquet"):  # pieces, and so row groups, may differ
        assert pq.read_table(path).equals(pq.read_table(out / path.relative_to(tmp_path / "a")))
    with pytest.raises(StorageError, match="finished export"):
        run("--tables", "market_trades", "order_book_deltas", "--end", "2024-08-20")


def test_what_cannot_be_exported_leaves_nothing_behind(run, tmp_path):
    for message, words in {
        "no table 'users'": ["--tables", "users"],
        "start before end": ["--tables", "trades", "--start", "2024-02-01", "--end", "2024-01-01"],
        "--start between 2000": ["--tables", "trades", "--start", "1970-01-01"],
        "--end between 2000": ["--tables", "trades", "--end", "3000-01-01"],
        "Nothing of BTCUSDT": ["--tables", "trades", "--symbols", "BTCUSDT"],
    }.items():
        with pytest.raises(StorageError, match=message):
            run(*words)
        assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(StorageError, match="empty folder"):
        run("--tables", "trades")
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_a_full_disk_is_said_and_nothing_looks_whole(run, tmp_path, monkeypatch):
    sync = os.fsync

    def full(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="No space left on device; make room"):
            run("--tables", "market_trades")
    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert not list((tmp_path / "out").rglob("*.part"))
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert run("--tables", "market_trades")["rows"] == 60  # there is room again


def test_names_cannot_leave_the_folder(tmp_path):
    assert (
        path_of("trades", "..", "../../x", "a.csv").as_posix() == "trades/%2E./%2E.%2F..%2Fx/a.csv"
    )
    folder = ExportFolder(tmp_path / "x", {"end": 1})
    assert folder.files == []


def test_command_line_ends_with_one_json_object(dsn, run, tmp_path):
    words = ["--tables", "trades", "--out", str(tmp_path / "cli"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "jobs.export", *words],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["summary"]["rows"] == 60
    again = subprocess.run(
        [sys.executable, "-m", "jobs.export", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert again.returncode == 2
    assert "finished export" in json.loads(again.stdout)["error"]
