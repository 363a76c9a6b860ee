"""What an actor's process costs: CPU seconds and memory, as its load tells the board."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

MEMORY_EVERY_S: Final = 60.0
"""The kernel walks all pages to sum up the memory, some milliseconds of a large process: a
hundred of them that do so often are seen in a profile of the machine."""
ROLLUP: Final = Path("/proc/self/smaps_rollup")
PSS: Final = b"\nPss:"


class ProcessLoad:
    """The load of this process; memory is proportional set size as it was up to a minute ago,
    None where it is not told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, rollup: Path = ROLLUP) -> None:
        self._clock = clock
        self._rollup = rollup
        self._memory: int | None = None
        self._due = clock()

    def read(self) -> dict[str, Any]:
        """Return `pid`, `cpu_s` and `memory_bytes`."""
        if self._clock() >= self._due:
            self._due = self._clock() + MEMORY_EVERY_S
            self._memory = proportional_set_size(self._rollup)
        times = os.times()
        return {
            "pid": os.getpid(),
            "cpu_s": times.user + times.system,
            "memory_bytes": self._memory,
        }


def proportional_set_size(rollup: Path = ROLLUP) -> int | None:
    """Return bytes: pages of this process, shared ones divided by those who share them."""
    try:
        text = rollup.read_bytes()
    except OSError as error:  # not Linux, or a container that hides it
        log.info("memory is not measured: %s", error)
        return None
    _, found, rest = text.partition(PSS)
    return int(rest.split()[0]) * 1024 if found else None
