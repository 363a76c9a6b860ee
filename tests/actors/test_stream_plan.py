"""How receivers bind by the settings and the cluster, without a cluster."""

import os
import pickle
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import node, stream_plan
from actors.stream_plan import FOLDER, HOST, StreamPlan, near_folder
from alphaplus.config import Settings, load_settings
from alphaplus.errors import ConfigError
from alphaplus.streams import EventReceiver, Transport, make_run_directory

FAR_AWAY = {"NodeManagerAddress": "10.0.0.2", "Alive": True}


def settings(**streams: Any) -> Settings:
    return load_settings(None, {"streams": streams}, {})


@pytest.fixture
def cluster_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(stream_plan.tempfile, "gettempdir", lambda: str(tmp_path))

    def make(address: str, nodes: int = 1, name: str = "aaaa") -> None:
        for module in (node, stream_plan):
            monkeypatch.setattr(module, "this_address", lambda: address)
        monkeypatch.setattr(node, "living_nodes", lambda: [FAR_AWAY] * nodes)
        monkeypatch.setattr(stream_plan, "this_node", lambda: name)

    return make


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for sockets."""
    folder = make_run_directory()
    yield folder
    shutil.rmtree(folder)


def test_a_ray_that_listens_on_loopback_has_files_only(cluster_of: Any, tmp_path: Path) -> None:
    cluster_of("127.0.0.1")
    plan = StreamPlan.from_settings(settings(), tmp_path)
    assert plan.here({}) == Transport.ipc(tmp_path)


@pytest.mark.parametrize(
    ("address", "nodes", "told"),
    [("10.0.0.1", 1, {}), ("127.0.0.1", 2, {}), ("127.0.0.1", 1, {"host": "127.0.0.1"})],
)
def test_a_cluster_has_ports_between_nodes_and_files_within(
    cluster_of: Any, tmp_path: Path, address: str, nodes: int, told: dict[str, str]
) -> None:
    cluster_of(address, nodes)
    plan = StreamPlan.from_settings(settings(**told), Path("/nowhere"))
    here = plan.here({})
    assert (here.host, here.node, here.keys) == (address, "aaaa", plan.keys)
    assert here.directory is not None
    assert here.directory.parent == tmp_path
    cluster_of("10.0.0.2", 2, name="bbbb")
    there = plan.here({})
    assert (there.host, there.node) == (told.get("host", "10.0.0.2"), "bbbb")
    assert there.directory != here.directory, "nodes that share a disk do not share sockets"


def test_files_alone_and_ports_alone_can_be_asked_for(cluster_of: Any, tmp_path: Path) -> None:
    cluster_of("10.0.0.1", 2)
    files = StreamPlan.from_settings(settings(transport="ipc"), tmp_path)
    assert files.here({}) == Transport.ipc(tmp_path)
    ports = StreamPlan.from_settings(settings(transport="tcp", ports="20000-20100"), tmp_path)
    assert ports.keys is not None
    assert ports.here({}) == Transport.tcp("10.0.0.1", ports.keys, (20_000, 20_100))


def test_a_node_may_have_an_address_of_its_own_for_streams(cluster_of: Any, tmp_path: Path) -> None:
    cluster_of("10.0.0.1", 2)
    plan = StreamPlan.from_settings(settings(transport="tcp", host="10.0.0.7"), tmp_path)
    assert plan.here({}).host == "10.0.0.7"
    assert plan.here({HOST: "192.168.0.1"}).host == "192.168.0.1"
    with pytest.raises(ConfigError, match=r"streams.host.*'eth0'"):
        plan.here({HOST: "eth0"})


def test_a_plan_is_plain_data_and_tells_no_secret(cluster_of: Any, tmp_path: Path) -> None:
    cluster_of("10.0.0.1", 2)
    plan = StreamPlan.from_settings(settings(), tmp_path)
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert plan.keys is not None
    assert plan.keys.secret not in repr(plan)


@pytest.mark.parametrize("text", ["20000", "a-b", "30000-20000", "80-90", "20000-70000"])
def test_a_range_of_ports_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"streams.ports.*20000-24999"):
        settings(ports=text)


def test_a_later_run_removes_the_sockets_of_one_that_has_ended(short_folder: Path) -> None:
    parent = short_folder
    old = time.time() - 2 * stream_plan.LEFT_AFTER_S
    ended, running = near_folder(parent, "ended"), near_folder(parent, "running")
    dead = EventReceiver(Transport.ipc(ended))
    file = Path(dead.endpoint.address.removeprefix("ipc://"))
    kept = file.with_suffix(".kept")
    file.rename(kept)  # as where its process was killed
    dead.close()
    with EventReceiver(Transport.ipc(running)):
        for folder in (ended, running):
            os.utime(folder, (old, old))
        near_folder(parent, "next")
        left = {path.name for path in parent.iterdir()}
        assert left == {f"{FOLDER}running", f"{FOLDER}next"}
    assert stat.S_IMODE((parent / f"{FOLDER}next").stat().st_mode) == 0o700
    assert near_folder(parent, "next") == parent / f"{FOLDER}next"
