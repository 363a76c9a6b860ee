"""Keep the embedded database running: a server that died is started again, with back-off."""

import logging
import random
import threading
from collections.abc import Callable
from typing import Final, Protocol

from alphaplus.errors import StorageError
from alphaplus.feeds.pacing import Backoff

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
BACKOFF: Final = Backoff(first_s=0.5, cap_s=30.0)


class Server(Protocol):
    """What is kept: `EmbeddedPostgres`, or a test's."""

    @property
    def pid(self) -> int | None:
        """The process id of the live server, None if there is none."""

    def start(self) -> str:
        """Start it, or adopt it; raises StorageError."""


class DatabaseKeeper:
    """Looks twice a second whether the server lives, in a thread of its own until `stop`."""

    def __init__(
        self, server: Server, *, wait: Callable[[threading.Event, float], bool] | None = None
    ) -> None:
        """`wait` sleeps between looks and says whether it is time to end; for tests."""
        self.restarts = 0
        self.failures = 0
        self._server = server
        self._ended = threading.Event()
        self._wait = wait or threading.Event.wait
        self._thread = threading.Thread(target=self._run, name="database keeper", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; a start that is under way is waited for, so that nobody starts it afterwards."""
        self._ended.set()
        self._thread.join()

    def look(self) -> float:
        """Start the server if it is dead; return how long to wait until the next look, s."""
        if self._server.pid is not None:
            return LOOK_EVERY_S
        log.error("the database is gone; starting it again")
        try:
            self._server.start()
        except StorageError as error:
            self.failures += 1
            delay_s = BACKOFF.delay_s(self.failures, random.random())
            log.error("the database does not start, again in %.1f s: %s", delay_s, error)
            return delay_s
        self.restarts += 1
        self.failures = 0
        log.warning("the database is back")
        return LOOK_EVERY_S

    def _run(self) -> None:
        pause_s = LOOK_EVERY_S
        while not self._wait(self._ended, pause_s):
            pause_s = self.look()
