"""`alphaplus up` as a user runs it: it serves, drains, ends with its summary, leaves nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from alphaplus.local import up as up_module
from alphaplus.local.ports import free_ports

FIELDS = {
    "symbols",
    "messages",
    "level_updates",
    "trades",
    "gaps",
    "resyncs",
    "dropped",
    "rows_written",
    "p50_ms",
    "p99_ms",
    "audit",
    "cpu_s",
    "rss_mb",
}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "alphaplus.cli", *words]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "ALPHAPLUS_STORAGE__DATA_DIR": str(folder)}


def get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (OSError, urllib.error.URLError):
        return None


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_bounded_run_ends_with_its_summary(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    words = ("up", "--symbols=2", "--duration=8", f"--port={port}", "--json")
    done = subprocess.run(
        command(*words), env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary.keys() >= FIELDS
    assert summary["symbols"] == 2
    assert summary["gaps"] == summary["dropped"] == summary["audit"]["different"] == 0
    assert summary["audit"]["equal"] > 0
    assert summary["rows_written"] == summary["rows_accepted"] == summary["rows_sent"] > 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_interrupt_drains_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    running = subprocess.Popen(
        command("up", "--symbols=2", f"--port={port}", "--json"),
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    while not ((found := get(f"{url}/v1/symbols")) and not found["stale"]):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.5)
    family = psutil.Process(running.pid).children(recursive=True)
    assert get(f"{url}/readyz")["ready"]
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    assert json.loads(out.splitlines()[-1])["rows_dead"] == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [item for item in alive if item.status() != psutil.STATUS_ZOMBIE] == []


POSITIONS = {
    "wallet_balance": 50_000,
    "positions": [{"symbol": "BTC-USDT-PERP", "quantity": 2, "entry_price": 60_000}],
}


def held(url: str) -> list[tuple[str, float]]:
    portfolio = get(f"{url}/v1/portfolio") or {"positions": []}
    return [(item["symbol"], item["quantity"]) for item in portfolio["positions"]]


def until(condition: Any, running: "subprocess.Popen[str]", timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.5)


def is_fresh(url: str) -> bool:
    found = get(f"{url}/v1/symbols")
    return bool(found and found["symbols"] and not found["stale"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_positions_and_rows_survive_the_death_of_the_job_and_of_everything(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command("up", "--symbols=2", f"--port={port}", "--json"),
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    first = start()
    until(lambda: is_fresh(url), first)
    body = json.dumps(POSITIONS).encode()
    headers = {"Content-Type": "application/json"}
    put = urllib.request.Request(
        f"{url}/v1/portfolio/positions", data=body, headers=headers, method="PUT"
    )
    with urllib.request.urlopen(put, timeout=10) as answer:
        assert answer.status == 200
    drivers = [
        process
        for process in psutil.Process(first.pid).children(recursive=True)
        if process.cmdline()[1:3] == ["-m", "jobs.stream"]
    ]
    assert drivers
    for process in drivers:
        process.kill()
    until(lambda: not is_fresh(url), first)
    until(lambda: is_fresh(url), first)
    assert held(url) == [("BTC-USDT-PERP", 2.0)]

    family = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=20)
    first.communicate()

    second = start()
    until(lambda: is_fresh(url), second)
    assert held(url) == [("BTC-USDT-PERP", 2.0)]
    second.send_signal(signal.SIGINT)
    out, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    summary = json.loads(out.splitlines()[-1])
    assert summary["rows_dead"] == 0
    assert summary["rows_written"] + summary["rows_duplicate"] == summary["rows_accepted"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("up", "--capture=/nowhere/x.raw.gz"), "/nowhere/x.raw.gz"),
        (("up", "--speed=-1"), "venue.speed"),
        (("replay", "/nowhere/x.raw.gz"), "/nowhere/x.raw.gz"),
        (("--nonsense",), "No such option"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = subprocess.run(
        command(*words), env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_occupied_port_is_named(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("up", f"--port={port}"),
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    variables = environment(tmp_path) | {
        "ALPHAPLUS_STORAGE__DSN": f"postgresql://me:hunter2@127.0.0.1:{port}/x"
    }
    done = subprocess.run(command("up"), env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}/x" in done.stderr
    assert "hunter2" not in done.stderr


def test_how_far_the_drain_is_comes_from_the_jobs_log() -> None:
    log = (
        "INFO jobs.stream: draining\n"
        "INFO jobs.stream: draining: emptying queues\n"
        "INFO jobs.stream: draining: writing rows: 2,700,000 rows left, 90,000 rows/s, about 30 s\n"
        "WARNING something else\n"
    )
    assert up_module.last_drain_line(log) == (
        "draining: writing rows: 2,700,000 rows left, 90,000 rows/s, about 30 s"
    )
    assert up_module.last_drain_line("INFO jobs.stream: draining\n") == ""
