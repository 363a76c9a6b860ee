"""The whole system as `alphaplus up` runs it (but the API, which keeps nothing), to be killed.

Its venue belongs to the benchmark, so that it outlives the job; ports, folders and Ray are its
own. Only processes that descend from what was started here are ever killed.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import ray
from ray.exceptions import RayError

from actors import names
from alphaplus.config import Settings, settings_environment
from alphaplus.errors import AlphaPlusError
from alphaplus.local.ray_head import OVER, RayHead, ray_environment
from alphaplus.local.up import repository_root
from alphaplus.storage.postgres import EmbeddedPostgres

START_S: Final = 180.0
DRAIN_S: Final = 90.0
FIND_S: Final = 5.0


class System:
    """Ray and the stream job on it; both can be killed and started again."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._head: RayHead | None = None
        self._jobs = 0
        self._heads = 0
        self.postgres = EmbeddedPostgres(settings.storage.data_dir)

    def start_head(self) -> None:
        """Start Ray and connect to it."""
        self._heads += 1
        folder = self._folder / f"head{self._heads}"
        folder.mkdir()
        environment = {**ray_environment(), **settings_environment(self._settings)}
        environment["RAY_JOB_STOP_WAIT_TIME_S"] = str(int(DRAIN_S))
        self._head = RayHead(folder, environment, cpus=os.cpu_count() or 1)
        self._head.environment["RAY_AUTH_TOKEN"] = os.environ["RAY_AUTH_TOKEN"]
        self._head.start()
        ray.init(
            address=self._head.address,
            namespace=names.NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )

    def submit(self) -> None:
        """Submit the stream job."""
        self._jobs += 1
        self.head.submit(
            self.job, repository_root(), [sys.executable, "-m", "jobs.stream", "--json"]
        )

    @property
    def head(self) -> RayHead:
        """The Ray of now."""
        assert self._head is not None
        return self._head

    @property
    def job(self) -> str:
        """The name of the job of now."""
        return f"chaos-{self._jobs}"

    def kill_actor(self, name: str) -> bool:
        """Kill the process of an actor, waiting a little if it is just being replaced."""
        give_up = time.monotonic() + FIND_S
        while time.monotonic() < give_up:
            try:
                pid = ask(names.member(name), "report", timeout_s=FIND_S)["pid"]
                ours = {process.pid: process for process in self._descendants()}
                ours[pid].kill()
            except (RayError, LookupError, psutil.NoSuchProcess):
                time.sleep(0.2)
            else:
                return True
        return False

    def kept_with(self, symbol: str) -> list[str]:
        """Return the symbols that an actor keeps, by one of them: that alone if nobody says."""
        try:
            states = ask(names.supervisor(), "symbols", timeout_s=FIND_S)
        except (RayError, LookupError):
            return [symbol]
        actors = {item["symbol"]: item["actor"] for item in states}
        return [s for s in actors if s != symbol and actors[s] == actors.get(symbol)] + [symbol]

    def kill_job(self) -> bool:
        """Kill the job's driver, and wait until Ray has noticed."""
        drivers = [p for p in self._descendants() if _runs(p, "jobs.stream")]
        for process in drivers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._until(lambda: self.head.job_state(self.job) in OVER, START_S, "the job did not end")
        return bool(drivers)

    def kill_database(self) -> bool:
        """Kill all processes of the database."""
        pid = self.postgres.pid
        if pid is None:
            return False
        server = psutil.Process(pid)
        kill_family(server)
        return True

    def kill_head(self) -> None:
        """Kill all of Ray and what runs on it; the database is no child of it."""
        ray.shutdown()
        assert self.head.pid is not None
        kill_family(psutil.Process(self.head.pid))
        self.head.stop()

    def drain(self) -> str:
        """Stop the job as a user does; returns what it has said."""
        self.head.stop_job(self.job)
        self._until(lambda: self.head.job_state(self.job) in OVER, DRAIN_S, "no drain in time")
        return self.head.job_log(self.job)

    def stop(self) -> None:
        """End everything."""
        if ray.is_initialized():
            ray.shutdown()
        if self._head is not None:
            self._head.stop()

    def last_words(self) -> str:
        """Return the end of the job's log."""
        with contextlib.suppress(AlphaPlusError, OSError):
            return "\n".join(self.head.job_log(self.job).splitlines()[-30:])
        return "no log"

    def _descendants(self) -> Sequence[psutil.Process]:
        try:
            return psutil.Process(self.head.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        give_up = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > give_up:
                raise AlphaPlusError(f"{what} within {timeout_s:g} s:\n{self.last_words()}")
            time.sleep(0.2)


def kill_family(process: psutil.Process) -> None:
    """Kill a process and all that descends from it, the parent first, and wait for their end."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=10)


@contextmanager
def stopped_afterwards(system: System) -> Iterator[System]:
    """End the system and its database whatever happens."""
    try:
        yield system
    finally:
        system.stop()
        if system.postgres.pid is not None:
            system.postgres.start()  # to own it: its owner may have been killed
            system.postgres.stop()


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return process.cmdline()[1:3] == ["-m", module]
    except psutil.Error:
        return False


def symbols_of(feeds: int, symbols: Sequence[str], per_feed: int) -> dict[str, tuple[str, ...]]:
    """Return the symbols of each feed by the name of its actor, as the supervisor cuts them."""
    return {
        names.feed_name("binance", shard): tuple(symbols[shard * per_feed : (shard + 1) * per_feed])
        for shard in range(feeds)
    }


def ask(handle: Any, method: str, *arguments: Any, timeout_s: float = 10.0) -> Any:
    """Return an actor's answer."""
    return ray.get(getattr(handle, method).remote(*arguments), timeout=timeout_s)
