"""One run of the whole system, and what it cost."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from alphaplus.feeds.replay import replay
from alphaplus.local.ports import free_ports

LOOK_EVERY_S: Final = 5.0
STOP_WITHIN_S: Final = 120.0
START_WITHIN_S: Final = 900.0
ROLES: Final = ("Symbol", "Feed", "Store", "PortfolioRisk", "Supervisor")
"""What the processes of a fleet are called by Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A number of symbols, and what they took."""

    symbols: int
    start_s: float
    """From the command to fresh books of all."""
    messages_per_s: float
    dropped: int
    gaps: int
    audit_different: int
    rows_missing: int
    """Rows that symbols sent and the database does not have."""
    p50_ms: float | None
    p99_ms: float | None
    cpu_per_s: float
    """Processors that everything together kept busy."""
    cpu_s_by_role: dict[str, float]
    mb: float
    """Of everything together."""
    mb_per_symbol: float
    """Of an actor of a symbol, the mean of all."""
    mb_by_role: dict[str, float]


def depth_rate(capture: Path) -> float:
    """Return the depth messages a second of the first instrument of a recording."""
    found = replay(capture)
    return found.instruments[0].depth_messages / (found.last_ts_recv - found.first_ts_recv) * 1e9


def measure(
    capture: Path, symbols: int, speed: float, duration_s: float, streams: Sequence[str]
) -> Point:
    """Run the system for a time; raises RuntimeError with its last words if it fails."""
    with tempfile.TemporaryDirectory(prefix="alphaplus-scale-") as folder:
        Path(folder).chmod(0o755)  # the database may run as another user
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "alphaplus.cli", "up", "--json", f"--port={port}"]
        command += [f"--capture={capture}", f"--symbols={symbols}", f"--speed={speed}"]
        environment = {
            **os.environ,
            "ALPHAPLUS_STORAGE__DATA_DIR": folder,
            "ALPHAPLUS_FEEDS__STREAMS": ",".join(streams),
            "ALPHAPLUS_FLEET__START_TIMEOUT_S": str(START_WITHIN_S),
        }
        watch = _Watch([*command, f"--duration={duration_s}"], environment)
        try:
            summary = watch.wait(START_WITHIN_S + duration_s + STOP_WITHIN_S)
        finally:
            watch.stop()
    return _point(symbols, summary, watch, duration_s)


class _Watch:
    """A running system whose processes are looked at while data flows."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.start_s = self.measured_s = self.cpu_s = 0.0
        self.memory: dict[str, float] = defaultdict(float)
        self.symbols_mb = 0.0
        self._begun = time.monotonic()
        self._is_over = threading.Event()
        self._words: list[str] = []
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment, stdout=pipe, stderr=pipe, text=True
        )
        self._threads = [threading.Thread(target=target) for target in (self._read, self._look)]
        self._is_fresh = threading.Event()
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float) -> dict[str, Any]:
        """Return the summary that the system ends with."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(timeout_s, self._process.terminate)
        watchdog.start()
        out = self._process.stdout.read()
        code = self._process.wait()
        watchdog.cancel()
        lines = out.splitlines()
        if code != 0 or not lines:
            raise RuntimeError(f"alphaplus up ended with {code}: {' '.join(self._words[-3:])}")
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def stop(self) -> None:
        """End the system, if it has not ended, and the looking."""
        self._is_over.set()
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        """Pass on what the system says; it is fresh once it says where it answers."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._words.append(line.strip())
            if "API documentation" in line:
                self.start_s = time.monotonic() - self._begun
                self._is_fresh.set()
            elif "draining" in line:
                self._is_over.set()
        self._is_over.set()
        self._is_fresh.set()

    def _look(self) -> None:
        self._is_fresh.wait()
        begun, before = time.monotonic(), self._family()
        while not self._is_over.wait(LOOK_EVERY_S):
            now = self._family()
            self.measured_s = time.monotonic() - begun
            known = {pid: before.get(pid, (0.0, 0.0, ""))[0] for pid in now}
            self.cpu_s = sum(cpu - known[pid] for pid, (cpu, _, _) in now.items())
            total: dict[str, float] = defaultdict(float)
            symbols = [mb for _, mb, role in now.values() if role == "Symbol"]
            for _, mb, role in now.values():
                total[role] += mb
            if sum(total.values()) > sum(self.memory.values()):
                self.memory = total
                self.symbols_mb = float(np.mean(symbols)) if symbols else 0.0

    def _family(self) -> dict[int, tuple[float, float, str]]:
        """Return CPU seconds, proportional memory (MB) and role of every process."""
        found = {}
        root = psutil.Process(self._process.pid)
        with contextlib.suppress(psutil.Error):
            for process in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    times, memory = process.cpu_times(), process.memory_full_info()
                    role = _role(process.cmdline())
                    found[process.pid] = (times.user + times.system, memory.pss / 1e6, role)
        return found


def _role(command: list[str]) -> str:
    """Return what a process is in the system."""
    text = " ".join(command)
    for role in ROLES:
        if text.startswith(f"ray::{role}"):
            return role
    if "alphaplus.venue" in text:
        return "venue"
    if "postgres" in text:
        return "database"
    return "Ray and others"


def _point(symbols: int, summary: dict[str, Any], watch: _Watch, duration_s: float) -> Point:
    seconds = max(watch.measured_s, 1e-9)
    return Point(
        symbols=symbols,
        start_s=round(watch.start_s, 1),
        messages_per_s=round(summary["messages_measured"] / duration_s, 1),
        dropped=summary["dropped"],
        gaps=summary["gaps"],
        audit_different=summary["audit"]["different"],
        rows_missing=summary["rows_sent"] - summary["rows_written"] - summary["rows_dead"],
        p50_ms=summary["p50_ms"],
        p99_ms=summary["p99_ms"],
        cpu_per_s=round(watch.cpu_s / seconds, 2),
        cpu_s_by_role=summary["cpu_s_by_role"],
        mb=round(sum(watch.memory.values()), 1),
        mb_per_symbol=round(watch.symbols_mb, 1),
        mb_by_role={role: round(mb, 1) for role, mb in sorted(watch.memory.items())},
    )
