"""Start the local venue as a child process and stop it again."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import alphaplus
from alphaplus.config import Venue
from alphaplus.errors import ConfigError

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0


class VenueProcess:
    """A venue in a process of its own, which ends with this one.

    with VenueProcess(["--symbols", "3"]) as venue:   # arguments of python -m alphaplus.venue
        venue.url                                     # http://127.0.0.1:43127

    Its log goes to our stderr. Raises ConfigError with the venue's own sentence if it
    cannot start.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = list(arguments)
        self._child: subprocess.Popen[bytes] | None = None
        self.url = ""
        """Where it listens, once started."""

    def __enter__(self) -> "VenueProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child else None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Start the child, wait until it listens, return its url."""
        root = str(Path(alphaplus.__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self._child = subprocess.Popen(
            [sys.executable, "-m", "alphaplus.venue", "--exit-with-parent", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        line = self._first_line(timeout_s)
        if "url" not in line:
            self.stop()
            raise ConfigError(line.get("error", "The local venue ended before it listened."))
        self.url = line["url"]
        return self.url

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int | None:
        """End the child and return its exit code; None if there is none."""
        child, self._child = self._child, None
        if child is None:
            return None
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()
        return child.returncode

    def _first_line(self, timeout_s: float) -> dict[str, str]:
        assert self._child is not None
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout_s
        text = b""
        while not text.endswith(b"\n"):
            rest_s = deadline - time.monotonic()
            if rest_s <= 0 or not select.select([self._child.stdout], [], [], rest_s)[0]:
                return {"error": f"Expected the local venue to listen within {timeout_s:g} s."}
            part = os.read(self._child.stdout.fileno(), 4096)
            if not part:
                return {}
            text += part
        line: dict[str, str] = json.loads(text)
        return line


def venue_arguments(venue: Venue) -> list[str]:
    """Return the settings of the venue as arguments of `python -m alphaplus.venue`."""
    arguments = [
        f"--source={venue.source}",
        f"--symbols={venue.symbols}",
        f"--speed={venue.speed}",
        f"--seed={venue.seed}",
        f"--host={venue.host}",
        f"--port={venue.port}",
        *(f"--fault={fault}" for fault in venue.faults),
        f"--fault-seed={venue.fault_seed}",
        f"--fault-start-s={venue.fault_start_s}",
        f"--fault-length-s={venue.fault_length_s}",
    ]
    if venue.source == "capture":
        if venue.capture is None:
            raise ConfigError("Expected venue.capture to name a recording, was nothing.")
        arguments.append(f"--capture={venue.capture}")
    return arguments
