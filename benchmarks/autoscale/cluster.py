"""Ray with its real autoscaler on one machine: a worker node is a raylet that it starts and ends.

Everything else is as on a cloud: demands wait, the autoscaler counts them, nodes come, stay idle
and go. Only processes that descend from it are ever killed: all of them carry a mark.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

import psutil
import ray
import yaml

from actors.node import living_nodes, this_address
from alphaplus.errors import AlphaPlusError
from alphaplus.local.ports import free_ports
from alphaplus.local.ray_head import ray_environment
from alphaplus.local.up import repository_root

HEAD_ID: Final = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
MARK: Final = "AUTOSCALED_CLUSTER"
"""Variable by which the processes of one cluster know each other."""
NODE_ID: Final = "RAY_OVERRIDE_NODE_ID_FOR_TESTING"
WORKER: Final = "worker"
OBJECT_STORE_BYTES: Final = 80_000_000
START_S: Final = 90.0
EMPTY: Final = (
    "cluster_synced_files", "rsync_exclude", "rsync_filter", "setup_commands",
    "head_setup_commands", "worker_setup_commands", "initialization_commands",
    "head_start_ray_commands", "worker_start_ray_commands",
)  # fmt: skip


class AutoscaledCluster:
    """A head that offers no CPU, and workers of one type that come and go."""

    def __init__(
        self, *, cpus: int = 1, memory_mb: int = 1000, max_workers: int, idle_s: float
    ) -> None:
        """`cpus` and `memory_mb` are those of a worker; idle for `idle_s`, it goes."""
        self._folder = Path(tempfile.mkdtemp(prefix="apscale-"))  # sockets need short paths
        self._mark = secrets.token_hex(8)
        gcs, *self._ports = free_ports(4)
        self.address = f"{this_address()}:{gcs}"
        self._config = _configuration(self.address, cpus, memory_mb, max_workers, idle_s)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def workers(self) -> set[str]:
        """Return the ids of the worker nodes that live."""
        return {node["NodeID"] for node in living_nodes() if node["NodeID"] != HEAD_ID}

    def kill(self, node: str) -> None:
        """Kill a worker node with all that runs on it, as if its machine lost its power."""
        raylets = [p for p in self._processes() if _variable(p, NODE_ID) == node]
        if not raylets:
            raise AlphaPlusError(f"Expected processes of node {node}, was none.")
        _kill_with_descendants(raylets)

    def stop(self) -> None:
        """End all nodes."""
        if ray.is_initialized():
            ray.shutdown()
        for _ in range(2):  # the autoscaler may have started one while the others ended
            _kill_with_descendants(self._processes())
        if self._process is not None:
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def said(self) -> str:
        """Return the last words of the autoscaler and of the head."""
        logs = [*self._folder.glob("ray/session_*/logs/monitor.*"), self._folder / "head.log"]
        texts = [path.read_text(errors="replace") for path in logs if path.is_file()]
        return "\n".join(line for text in texts for line in text.splitlines()[-15:])

    def _start(self) -> None:
        config = self._folder / "autoscaling.yaml"
        config.write_text(yaml.safe_dump(self._config))
        dashboard, agent, client = self._ports
        environment = {
            **ray_environment(),
            MARK: self._mark,
            NODE_ID: HEAD_ID,
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "3",
            "PYTHONPATH": str(repository_root()),
        }
        host, _, port = self.address.rpartition(":")
        with (self._folder / "head.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
                    f"--port={port}", "--num-cpus=0", f"--autoscaling-config={config}",
                    f"--temp-dir={self._folder / 'ray'}", "--include-dashboard=false",
                    f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}",
                    f"--ray-client-server-port={client}", "--disable-usage-stats",
                    "--min-worker-port=0", "--max-worker-port=0",
                    f"--object-store-memory={OBJECT_STORE_BYTES}",
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        give_up = time.monotonic() + START_S
        while not _listens(host, int(port)):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise AlphaPlusError(f"Ray did not start:\n{self.said()}")
            time.sleep(0.2)

    def _processes(self) -> list[psutil.Process]:
        """Return every process of this cluster, also of those whose parents are gone."""
        return [p for p in psutil.process_iter() if _variable(p, MARK) == self._mark]


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _configuration(
    address: str, cpus: int, memory_mb: int, max_workers: int, idle_s: float
) -> dict[str, Any]:
    worker = {"CPU": cpus, "memory": memory_mb * 10**6, "object_store_memory": OBJECT_STORE_BYTES}
    return {
        "cluster_name": "autoscaled",
        "max_workers": max_workers,
        "idle_timeout_minutes": idle_s / 60,
        "upscaling_speed": 10.0,
        "provider": {
            "type": "external",
            "module": "benchmarks.autoscale.provider.LocalNodeProvider",
            "launch_multiple": True,
            "gcs_address": address,
            "head_node_id": HEAD_ID,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            WORKER: {
                "resources": worker,
                "node_config": {},
                "min_workers": 0,
                "max_workers": max_workers,
            },
        },
        "auth": {},
        "head_node": {},
        "worker_nodes": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in EMPTY},
    }


def _variable(process: psutil.Process, name: str) -> str | None:
    """Return a variable of a process's environment, None where it cannot be read."""
    if process.pid == os.getpid():
        return None
    try:
        return process.environ().get(name)
    except (psutil.Error, OSError):
        return None


def _kill_with_descendants(processes: list[psutil.Process]) -> None:
    """Kill them all; descendants too, as a worker writes its title over its environment."""
    family = {member for p in processes for member in [p, *_descendants(p)]}
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(family), timeout=10)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
