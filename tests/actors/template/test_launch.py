"""Launchers, the template and its workers as real processes; a stand-in takes Ray's place.

What plays the raylet only lives, and what plays Ray's worker says who it is and waits.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.template.command import code_digest
from alphaplus.kernels import ensure_compiled
from tests.conftest import REPOSITORY
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

WORKER = """
    import json, os, random, sys, time
    from pathlib import Path
    import ray
    told = dict(item[2:].split("=", 1) for item in sys.argv[1:])
    said = {
        "pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0),
        "arguments": sys.argv, "folder": os.getcwd(), "path": sys.path[0],
        "main": __name__, "asked": os.environ.get("ASKED"), "random": random.random(),
        "blas": os.environ.get("OPENBLAS_NUM_THREADS"),
        "has_market": "alphaplus.analysis.market" in sys.modules,
        "identity": ray._raylet.WorkerID.from_random().hex(),
        "open": sorted(int(name) for name in os.listdir("/proc/self/fd")),
    }
    print("worker speaks", flush=True)
    ready = Path(told["said"])
    ready.with_suffix(".part").write_text(json.dumps(said))
    ready.with_suffix(".part").rename(ready)
    time.sleep(600)
"""

OF_OTHERS = ("RAY_", "OPENBLAS_")
"""Variables that other tests of this process, or Ray in it, may have set."""


@dataclass
class Node:
    """A made-up node: a raylet that only lives, and the launchers that it would have spawned."""

    folder: Path
    raylet: subprocess.Popen[bytes]
    environment: dict[str, str] = field(default_factory=dict)
    launchers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a launcher as Ray does; what it and its worker print goes to a file."""
        number = len(self.launchers)
        command = [sys.executable, "-S", "-m", "actors.template.launch", code_digest()]
        command += [str(self.folder / "worker.py"), f"--temp-dir={self.folder}"]
        command += ["--session-name=session", f"--said={self.folder / f'{number}.json'}"]
        with (self.folder / f"{number}.log").open("wb") as log:
            launcher = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        self.launchers.append(launcher)
        return launcher

    def worker(self, **environment: str) -> dict[str, Any]:
        """Launch a worker and return what it says of itself."""
        return self.word(self.launch(**environment))

    def word(self, launcher: subprocess.Popen[bytes]) -> dict[str, Any]:
        number = self.launchers.index(launcher)
        file = self.folder / f"{number}.json"
        until(file.exists)
        self.said.append(json.loads(file.read_text()))
        return self.said[-1]

    def log(self, number: int) -> str:
        return (self.folder / f"{number}.log").read_text()

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder / "session" / "templates"))


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """A template forks only once the kernels are compiled."""
    ensure_compiled()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "session").mkdir()
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    raylet = subprocess.Popen(["sleep", "600"])
    environment = {
        **{key: text for key, text in os.environ.items() if not key.startswith(OF_OTHERS)},
        "PYTHONPATH": str(REPOSITORY),
        "RAY_RAYLET_PID": str(raylet.pid),
        "RAY_JOB_ID": "01000000",
        "SPT_NOENV": "1",
    }
    node = Node(tmp_path, raylet, environment)
    yield node
    raylet.kill()
    raylet.wait()
    for pid in [item["pid"] for item in node.said]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for launcher in node.launchers:
        with suppress(subprocess.TimeoutExpired):
            launcher.wait(10)
        launcher.kill()
        launcher.wait()


def is_gone(pid: int) -> bool:
    """Whether no process has this id, not even a dead one that nobody has waited for."""
    return not psutil.pid_exists(pid)


def test_workers_are_forked_from_one_template_and_are_as_if_started_alone(node: Node) -> None:
    first = node.launch()
    one = node.word(first)
    second = node.launch()
    two = node.word(second)

    assert one["parent"] == two["parent"] == first.pid, "the first launcher became the template"
    assert second.wait(10) == 0, "a later launcher ends once it has handed over"
    assert psutil.Process(first.pid).cmdline()[0].startswith("alphaplus::template")
    assert os.getpgid(first.pid) == os.getpgid(node.raylet.pid), "its first worker's group may go"
    for number, said in enumerate((one, two)):
        assert said["group"] == said["pid"], "Ray ends what a dead worker leaves by its group"
        assert said["arguments"][0] == str(node.folder / "worker.py")
        assert said["arguments"][-1] == f"--said={node.folder / f'{number}.json'}"
        assert said["folder"] == said["path"] == str(node.folder)
        assert said["main"] == "__main__"
        assert said["has_market"]
        assert said["blas"] is None, "what only the template needs does not reach workers"
        assert max(said["open"]) <= 4, "no descriptor of the template reaches a worker"
        assert "worker speaks" in node.log(number), "a worker writes where its launcher did"
    assert one["random"] != two["random"]
    assert one["identity"] != two["identity"], "Ray's objects would have the same identities"


def test_launchers_that_come_at_once_share_one_template(node: Node) -> None:
    launchers = [node.launch() for _ in range(5)]
    said = [node.word(launcher) for launcher in launchers]

    assert len({item["parent"] for item in said}) == 1
    assert len({item["pid"] for item in said}) == 5
    assert len({item["identity"] for item in said}) == 5


def test_killed_worker_is_gone_at_once_and_the_template_goes_on(node: Node) -> None:
    one, two = node.worker(), node.worker()
    for said in (one, two):
        os.killpg(said["group"], signal.SIGKILL)
        until(lambda pid=said["pid"]: is_gone(pid))

    assert node.worker()["parent"] == one["parent"]


def test_template_ends_with_its_raylet_and_leaves_no_file(node: Node) -> None:
    said = node.worker()
    node.raylet.kill()
    node.raylet.wait()

    assert node.launchers[0].wait(10) == 0
    assert node.left() == []
    assert not is_gone(said["pid"]), "Ray ends its workers itself"


def test_workers_outlive_a_killed_template_and_the_next_makes_another(node: Node) -> None:
    one = node.worker()
    os.kill(one["parent"], signal.SIGKILL)
    node.launchers[0].wait()
    two, three = node.worker(), node.worker()

    assert not is_gone(one["pid"])
    assert two["parent"] == three["parent"] == node.launchers[1].pid


def test_each_raylet_and_each_job_has_a_template_of_its_own(node: Node) -> None:
    one = node.worker()
    with subprocess.Popen(["sleep", "600"]) as other:
        two = node.worker(RAY_RAYLET_PID=str(other.pid))
        other.kill()
    three = node.worker(RAY_JOB_ID="02000000")

    assert len({said["parent"] for said in (one, two, three)}) == 3
    assert node.launchers[1].wait(10) == 0, "a template ends with its own raylet"
    assert node.launchers[0].poll() is None
    assert node.launchers[2].poll() is None


def test_worker_with_another_environment_starts_alone_and_says_why(node: Node) -> None:
    one = node.worker(ASKED="1")
    launcher = node.launch(ASKED="2")
    two = node.word(launcher)

    assert (one["asked"], two["asked"]) == ("1", "2")
    assert two["pid"] == launcher.pid, "the launcher became the worker"
    assert not two["has_market"]
    assert "starts without a template: the template refused: its environment differs in ASKED" in (
        node.log(1)
    )


def test_worker_starts_alone_where_the_meeting_folder_is_not_private(node: Node) -> None:
    (node.folder / "session" / "templates").mkdir()
    (node.folder / "session" / "templates").chmod(0o755)
    launcher = node.launch()

    assert node.word(launcher)["pid"] == launcher.pid
    assert "this user's alone" in node.log(0)


def test_worker_starts_alone_until_kernels_are_compiled(node: Node, tmp_path: Path) -> None:
    launcher = node.launch(NUMBA_CACHE_DIR=str(tmp_path / "empty"))

    assert node.word(launcher)["pid"] == launcher.pid
    assert "not compiled on this machine yet" in node.log(0)


def test_worker_starts_alone_where_the_template_cannot_be_loaded(node: Node) -> None:
    broken = node.folder / "numba.py"
    broken.write_text("raise RuntimeError('broken')")
    launcher = node.launch()

    assert node.word(launcher)["pid"] == launcher.pid
    assert "starts without a template: RuntimeError: broken" in node.log(0)
