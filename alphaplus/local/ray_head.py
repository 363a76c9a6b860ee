"""A Ray head node as a child process: own ports, own folder, own token, and nothing left behind."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from alphaplus.errors import AlphaPlusError
from alphaplus.local.ports import free_ports

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 20.0
OBJECT_STORE_BYTES: Final = 100_000_000
"""Market data does not pass through the object store, so it may be small."""
OVER: Final = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
"""Job states from which there is no way back."""


class RayHead:
    """One local Ray cluster and the jobs on it; jobs go over HTTP, so Ray is not imported."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, cpus: int) -> None:
        gcs, dashboard, agent, client = free_ports(4)
        self.address = f"127.0.0.1:{gcs}"
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        self.environment = {
            **environment,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_ADDRESS": self.address,
            "PYTHONUNBUFFERED": "1",
        }
        self._log = folder / "ray.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [
            *_ray("start"),
            "--head",
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--port={gcs}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard}",
            f"--dashboard-agent-listen-port={agent}",
            f"--ray-client-server-port={client}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            f"--temp-dir={folder / 'ray'}",
            f"--num-cpus={cpus}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
            "--disable-usage-stats",
            "--include-log-monitor=false",  # no driver of ours prints what actors log
        ]

    def start(self) -> None:
        """Start the node and wait until jobs can be submitted; raises AlphaPlusError."""
        environment = {k: v for k, v in self.environment.items() if k != "RAY_ADDRESS"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self._request("GET", "/api/version")
            except (OSError, AlphaPlusError):
                time.sleep(0.2)
                continue
            return
        said = self._log.read_text(errors="replace").strip().splitlines()
        self.stop()
        last = said[-1] if said else "it said nothing"
        raise AlphaPlusError(f"Ray did not start within {START_TIMEOUT_S:.0f} s: {last}")

    @property
    def pid(self) -> int | None:
        """The process of the node, from which all of Ray descends."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the node's process lives."""
        return self._process is not None and self._process.poll() is None

    def submit(self, name: str, root: Path, command: Sequence[str]) -> None:
        """Submit `command` as the job `name`, with the code under `root`."""
        done = subprocess.run(
            [
                *_ray("job", "submit"),
                f"--address={self.dashboard}",
                "--no-wait",
                f"--submission-id={name}",
                f"--working-dir={root}",
                "--entrypoint-num-cpus=0.01",
                "--",
                *command,
            ],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise AlphaPlusError(f"Ray did not take the job: {lines[-1] if lines else 'no reason'}")

    def job_state(self, name: str) -> str:
        """Return PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
        return str(self._request("GET", f"/api/jobs/{name}")["status"])

    def job_log(self, name: str) -> str:
        """Return everything the job has printed so far."""
        return str(self._request("GET", f"/api/jobs/{name}/logs")["logs"])

    def stop_job(self, name: str) -> None:
        """Ask the job to drain and end; returns at once."""
        self._request("POST", f"/api/jobs/{name}/stop")

    def stop(self) -> None:
        """End the node and everything that descends from it, and wait for it."""
        if self._process is None:
            return
        family = _descendants(self._process.pid)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        _, left = psutil.wait_procs(family, timeout=5.0)
        for process in left:
            if process.is_running():
                process.kill()
        psutil.wait_procs(left, timeout=5.0)
        self._process = None

    def _request(self, method: str, path: str) -> dict[str, Any]:
        request = urllib.request.Request(
            self.dashboard + path,
            method=method,
            headers={"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AlphaPlusError(f"Ray answered {error.code} to {path}.") from error
        return found


def ray_environment() -> dict[str, str]:
    """Return this process's environment without settings of another Ray cluster."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def _ray(*words: str) -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
