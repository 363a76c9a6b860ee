"""The autoscaling benchmark's own reckoning; the run itself is tests/fleet/test_autoscaling.py."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.autoscale.cluster import AutoscaledCluster
from benchmarks.autoscale.run import is_right
from benchmarks.autoscale.timeline import LOOK_EVERY_S, Look, Timeline

RIGHT: dict[str, Any] = {
    "symbols": 12, "symbols_per_node": 4, "workers_grown": 3, "workers_left": 1,
    "pending_beyond": 2, "pending_reasons": ["no node with 0.25 CPU and 120 MB free"],
    "rows_accepted": 5, "rows_written": 4, "rows_repeated": 1, "rows_dead": 0,
    "lost": 0, "duplicated": 0, "different": 0,
}  # fmt: skip


def timeline(*looks: Look) -> Timeline:
    made = Timeline(cast(AutoscaledCluster, None))
    made.looks.extend(looks)
    return made


def look(at_s: float, workers: int, fresh: str, stale: str = "") -> Look:
    nodes = frozenset(str(number) for number in range(workers))
    return Look(at_s, nodes, dict.fromkeys(fresh, "0"), frozenset(fresh), frozenset(stale))


def test_nodes_over_time_has_a_row_for_each_change() -> None:
    found = timeline(
        look(0.0, 0, ""), look(0.5, 0, ""), look(1.0, 1, ""), look(1.5, 1, "ab"), look(2, 1, "ab")
    ).nodes_over_time()
    assert found == [
        {"at_s": 0.0, "workers": 0, "placed": 0, "fresh": 0},
        {"at_s": 1.0, "workers": 1, "placed": 0, "fresh": 0},
        {"at_s": 1.5, "workers": 1, "placed": 2, "fresh": 2},
    ]


def test_the_longest_staleness_is_that_of_one_symbol_since_the_moment() -> None:
    seen = timeline(
        look(0, 1, "", "ab"), look(1, 1, "ab"), look(2, 1, "b", "a"), look(3, 1, "b", "a"),
        look(4, 1, "a", "b"), look(5, 1, "a"),
    )  # fmt: skip
    assert seen.longest_stale_s(frozenset("ab"), 1.0) == 1.0 + LOOK_EVERY_S
    assert seen.longest_stale_s(frozenset("b"), 1.0) == LOOK_EVERY_S
    assert seen.longest_stale_s(frozenset("ab"), 5.0) == 0.0


def test_a_wait_says_what_did_not_come() -> None:
    with pytest.raises(TimeoutError, match=r"nodes did not come within 0.1 s; last: Look\(at_s=1"):
        timeline(look(1, 1, "a")).until(lambda look: not look.workers, 0.1, "nodes")


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers_grown": 2}, {"workers_left": 2}, {"pending_beyond": 0}, {"rows_written": 3},
        {"lost": 1}, {"duplicated": 1}, {"different": 1}, {"rows_dead": 1},
        {"pending_reasons": ["starting"]}, {"apart": {"grown": {}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_is_right_only_if_everything_is(wrong: dict[str, Any]) -> None:
    assert is_right(RIGHT)
    assert not is_right(RIGHT | wrong)


def test_sizes_that_show_nothing_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.autoscale", "--symbols=16"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Expected --symbols between 4 and 16" in done.stderr
