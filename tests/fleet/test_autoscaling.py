"""A fleet grows a cluster and shrinks it, by Ray's real autoscaler, as a user would see it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.autoscale.cluster import MARK

SYMBOLS, PER_NODE, MAX_WORKERS = 10, 4, 3


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What one run says: ten symbols on nodes of four, a node killed, too many, then few."""
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.autoscale", "--json", f"--symbols={SYMBOLS}",
            f"--per-node={PER_NODE}", f"--max-workers={MAX_WORKERS}",
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )  # fmt: skip
    assert done.stdout.strip(), done.stderr[-5000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


def test_nodes_come_with_the_symbols_and_go_with_them(found: dict[str, Any]) -> None:
    assert found["workers_grown"] == 3
    assert found["symbols_a_node"] == sorted(found["symbols_a_node"])
    assert max(found["symbols_a_node"]) <= PER_NODE
    assert sum(found["symbols_a_node"]) == SYMBOLS
    assert found["workers_left"] == 1
    counts = [look["workers"] for look in found["nodes_over_time"]]
    assert counts[0] == 0
    assert max(counts) == MAX_WORKERS


def test_a_node_that_dies_with_its_symbols_holds_up_no_other(found: dict[str, Any]) -> None:
    assert found["symbols_lost_with_node"] >= 2
    assert found["workers_recovered"] == 3
    assert found["others_stale_s"] == 0


def test_what_no_node_has_room_for_waits_and_says_so(found: dict[str, Any]) -> None:
    assert found["running_at_most"] == PER_NODE * MAX_WORKERS
    assert found["pending_beyond"] == 2
    (reason,) = found["pending_reasons"]
    assert reason == "no node with 0.25 CPU and 120 MB free"


def test_every_book_is_the_venues_at_every_stage(found: dict[str, Any]) -> None:
    assert "apart" not in found
    stages = {name: found[f"books_{name}"] for name in ("grown", "recovered", "full", "shrunk")}
    left = found["symbols_left"]
    assert stages == {
        "grown": "10 of 10", "recovered": "10 of 10", "full": "12 of 12",
        "shrunk": f"{left} of {left}",
    }  # fmt: skip


def test_no_row_is_lost_or_doubled(found: dict[str, Any]) -> None:
    assert found["keys_accepted"] > 1000
    assert found["rows_written"] + found["rows_repeated"] == found["rows_accepted"]
    assert found["lost"] == found["duplicated"] == found["different"] == found["rows_dead"] == 0


def test_nothing_is_left_running(found: dict[str, Any]) -> None:
    assert found["benchmark"] == "autoscale"
    left = []
    for process in psutil.process_iter():
        try:
            if MARK in process.environ():
                left.append(process)
        except (psutil.Error, OSError):
            continue
    assert not left
