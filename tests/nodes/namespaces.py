"""Machines of a small network, each a network namespace of this one, and Ray on them."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from alphaplus.local.ports import free_ports
from alphaplus.local.ray_head import ray_environment

START_S: Final = 90.0
ENVIRONMENT: Final = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""A machine that is gone is given up after three seconds, so that tests need not wait."""


def why_not() -> str | None:
    """Say why there can be no namespaces here; None if there can."""
    if shutil.which("ip") is None:
        return "no ip command: Debian's package iproute2 has it"
    name = f"ap{os.getpid()}probe"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"network namespaces are not permitted here: {done.stderr.strip()}"
    _ip("netns", "del", name)
    return None


class Network:
    """A bridge with this machine at `.1` and a namespace at each address that is added."""

    def __init__(self) -> None:
        self._prefix = f"10.213.{os.getpid() % 250}"
        self._name = f"ap{os.getpid() % 100_000}"
        self._machines: list[str] = []
        self.host = f"{self._prefix}.1"

    def open(self) -> None:
        """Make the bridge."""
        _ip("link", "add", self._name, "type", "bridge")
        _ip("addr", "add", f"{self.host}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")

    def add(self) -> tuple[str, str]:
        """Add a machine; returns the name of its namespace and its address."""
        number = len(self._machines) + 2
        name, address = f"{self._name}n{number}", f"{self._prefix}.{number}"
        outside, inside = f"{self._name}o{number}", f"{self._name}i{number}"
        _ip("netns", "add", name)
        self._machines.append(name)
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
        _ip("link", "set", inside, "netns", name)
        _ip("link", "set", outside, "master", self._name, "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", inside)
        _ip("-n", name, "link", "set", inside, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return name, address

    def close(self) -> None:
        """Remove everything."""
        for name in self._machines:
            _ip("netns", "del", name)
        _ip("link", "del", self._name)


class RayNode:
    """A raylet and all that descends from it; `namespace` None: on this machine."""

    def __init__(self, folder: Path, namespace: str | None, *words: str) -> None:
        inside = [] if namespace is None else ["ip", "netns", "exec", namespace]
        self.log = folder / f"{namespace or 'head'}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *inside, sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
                    "--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats",
                    "--object-store-memory=100000000", *words,
                ],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Kill its processes, as if the machine lost its power."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            family = [parent, *parent.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, timeout=10)
        self._process.wait()


def environment() -> dict[str, str]:
    """Return what Ray's processes and those that talk to them need."""
    return {**ray_environment(), **ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[2])}


class Cluster:
    """Ray with a head that offers no CPU on this machine, and workers in namespaces."""

    def __init__(self, network: Network, folder: Path) -> None:
        self._network = network
        self._folder = folder
        self.workers: dict[str, RayNode] = {}
        """By address."""
        gcs, dashboard, agent, client = free_ports(4)
        self.address = f"{network.host}:{gcs}"
        self.head = RayNode(
            folder, None, "--head", f"--node-ip-address={network.host}", f"--port={gcs}",
            "--num-cpus=0", f"--dashboard-port={dashboard}", f"--temp-dir={folder / 'ray'}",
            f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}",
            "--include-dashboard=false",
        )  # fmt: skip

    def add_worker(self) -> str:
        """Start a node on a new machine; returns its address."""
        namespace, address = self._network.add()
        words = (f"--address={self.address}", f"--node-ip-address={address}", "--num-cpus=2")
        self.workers[address] = RayNode(self._folder, namespace, *words)
        return address

    def stop(self) -> None:
        """End all nodes."""
        for node in (*self.workers.values(), self.head):
            node.kill()


@contextmanager
def cluster_of_machines() -> Iterator[Cluster]:
    """A cluster whose nodes have addresses of their own; everything is gone afterwards."""
    network = Network()
    folder = Path(tempfile.mkdtemp(prefix="ap-"))  # paths of unix sockets have to be short
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(network.close)
        network.open()
        cluster = Cluster(network, folder)
        stack.callback(cluster.stop)
        yield cluster


class Scenario:
    """A program that tells what it sees in JSON lines and goes on when it is told to."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            cwd=Path(__file__).parents[2],
            text=True,
        )

    def read(self) -> dict[str, object]:
        """Return what it tells next; fails the test if it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the scenario ended with {self._process.wait()}"
        found: dict[str, object] = json.loads(line)
        return found

    def go_on(self) -> None:
        """Let it take its next step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
