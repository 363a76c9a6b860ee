"""What the benchmark of scale reads off a command line, /proc and Ray's metrics."""

import argparse
import os
import subprocess
import sys

import psutil
import pytest

from benchmarks.scale.__main__ import growth_of_cost, loads, parse_points
from benchmarks.scale.point import Load
from benchmarks.scale.processes import (
    Usage,
    cores_by_role,
    descendants,
    family,
    open_files,
    proportional_bytes,
    role_of,
)
from benchmarks.scale.ray_calls import calls_per_s, finished_calls, read_calls


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("ray::SymbolHost.report", "symbols"),
        ("ray::symbols:0:SymbolHost.__init__", "symbols"),
        ("ray::PortfolioRisk", "portfolio"),
        ("ray::SERVE_REPLICA::api#Api#x:ServeReplica:api:Api.__init__", "serve"),
        ("ray::ServeController.listen_for_change", "serve"),
        ("ray::IDLE", "ray system"),
        ("alphaplus::template", "template"),
        ("/usr/bin/python3 -m alphaplus.venue --port=1", "venue"),
        ("postgres: walwriter", "database"),
        ("python -m alphaplus.cli up", "job"),
        ("/site-packages/ray/core/src/ray/raylet/raylet", "ray system"),
    ],
)
def test_processes_are_told_by_their_titles(title: str, role: str) -> None:
    assert role_of(title) == role


def test_points_come_with_commas_and_rates_of_their_own() -> None:
    points = parse_points("10,100@10,200@5")
    assert loads(points, 7.0) == [
        Load(symbols=10, rate=7.0),
        Load(symbols=100, rate=10.0),
        Load(symbols=200, rate=5.0),
    ]


@pytest.mark.parametrize("text", ["0,5", "ten", "10@0", "10@", "10@x", "1001", ""])
def test_points_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="Expected"):
        parse_points(text)


def test_growth_compares_points_of_one_rate() -> None:
    points = [
        {"symbols": 100, "rate": 10.0, "cores": 1.8},
        {"symbols": 25, "rate": 10.0, "cores": 0.5},
        {"symbols": 200, "rate": 5.0, "cores": 9.0},
        {"symbols": 50, "rate": 10.0, "failed": "no room"},
    ]
    assert growth_of_cost(points) == 0.9
    assert growth_of_cost(points[:1]) is None
    assert growth_of_cost([]) is None


def test_a_family_is_a_process_and_all_below_it() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], check=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        root = psutil.Process(child.pid)
        while not root.children():
            assert child.poll() is None
        found = family(child.pid, "no process holds this")
        assert set(found) == {child.pid, *(item.pid for item in root.children(recursive=True))}
        assert os.getpid() not in found
        usage = found[child.pid]
        assert usage.rss == pytest.approx(root.memory_info().rss, rel=0.2)
        assert usage.threads == root.num_threads()
        assert 0 <= usage.cpu_s <= sum(root.cpu_times()[:2]) + 0.02
        assert open_files(child.pid) == root.num_fds()
        assert 0 < (proportional_bytes(child.pid) or 0) <= usage.rss * 1.1
        child.communicate()
    assert family(child.pid, "no process holds this") == {}
    assert open_files(child.pid) is None
    assert proportional_bytes(child.pid) is None


def test_descendants_do_not_go_round_in_circles() -> None:
    assert descendants({1: 2, 2: 1}, [1]) == {1, 2}


def test_cpu_counts_from_the_first_look() -> None:
    def usage(role: str, cpu_s: float) -> Usage:
        return Usage(role=role, title="", cpu_s=cpu_s, rss=0, threads=1)

    before = {1: usage("symbols", 50.0), 2: usage("symbols", 10.0), 3: usage("feeds", 9.0)}
    after = {1: usage("symbols", 51.0), 2: usage("symbols", 10.5), 4: usage("feeds", 2.0)}
    assert cores_by_role(before, after, 10.0) == {"feeds": 0.2, "symbols": 0.15}


METRICS = """\
# HELP ray_tasks Current number of tasks currently in a particular state.
ray_tasks{JobId="",Name="PortfolioRisk.board",Source="owner",State="FINISHED"} 12.0
ray_tasks{JobId="",Name="PortfolioRisk.board",Source="owner",State="PENDING_NODE_ASSIGNMENT"} 3.0
ray_tasks{JobId="2",Name="PortfolioRisk.board",Source="executor",State="FINISHED"} 12.0
ray_tasks{Name="PortfolioRisk.heard",Source="owner",State="FINISHED"} 5.0
ray_tasks{Name="symbol:BTC-USDT-PERP:Symbol.__init__",Source="owner",State="FINISHED"} 1.0
ray_tasks{Name="count",Source="owner",State="FINISHED"} 2.0
ray_actors{Name="Symbol",State="ALIVE"} 7.0
"""


def test_calls_are_counted_by_their_callers() -> None:
    assert finished_calls(METRICS) == {"PortfolioRisk": 17.0, "Symbol": 1.0, "tasks": 2.0}


def test_calls_a_second_are_what_was_added() -> None:
    before = {"Feed": 10.0, "Symbol": 30.0, "Store": 5.0}
    after = {"Feed": 25.0, "Symbol": 20.0, "Store": 5.0, "tasks": 5.0}
    assert calls_per_s(before, after, 10.0) == {"Feed": 1.5, "tasks": 0.5}
    assert calls_per_s(None, after, 10.0) is None


def test_metrics_that_are_not_there_are_unknown(tmp_path) -> None:
    assert read_calls(None) is None
    assert read_calls(tmp_path) is None
