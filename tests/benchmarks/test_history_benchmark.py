"""`python -m benchmarks.history` on few rows: every table, way and format reports."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import history


@pytest.mark.db
def test_json_has_every_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    capture = data_dir / history.DEFAULT
    arguments = ["--capture", str(capture), "--rows", "6000", "--times", "3", "--json"]
    monkeypatch.setattr(sys, "argv", ["history", *arguments])
    history.main()
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == "history"
    assert [table["table"] for table in found["tables"]] == list(history.SHARES)
    for table in found["tables"]:
        assert table["rows"] == round(6000 * history.SHARES[table["table"]])
        for name in ("rows_per_s", "rows_per_s_archived"):
            assert table[name].keys() == {"arrays", *history.FORMATS}
            assert all(rate > 0 for rate in table[name].values())
        for way in ("sql", "memory"):
            assert 0 < table["newest_100_ms"][way]["p50"] <= table["newest_100_ms"][way]["p99"]
        assert 0 < table["newest_100_ms"]["memory_kb_of_1000_rows"] < 800
