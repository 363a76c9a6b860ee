"""Symbols' actors come from their node's template: the first ones, and those that replace them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from actors import names
from actors.template.server import IDLE_S, TITLE
from tests.fleet.conftest import Fleet, running_fleet
from tests.waiting import until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="templates need Linux"),
]


def pid_of(symbol: str) -> int:
    return int(ray.get(names.symbol(symbol).report.remote(), timeout=10)["pid"])


def parent_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


def templates() -> list[psutil.Process]:
    """Return the templates that this run's cluster has."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.cmdline()[:1] == [TITLE]]


def all_fresh(fleet: Fleet) -> bool:
    try:
        return all(not fleet.summary(symbol)["stale"] for symbol in fleet.symbols)
    except (ray.exceptions.RayError, LookupError):
        return False


@pytest.fixture(scope="module")
def fleet(
    cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("template")
    with running_fleet(database, folder, ["--symbols=3", "--seed=4"]) as running:
        until(lambda: all_fresh(running))
        yield running


def test_all_symbols_are_forked_from_one_template_below_the_raylet(fleet: Fleet) -> None:
    pids = [pid_of(symbol) for symbol in fleet.symbols]
    parents = {parent_of(pid) for pid in pids}

    assert len(set(pids)) == 3
    assert parents == set(templates())
    (template,) = parents
    assert template.num_threads() == 1, "nothing else can be forked safely"
    assert "raylet" in template.parent().name()
    for pid in pids:
        assert psutil.Process(pid).cmdline()[0].startswith("ray::Symbol")


def test_killed_symbols_are_forked_again_and_their_books_come_back(fleet: Fleet) -> None:
    template = parent_of(pid_of(fleet.symbols[0]))
    for symbol in fleet.symbols:  # the one that was first has its launcher's identity at Ray
        pid = pid_of(symbol)
        others = {pid_of(other) for other in fleet.symbols if other != symbol}
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not psutil.pid_exists(pid))
        until(lambda: all_fresh(fleet))

        assert pid_of(symbol) != pid
        assert parent_of(pid_of(symbol)) == template, "Ray's cleaning up spares the template"
        assert {pid_of(other) for other in fleet.symbols if other != symbol} == others


def test_symbols_outlive_a_killed_template_and_the_next_comes_from_another(fleet: Fleet) -> None:
    pids = {symbol: pid_of(symbol) for symbol in fleet.symbols}
    template = parent_of(pids[fleet.symbols[0]])
    template.kill()
    until(lambda: not template.is_running())
    assert {symbol: pid_of(symbol) for symbol in fleet.symbols} == pids

    victim = fleet.symbols[2]
    os.kill(pids[victim], signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pids[victim]))
    until(lambda: all_fresh(fleet))
    assert templates() == [parent_of(pid_of(victim))]


def test_symbol_starts_alone_where_the_template_cannot(fleet: Fleet) -> None:
    (template,) = templates()
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    (session / "templates").chmod(0o755)  # others could put something into it: it is not used
    try:
        pid = pid_of(fleet.symbols[2])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(pid))
        until(lambda: all_fresh(fleet))
        assert "raylet" in parent_of(pid_of(fleet.symbols[2])).name()
    finally:
        (session / "templates").chmod(0o700)
    assert template.is_running()


def test_template_ends_after_its_fleet_and_leaves_no_file(fleet: Fleet) -> None:
    workers = [psutil.Process(pid_of(symbol)) for symbol in fleet.symbols]
    fleet.drain()
    ray.kill(fleet.supervisor)
    until(lambda: not any(worker.is_running() for worker in workers))
    until(lambda: not templates(), timeout_s=2 * IDLE_S + 10)

    session = Path(ray._private.worker._global_node.get_session_dir_path())
    assert os.listdir(session / "templates") == []


def test_setting_starts_symbols_without_a_template(
    cluster: None, database: str, tmp_path: Path
) -> None:
    arguments = ["--symbols=1", "--seed=5"]
    with running_fleet(database, tmp_path, arguments, fleet={"template": False}) as fleet:
        assert "raylet" in parent_of(pid_of(fleet.symbols[0])).name()
        assert templates() == []
