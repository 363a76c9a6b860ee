"""The benchmarks of whole fleets, on fleets that are small and soon over."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.venue.recordings import recorded_lines, write_recording

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.db]

STEPS = 3000
"""Five minutes of a generated market, written down as it would be received."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "market.raw.gz"
    return write_recording(path, recorded_lines(STEPS))


def run(module: str, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code and the JSON lines that a benchmark has printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return done.returncode, lines


def test_a_point_of_scale_tells_everything(recording: Path) -> None:
    code, lines = run("scale", f"--capture={recording}", "--symbols=2@5", "--duration=5")
    point, whole = lines
    assert code == 0, point
    assert whole["points"] == [point]
    assert point["processed_per_s"] == pytest.approx(10, rel=0.4)
    assert point["offered_per_s"] == pytest.approx(10, rel=0.4)
    assert (point["dropped"], point["gaps"], point["rows_missing"]) == (0, 0, 0)
    roles = {"symbols", "feeds", "store", "database", "venue", "portfolio", "serve", "ray system"}
    assert roles <= point["cores_by_role"].keys()
    assert roles <= point["mb_by_role"].keys()
    assert point["mb_per_symbol"] > 20
    assert point["fresh_s"] > point["actors_s"]
    assert point["ray_calls_per_s"] > 0
    assert point["p50_ms"] <= point["p99_ms"]


def test_market_time_is_passed_through() -> None:
    code, (found,) = run(
        "endurance", "--hours=0.3", "--symbols=1", "--speed=60", "--every=1", "--seed=3"
    )
    assert found["simulated_hours"] >= 0.3
    assert found["messages"] > 10_000
    assert found["rows_missing"] == 0
    assert found["gaps"] == 0
    assert found["judged"]
    assert code == (not found["steady"])
    assert {"symbols", "venue", "database"} <= found["samples"][-1]["mb"].keys()


def test_a_small_fleet_is_saturated(recording: Path) -> None:
    code, (part, whole) = run(
        "saturation", f"--capture={recording}", "--symbols=32", "--parts=one_level", "--seconds=2"
    )
    assert code == 0, part
    assert whole["one_level"]["messages_per_s"] > 100
    assert part["level_updates_per_s"] == pytest.approx(part["messages_per_s"], rel=0.05)
    assert part["gaps"] == part["dropped_events"] == 0
