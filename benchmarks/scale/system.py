"""`alphaplus up` as a child process, watched while it starts, runs and drains."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from alphaplus.local.ports import free_ports
from benchmarks.scale.processes import Usage, family

LOOK_EVERY_S: Final = 1.0
STOP_WITHIN_S: Final = 240.0
ASK_WITHIN_S: Final = 20.0
ACTOR: Final = "ray::SymbolHost"
BEING_MADE: Final = "ray::symbol"
"""The title of an actor's process while its `__init__` runs is its name, then that of its class."""


class RunFailed(Exception):
    """The system did not start, did not answer or did not end as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How long a start took, seconds."""

    fresh_s: float
    """From the command to fresh books of all."""
    actors_s: float | None
    """From the first symbol's actor that begins to be made to the last that is ready; None if
    they came too fast to be seen."""


class System:
    """A whole system of its own ports and folder; ends with the block.

    with System.started(["--symbols=10"], {}) as system:
        system.wait_fresh(300)
        system.fleet()["messages"]
        summary = system.drain()
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: str):
        port, self._venue_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.venue_url = f"http://127.0.0.1:{self._venue_port}"
        self.folder = folder
        self._begun = time.monotonic()
        self._words: list[str] = []
        self._is_fresh = threading.Event()
        self._is_over = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "alphaplus.cli", "up", "--json", f"--port={port}", *arguments],
            env={
                **os.environ,
                "ALPHAPLUS_STORAGE__DATA_DIR": folder,
                "ALPHAPLUS_VENUE__PORT": str(self._venue_port),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._out: list[str] = []
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._read_words, self._read_summary)
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    @contextlib.contextmanager
    def started(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[Self]:
        """Start it in a temporary folder, and end it however the block ends."""
        with tempfile.TemporaryDirectory(prefix="alphaplus-scale-") as folder:
            Path(folder).chmod(0o755)  # the database may run as another user
            system = cls(arguments, environment, folder)
            try:
                yield system
            finally:
                system.stop()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command."""
        return time.monotonic() - self._begun

    def wait_fresh(self, timeout_s: float, symbols: int, say: Callable[[str], None]) -> Start:
        """Wait until all books are fresh, and tell how the actors come; raises RunFailed."""
        first = ready = None
        told = most = 0
        while not self._is_fresh.wait(LOOK_EVERY_S) and not self._is_over.is_set():
            if self.elapsed_s > timeout_s:
                raise RunFailed(f"The books were not fresh within {timeout_s:g} s.{self._last()}")
            titles = [usage.title for usage in self.processes().values()]
            made = sum(title.startswith(ACTOR) for title in titles)
            being_made = sum(title.startswith(BEING_MADE) for title in titles)
            if first is None and made + being_made:
                first = self.elapsed_s
            if made > most:
                most, ready = made, self.elapsed_s
            if made >= told + max(symbols // 10, 1):
                told = made
                say(f"{made} actors for {symbols} symbols after {self.elapsed_s:.0f} s")
        if not self._is_fresh.is_set():
            raise RunFailed(f"It ended before its books were fresh.{self._last()}")
        fresh = self.elapsed_s
        return Start(
            fresh_s=round(fresh, 1),
            actors_s=None if first is None else round((ready or fresh) - first, 1),
        )

    def processes(self) -> dict[int, Usage]:
        """Return all processes of the system at this moment."""
        return family(self._process.pid, self.folder)

    def fleet(self) -> dict[str, Any]:
        """Return the fleet's counters and latencies, as the API has them."""
        return ask(f"{self.url}/v1/fleet")

    def load(self) -> dict[str, Any]:
        """Return what each market and each role does and costs, as the API has it."""
        return ask(f"{self.url}/v1/fleet/load")

    def venue(self) -> dict[str, Any]:
        """Return the counters of the local venue, without those of each symbol."""
        return ask(f"{self.venue_url}/control/state?symbols=false")

    def ray_folder(self) -> Path | None:
        """Return Ray's temporary folder of this run, None if no process tells."""
        for usage in self.processes().values():
            for word in usage.title.split():
                if word.startswith("--temp-dir="):
                    return Path(word.partition("=")[2])
        return None

    def drain(self) -> dict[str, Any]:
        """Stop as a user does, and return the summary; raises RunFailed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"It did not end within {STOP_WITHIN_S:g} s.{self._last()}") from None
        for thread in self._threads:
            thread.join()
        if code != 0 or not self._out:
            raise RunFailed(f"It ended with {code}.{self._last()}")
        summary: dict[str, Any] = json.loads(self._out[-1])
        return summary

    def check(self) -> None:
        """Raise RunFailed if it has ended by itself."""
        if self._process.poll() is not None:
            raise RunFailed(f"It ended by itself with {self._process.returncode}.{self._last()}")

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for thread in self._threads:
            thread.join()

    def _read_words(self) -> None:
        """Take what the system says; it is fresh once it says where it answers."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._words.append(line.strip())
            if "API documentation" in line:
                self._is_fresh.set()
        self._is_over.set()

    def _read_summary(self) -> None:
        assert self._process.stdout is not None
        self._out += [line for line in self._process.stdout if line.strip()]

    def _last(self) -> str:
        return f" It said last: {' | '.join(self._words[-3:])}" if self._words else ""


def ask(url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the JSON object that an address answers; `body` makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data)
    with urllib.request.urlopen(request, timeout=ASK_WITHIN_S) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
