"""What the endurance benchmark calls growth, and what it takes from a running system."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.endurance.__main__ import _some, _tell
from benchmarks.endurance.samples import Sample, sample, series
from benchmarks.endurance.verdict import BOUNDS, Bound, judge, judge_all, theil_sen
from benchmarks.scale.processes import Usage

HOURS = [hour / 4 for hour in range(97)]
MB = BOUNDS["mb"]


def test_a_leak_is_found_and_its_slope_told() -> None:
    found = judge(HOURS, [200 + 2.0 * hour for hour in HOURS], MB)
    assert found is not None
    assert found.grows
    assert found.slope_per_day == pytest.approx(48.0)
    assert found.last_half - found.first_half == pytest.approx(2.0 * 9.6, abs=1.0)


def test_noise_and_what_is_over_are_no_growth() -> None:
    rng = np.random.default_rng(1)
    noise = [200 + float(rng.normal(0, 3)) for _ in HOURS]
    warm = [150 + 60 * (1 - float(np.exp(-hour))) for hour in HOURS]
    step = [200.0 if hour < 12 else 230.0 for hour in HOURS]
    for values in (noise, warm, step):
        found = judge(HOURS, values, MB)
        assert found is not None
        assert not found.grows


def test_one_handle_a_minute_is_a_leak() -> None:
    found = judge(HOURS, [30 + 60 * hour for hour in HOURS], BOUNDS["files"])
    assert found is not None
    assert found.grows


def test_a_few_samples_are_no_verdict() -> None:
    assert judge(HOURS[:6], [1.0] * 6, MB) is None
    assert judge_all(HOURS[:6], {"symbols/mb": [1.0] * 6}) == {}


@given(
    st.floats(-100, 100),
    st.floats(-1e4, 1e4),
    st.lists(st.integers(0, 10_000), min_size=2, max_size=30, unique=True),
)
def test_the_slope_of_a_line_is_its_own(slope: float, start: float, places: list[int]) -> None:
    x = sorted(place / 100 for place in places)
    assert theil_sen(x, [start + slope * v for v in x]) == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_the_slope_withstands_outliers() -> None:
    y = [0.1 * hour for hour in HOURS]
    y[10], y[50] = 1e6, -1e6
    assert theil_sen(HOURS, y) == pytest.approx(0.1, rel=0.05)


def test_the_larger_of_share_and_least_is_allowed() -> None:
    found = judge(HOURS, [100.0] * len(HOURS), Bound(share=0.1, least=5.0))
    assert found is not None
    assert found.allowed == 10.0
    assert not found.grows


def usage(role: str, rss_mb: float) -> Usage:
    return Usage(role=role, title=role, cpu_s=0.0, rss=int(rss_mb * 1e6), threads=3)


def test_a_sample_adds_up_roles() -> None:
    own = os.getpid()
    found = sample(
        12.34,
        1_000,
        {own: usage("symbols", 100.0), 2**30: usage("symbols", 50.0), 2**30 + 1: usage("feeds", 9)},
        {"ts_event": 1_000 + int(5.4e12), "rows_pending": 7, "messages": 8},
        {
            "markets": [
                {"p99_ms": 3.0, "backlog_events": 4},
                {"p99_ms": None, "backlog_events": None},
                {"p99_ms": 5.0, "backlog_events": 5},
            ]
        },
    )
    assert (found.hour, found.p99_ms, found.backlog_events) == (1.5, 5.0, 9)
    assert found.mb == {"symbols": 150.0, "feeds": 9.0}
    assert found.threads == {"symbols": 6, "feeds": 3}
    assert found.files["symbols"] > 0
    assert found.files["feeds"] == 0
    values = series([found, found])
    assert values["symbols/mb"] == [150.0, 150.0]
    assert values["p99_ms"] == [5.0, 5.0]
    assert "store/mb" not in values
    assert {name.rpartition("/")[2] for name in values} <= BOUNDS.keys()


def test_samples_are_thinned_evenly() -> None:
    assert len(_some(list(range(150)), most=48)) <= 48  # type: ignore[arg-type]
    assert _some([1, 2, 3]) == [1, 2, 3]  # type: ignore[list-item,comparison-overlap]


def test_what_is_left_is_told_once_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    def at(hour: float, at_s: float) -> Sample:
        roles = ("symbols", "feeds", "store")
        return Sample(
            hour=hour,
            at_s=at_s,
            processes=dict.fromkeys(roles, 1),
            mb=dict.fromkeys(roles, 100.0),
            files=dict.fromkeys(roles, 9),
            threads=dict.fromkeys(roles, 3),
            p99_ms=None,
            backlog_events=0,
            rows_waiting=0,
            messages=1,
        )

    _tell([at(2.0, 0.0)], hours=1.0)
    assert "left" not in capsys.readouterr().err
    _tell([at(2.0, 0.0), at(2.25, 60.0)], hours=1.0)
    told = capsys.readouterr().err
    assert "0.25 of 1 h" in told
    assert "3.0 min left" in told
