"""`python -m benchmarks.storage` on few rows: every part reports, and what it stores is whole."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.storage import __main__ as storage
from benchmarks.storage import reads


@pytest.mark.db
def test_json_has_every_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    monkeypatch.setattr(reads, "PRELOAD_S", 200)
    capture = data_dir / storage.DEFAULT
    arguments = ["--capture", str(capture), "--rows", "3000", "--times", "4", "--json"]
    monkeypatch.setattr(sys, "argv", ["storage", *arguments])
    storage.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["flavor"]) == ("storage", "native")
    assert (found["synchronous_commit"], found["fsync"]) == ("on", "on")
    ways = {(rate["table"], rate["way"]): rate for rate in found["ingest"]}
    assert ways.keys() == {(t, w) for t in storage.TARGETS for w in ("writer", "copy")}
    for rate in ways.values():
        assert rate["rows"] == round(3000 * storage.SHARES[rate["table"]])
        assert rate["reached"] == (rate["rows_per_s"] >= rate["target"])
    questions = found["reads"]["questions"]
    assert len(questions) == 5
    assert all(0 < question["p50_ms"] <= question["p99_ms"] for question in questions)
    sizes = {size["table"]: size for size in found["sizes"]}
    assert all(size["equal"] for size in sizes.values())
    assert sizes["order_book_deltas"]["saved"] >= 0.95
    assert sizes["enhanced_order_book_snapshots"]["saved"] >= 0.9
