"""The job that replays recordings on a cluster: every one as `alphaplus replay` has it."""

import json
import os
import subprocess
import sys
import threading
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alphaplus.errors import CaptureError, ConfigError
from alphaplus.feeds.replay import replay
from jobs.replay import Progress, progress_line, recordings, replay_all, run, summarise

SPOT = "captures/binance_spot_btcusdt_20240808.raw.gz"


def arguments(**changes: Any) -> Namespace:
    return Namespace(**{"paths": [], "batch": 1000, "cpus": 1.0, "json": True, **changes})


def test_folders_are_searched_and_nothing_is_replayed_twice(tmp_path: Path) -> None:
    inner = tmp_path / "day"
    inner.mkdir()
    for name in ("b.raw.gz", "a.parquet", "notes.txt"):
        (inner / name).touch()
    named = tmp_path / "c.raw.gz"
    named.touch()
    found = recordings([named, tmp_path])
    assert [Path(path).name for path in found] == ["c.raw.gz", "a.parquet", "b.raw.gz"]
    assert all(Path(path).is_absolute() for path in found), "a worker has another folder"


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="does not exist on this node"):
        recordings([tmp_path / "absent.raw.gz"])
    with pytest.raises(CaptureError, match=r"feeds\.record_dir"):
        recordings([tmp_path])


@pytest.mark.parametrize("changes", [{"batch": 0}, {"cpus": 0.0}, {"cpus": -1.0}])
def test_sizes_of_nothing_are_refused_before_ray_starts(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected --batch of 1 or more and --cpus above 0"):
        run(arguments(**changes))


def test_progress_names_those_that_run_and_counts_those_that_wait() -> None:
    board = Progress()
    board.tell("/x/a.raw.gz", 50, 200)
    board.tell("/x/b.raw.gz", 0, 0)
    line = progress_line(board.shares(), ["/x/a.raw.gz", "/x/c.raw.gz"])
    assert line == "a.raw.gz 25%, 1 waiting for a processor"


def test_a_replay_tells_how_far_it_is(data_dir: Path) -> None:
    told: list[tuple[int, int]] = []
    report = replay(data_dir / SPOT, batch=2000, progress=lambda *at: told.append(at))
    assert told[-1] == (report.messages, report.messages)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_tasks_say_what_this_process_says_and_one_bad_file_stops_nothing(
    data_dir: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.raw.gz"
    bad.write_bytes(b"no gzip")
    paths = [str(bad), str(data_dir / SPOT)]
    reports, unusable = replay_all(paths, arguments(), threading.Event())
    here = replay(data_dir / SPOT)
    assert list(unusable) == [str(bad)]
    assert str(bad) in unusable[str(bad)]
    (there,) = reports.values()
    assert replace(there, messages_per_s=0.0) == replace(here, messages_per_s=0.0)
    summary = summarise([there], 2.0)
    assert summary["messages"] == here.messages
    assert summary["audit"] == {"equal": here.audit.equal, "different": here.audit.different}
    assert summary["messages_per_s"] == here.messages / 2
    assert summary["book_hash"] == {str(data_dir / SPOT): here.book_hash}


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_job_that_is_stopped_says_what_it_has(data_dir: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert replay_all([str(data_dir / SPOT)], arguments(), stop) == ({}, {})


@pytest.mark.ray
@pytest.mark.slow
def test_the_program_ends_with_one_object(data_dir: Path) -> None:
    repository = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "jobs.replay", str(data_dir / SPOT), "--json"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert summary["replayed"] == 1
    assert summary["audit"]["different"] == 0
    assert summary["recordings"][0]["messages"] == summary["messages"] > 0
    assert summary["unfinished"] == []
