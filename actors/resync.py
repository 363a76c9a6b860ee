"""Requests for fresh snapshots, on a thread of their own: whoever asks never waits for the cluster.

To find the supervisor takes an answer of the cluster's head, which may be away for seconds.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from actors import names

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1_000
"""Requests that wait while the head does not answer; each market asks once a second at most."""


class Resyncs:
    """Asks the supervisor; the answer of a feed comes by the stream of events."""

    def __init__(self, supervisor: Callable[[], Any] = names.supervisor) -> None:
        self._supervisor = supervisor
        self._waiting: queue.Queue[tuple[str, str]] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="resync", daemon=True)
        self._thread.start()

    def ask(self, exchange: str, symbol: str) -> None:
        """Have a market's feed send a snapshot; may be asked again as long as none comes."""
        try:
            self._waiting.put_nowait((exchange, symbol))
        except queue.Full:
            log.warning("%s: a request for a snapshot is given up, as too many wait", symbol)

    def _run(self) -> None:
        while True:
            exchange, symbol = self._waiting.get()
            try:
                self._supervisor().resync.remote(exchange, symbol)
            except Exception as error:  # of Ray, in many classes; it is asked again
                log.warning("%s: cannot ask for a snapshot: %s", symbol, error)
