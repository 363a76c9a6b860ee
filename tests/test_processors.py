"""How many processors a process may use, over files as a container has them."""

import os
from pathlib import Path

import pytest

from alphaplus.processors import processors


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 processors, of which this process may use eight."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


def test_a_process_counts_those_it_is_held_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert processors(tmp_path) == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors(tmp_path) == 64


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("20000 100000\n", 1),
        ("6400000 100000\n", 8),
        ("max 100000\n", 8),
        ("nonsense\n", 8),
        ("1000 0\n", 8),
    ],
)
def test_a_container_may_allow_fewer(tmp_path: Path, limit: str, count: int) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert processors(tmp_path) == count


@pytest.mark.parametrize(("quota", "count"), [("300000\n", 3), ("-1\n", 8)])
def test_so_may_one_of_the_first_version(tmp_path: Path, quota: str, count: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert processors(tmp_path) == count
