"""`python -m benchmarks.book` on a recording of a few messages."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.book import __main__ as benchmark
from benchmarks.book import rounds
from benchmarks.book.contenders.registry import CONTENDERS, OURS, Entry
from benchmarks.book.rounds import Plan
from benchmarks.book.tasks import Task
from benchmarks.book.workload import read_workload, write_inputs
from tests.benchmarks.tiny_recordings import write_recording

MESSAGES = 120
SHORT = ["--rounds", "1", "--seconds", "0", "--books", "3", "--starts", "1", "--no-cold"]
MODULES = {"order-book": "order_book"}


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *given: str) -> str:
    monkeypatch.setattr(sys, "argv", ["book", *SHORT, "--peers-python", sys.executable, *given])
    benchmark.main()
    return capsys.readouterr().out


def skip_if_absent(entry: Entry) -> None:
    """Skip where a library that a contender needs is not installed."""
    needed = [MODULES.get(name, name) for name in entry.distributions]
    for module in needed:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed (extra: bench)")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "tiny.raw.gz", messages=MESSAGES)


def test_json_has_every_figure(
    capture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(
        monkeypatch, capsys, "--capture", str(capture), "--json", "--contenders", OURS, "ccxt"
    )
    found: dict[str, Any] = json.loads(out)
    assert found["benchmark"] == "book"
    assert found["messages"] == MESSAGES - 1
    assert set(found["contenders"]) == {OURS, "ccxt"}
    ours, ccxt = found["contenders"][OURS], found["contenders"]["ccxt"]
    assert set(ours["messages_per_s"]) == set(Task)
    assert all(rate > 0 for rate in ours["messages_per_s"].values())
    for task in (Task.APPLY, Task.APPLY_EACH, Task.TOP, Task.TOP_20, Task.BYTES_TOP_20):
        assert ccxt["messages_per_s"][task] > 0
    assert ccxt["messages_per_s"][Task.BYTES_MEASURES] is None
    for contender in (ours, ccxt):
        assert contender["agrees"] is True, contender["agreement"]
        assert contender["agreement"]["messages"] == MESSAGES - 1
        assert contender["kb_per_book"] > 0
        assert contender["startup_s"] > 0
        assert contender["cold_startup_s"] is None
    assert found["ratios"]["bytes_top_20_vs_ccxt"]["value"] > 0
    assert found["ratios"]["bytes_top_20_vs_ccxt"]["target"] == 40
    assert found["ratios"]["recording_to_measures_s"]["value"] > 0
    assert found["ratios"]["apply_vs_hftbacktest"]["value"] is None


def test_spot_rules_hold_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = write_recording(tmp_path / "spot.raw.gz", messages=40, spot=True)
    options = ("--json", "--contenders", OURS, "ccxt", "--tasks", "bytes_top_20", "--books", "0")
    found = json.loads(run(monkeypatch, capsys, "--capture", str(capture), *options))
    assert found["symbol"] == "BTC-USDT-SPOT"
    assert found["contenders"]["ccxt"]["agrees"] is True
    assert found["contenders"][OURS]["kb_per_book"] is None


@pytest.mark.parametrize("name", [name for name in CONTENDERS if name not in (OURS, "ccxt")])
def test_peer_keeps_the_same_book(
    name: str, capture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_if_absent(CONTENDERS[name])
    found = json.loads(
        run(monkeypatch, capsys, "--capture", str(capture), "--json", "--contenders", OURS, name)
    )
    assert found["skipped"] == {}
    peer = found["contenders"][name]
    assert peer["agrees"] is True, peer["agreement"]
    assert peer["messages_per_s"][Task.TOP_20] > 0
    assert peer["kb_per_book"] > 0


def test_table_shows_the_figures(
    capture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--contenders", OURS, "--tasks", "apply", "top_20", "--books", "0", "--starts", "0")
    out = run(monkeypatch, capsys, "--capture", str(capture), *options)
    assert "BTC-USDT-PERP: 119 messages" in out
    assert "MarketFeed.on_frames" in out
    assert "kb_per_book" in out


def test_absent_and_failing_peers_are_skipped_with_a_reason(capture: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')  # no installed libraries
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    for script in (bare, broken):
        script.chmod(0o755)
    details = write_inputs(read_workload(capture), capture, tmp_path, batch=10)
    plan = Plan(
        folder=tmp_path,
        tick_size=details.tick_size,
        contenders=["ccxt"],
        tasks=[Task.APPLY],
        interpreters=[str(bare)],
        rounds=1,
        min_seconds=0.0,
        clock="wall",
        books=0,
        starts=0,
        cold=False,
    )
    assert "pip install 'alphaplus[bench]'" in rounds.run(plan).skipped["ccxt"]
    outcome = rounds.run(replace(plan, interpreters=[str(broken)]))
    assert "no such luck" in outcome.skipped["ccxt"]
    assert outcome.results == {}


def test_unknown_recording_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="does not exist"):
        run(monkeypatch, capsys, "--capture", str(tmp_path / "none.raw.gz"))


@pytest.mark.parametrize("option", ["--rounds", "--batch", "--messages"])
def test_numbers_below_one_are_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, option, "0")
    assert f"Expected {option} of at least 1, was 0." in capsys.readouterr().err
