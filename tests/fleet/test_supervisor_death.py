"""The supervisor is killed, and its fleet with it: the job brings back what was wanted last."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors import names
from actors.symbol_handle import SymbolHandle
from alphaplus.config import load_settings
from alphaplus.errors import ConfigError
from alphaplus.venue.process import VenueProcess
from benchmarks.chaos.rows import RowCounts, compare_rows
from jobs.services import Services
from jobs.stream import _create_supervisor, _stream
from tests.fleet.conftest import until

pytestmark = pytest.mark.ray

BTC, ETH, SOL = "BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP"
PATIENCE_S = 120.0
ABSENT = (ray.exceptions.RayError, LookupError)


class Job:
    """`jobs.stream` in a thread of this process."""

    def __init__(self, settings: Any, services: Services) -> None:
        self.settings, self.services = settings, services
        self.stop = threading.Event()
        self.summary: dict[str, Any] = {}
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.summary = _stream(self.settings, self.services, self.stop, None)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the job did not drain"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("death")


@pytest.fixture(scope="module")
def job(cluster: None, database: str, folder: Path) -> Iterator[Job]:
    with VenueProcess(["--symbols=3", "--seed=41"]) as venue:
        storage = {"data_dir": folder, "accepted_log": folder / "accepted", "dsn": database}
        feeds = {"url": venue.url, "symbols": (BTC, SOL)}
        settings = load_settings(None, {"storage": storage, "feeds": feeds}, {})
        with Services(settings) as services:
            running = Job(settings, services)
            try:
                yield running
            finally:
                running.end()
                with suppress(LookupError):
                    ray.kill(names.supervisor())
                until(lambda: not names.is_taken(names.SUPERVISOR))


def running_symbols() -> set[str]:
    try:
        states = ray.get(names.supervisor().symbols.remote(), timeout=5)
        stale = {
            item["symbol"]
            for item in ray.get(names.portfolio().board.remote(), timeout=5)
            if item["stale"]
        }
    except ABSENT:
        return set()
    return {item["symbol"] for item in states if item["state"] == "running"} - stale


def pid_of(handle: Any) -> int:
    actor = handle.actor if isinstance(handle, SymbolHandle) else handle
    return int(ray.get(actor.__ray_call__.remote(lambda _: os.getpid()), timeout=10))


def test_the_fleet_comes_back_whole_with_the_symbols_wanted_last(
    job: Job, folder: Path, database: str
) -> None:
    until(lambda: running_symbols() == {BTC, SOL}, PATIENCE_S)
    ray.get(names.supervisor().add_symbols.remote([ETH]), timeout=30)
    ray.get(names.supervisor().remove_symbols.remote([SOL]), timeout=30)
    until(lambda: running_symbols() == {BTC, ETH}, PATIENCE_S)
    until(lambda: not names.is_taken(names.symbol_name(SOL)), PATIENCE_S)
    members = (names.symbol_name(BTC), names.symbol_name(ETH), names.store_name(0))
    old = {name: psutil.Process(pid_of(names.member(name))) for name in members}
    os.kill(pid_of(names.supervisor()), signal.SIGKILL)

    def is_replaced() -> bool:
        return running_symbols() == {BTC, ETH} and not any(p.is_running() for p in old.values())

    until(is_replaced, PATIENCE_S)
    new = {name: pid_of(names.member(name)) for name in members}
    assert all(new[name] != old[name].pid for name in members)
    owners = [item["name"] for item in ray.util.list_named_actors(all_namespaces=True)]
    assert len(owners) == len(set(owners)), "nobody has a second owner"
    with pytest.raises(ConfigError, match="already owns the fleet"):
        _create_supervisor(job.settings, job.services)
    job.end()
    assert job.summary["supervisors_lost"] == 1
    assert job.summary["symbols"] == 2
    found = asyncio.run(compare_rows(database, folder / "accepted"))
    assert found.accepted > 500
    losses = {"missing", "duplicated", "different"}
    assert losses <= {field.name for field in fields(RowCounts)}
    assert {name: getattr(found, name) for name in losses} == dict.fromkeys(losses, 0)
