"""The keeper of the database: it starts what died, waits longer after each failure, and ends."""

import contextlib
import threading
from pathlib import Path

import psutil
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.postgres import EmbeddedPostgres
from jobs.keeper import BACKOFF, LOOK_EVERY_S, DatabaseKeeper


class Server:
    """A server that is dead until it has been started often enough."""

    def __init__(self, failures: int) -> None:
        self.pid: int | None = None
        self.failures = failures
        self.starts = 0

    def start(self) -> str:
        self.starts += 1
        if self.starts <= self.failures:
            raise StorageError("no room")
        self.pid = 7
        return ""


def test_it_starts_what_is_dead_and_waits_longer_after_each_failure() -> None:
    server = Server(failures=4)
    keeper = DatabaseKeeper(server)
    waits = [keeper.look() for _ in range(6)]
    for number, wait in enumerate(waits[:4], start=1):
        longest = BACKOFF.delay_s(number, 0.0)
        assert longest * (1 - BACKOFF.jitter) <= wait <= longest
    assert waits[4:] == [LOOK_EVERY_S, LOOK_EVERY_S]
    assert (server.starts, keeper.restarts, keeper.failures) == (5, 1, 0)


def test_it_ends_with_stop() -> None:
    looked = threading.Event()

    def wait(ended: threading.Event, seconds: float) -> bool:
        looked.set()
        return ended.wait(seconds)

    server = Server(failures=0)
    server.pid = 7
    keeper = DatabaseKeeper(server, wait=wait)
    keeper.start()
    assert looked.wait(20)
    keeper.stop()
    assert server.starts == 0


@pytest.mark.db
def test_a_killed_server_is_back_with_its_rows(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, sync=False)
    server.start()
    keeper = DatabaseKeeper(server)
    try:
        first = server.pid
        assert first is not None
        main = psutil.Process(first)
        children = main.children(recursive=True)
        main.kill()  # first, so that it starts none of the others again
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs([main, *children], timeout=20)
        keeper.look()
        assert keeper.restarts == 1
        assert server.pid not in (None, first)
        assert server.is_owner
    finally:
        server.stop()
