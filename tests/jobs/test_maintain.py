"""The maintenance job and the thread of the stream job, on a real database."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from alphaplus.errors import StorageError
from alphaplus.local.ray_head import OVER, RayHead, ray_environment
from alphaplus.storage.connection import connect
from alphaplus.storage.maintenance import LOCK_KEY
from alphaplus.storage.maintenance_report import MaintenanceReport, Policy
from alphaplus.storage.migrations import migrate
from jobs import maintainer
from jobs.maintainer import Maintainer, regularly
from tests.storage.servers import execute, other_database, small

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    folder.chmod(0o755)
    postgres = small(folder)
    try:
        dsn = postgres.start()
        asyncio.run(migrate(dsn))
        yield dsn, folder
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@pytest.fixture
def dsn(server):
    return server[0]


def start(dsn, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.maintain", "--json", *arguments],
        cwd=ROOT,
        env={**os.environ, "ALPHAPLUS_STORAGE__DSN": dsn} if dsn else dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out.splitlines()[-1]), err


def test_once_it_does_what_is_due_and_says_so(dsn):
    code, told, _ = ended(start(dsn))
    assert code == 0
    summary = told["summary"]
    assert summary["flavor"] == "native"
    assert summary["partitions_made"] >= 4 * 25
    assert (summary["runs"], summary["failures"], summary["rows_archived"]) == (1, [], 0)
    assert ended(start(dsn))[1]["summary"]["partitions_made"] <= 4


def test_an_embedded_server_that_runs_is_found_by_its_folder(server):
    code, told, _ = ended(start(None, "--set", f"storage.data_dir={server[1]}"))
    assert code == 0
    assert told["summary"]["runs"] == 1


async def test_a_second_one_at_the_same_time_is_refused(dsn):
    connection = await connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        code, told, _ = await asyncio.to_thread(ended, start(dsn))
    finally:
        await connection.close()
    assert code == 2
    assert told["error"].startswith("Expected no other maintenance of ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--every", "0"), "--every above 0 minutes"),
        (("--set", "storage.retention=nothing=3"), "tables in storage.retention"),
        (("--set", "storage.retention=order_book_deltas"), "entries like order_book_deltas=30"),
    ],
)
def test_wrong_usage_is_one_sentence(dsn, arguments, reason):
    code, told, _ = ended(start(dsn, *arguments))
    assert code == 2
    assert reason in told["error"]


def test_an_empty_database_is_one_sentence(dsn):
    asyncio.run(execute(dsn, "CREATE DATABASE bare TEMPLATE template0"))
    code, told, _ = ended(start(other_database(dsn, "bare")))
    assert code == 2
    assert "apply it with alphaplus migrate" in told["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_so_often_until_it_is_told_to_stop(dsn, number):
    process = start(dsn, "--every", "0.002")
    lines = iter(process.stderr.readline, "")
    runs = sum(1 for _ in itertools.islice((x for x in lines if "maintenance took" in x), 2))
    assert runs == 2
    process.send_signal(number)
    code, told, err = ended(process)
    assert code == 0, err
    assert told["summary"]["runs"] >= 2


@pytest.mark.ray
def test_it_works_as_a_job_of_a_cluster(server):
    dsn, folder = server
    environment = {**ray_environment(), "ALPHAPLUS_STORAGE__DSN": dsn}
    head = RayHead(folder, environment, cpus=1)
    try:
        head.start()
        head.submit("maintain", ROOT, [sys.executable, "-m", "jobs.maintain", "--json"])
        deadline = time.monotonic() + 120
        while head.job_state("maintain") not in OVER and time.monotonic() < deadline:
            time.sleep(0.2)
        said = head.job_log("maintain")
        assert head.job_state("maintain") == "SUCCEEDED", said
    finally:
        head.stop()
    (summary,) = (json.loads(line)["summary"] for line in said.splitlines() if line[:1] == "{")
    assert (summary["runs"], summary["failures"]) == (1, [])


async def test_what_cannot_be_done_is_tried_again_soon(monkeypatch):
    calls, told = [], []

    async def flaky(dsn, policy, now_ns):
        calls.append(now_ns)
        if len(calls) == 1:
            raise StorageError("The database is away.")
        return MaintenanceReport(flavor="native")

    monkeypatch.setattr(maintainer, "maintain", flaky)
    monkeypatch.setattr(maintainer, "RETRY_S", 0.0)

    def tell(report):
        told.append(report)
        task.cancel()

    task = asyncio.create_task(regularly("dsn", Policy(), 3600, tell))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)
    assert len(told) == 1
    assert len(calls) == 2


def test_the_thread_ends_at_once_in_the_middle_of_work(monkeypatch):
    at_work, nice = threading.Event(), []

    async def slow(dsn, policy, now_ns):
        nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        at_work.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(maintainer, "maintain", slow)
    with Maintainer("dsn", Policy(), 60):
        assert at_work.wait(60)
    assert nice == [maintainer.NICENESS]
    assert "maintenance" not in {thread.name for thread in threading.enumerate()}


def test_a_thread_that_fails_says_so_and_ends(monkeypatch, caplog):
    async def broken(dsn, policy, now_ns):
        raise RuntimeError("a defect")

    monkeypatch.setattr(maintainer, "maintain", broken)
    with Maintainer("dsn", Policy(), 60) as thread:
        thread._thread.join(60)
    assert "maintenance has failed" in caplog.text
