"""`python -m benchmarks.replay` on a recording of a few messages."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import replay
from tests.benchmarks.tiny_recordings import write_recording


def test_json_has_a_row_for_each_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = write_recording(tmp_path / "tiny.raw.gz", messages=40)
    options = ["--capture", str(capture), "--batch", "1", "50", "--runs", "2", "--json"]
    monkeypatch.setattr(sys, "argv", ["replay", *options])
    replay.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["capture"], found["runs"]) == (capture.name, 2)
    assert [row["batch"] for row in found["rows"]] == [1, 50]
    for row in found["rows"]:
        assert row["messages"] == 2 + 1 + 3 * 39
        assert 0 < row["slowest"] <= row["messages_per_s"] <= row["fastest"]
        assert row["level_updates"] > 0
