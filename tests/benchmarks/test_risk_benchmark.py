"""`python -m benchmarks.risk` on few positions."""

import json
import sys

import pytest

from benchmarks import risk


def test_json_has_a_row_for_each_setup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("SYMBOLS", 4), ("POSITIONS", 9), ("SCENARIOS", 150)):
        monkeypatch.setattr(risk, name, value)
    made = risk.portfolio(4, 9, 150), risk.market(4, 10)
    monkeypatch.setattr(risk, "portfolio", lambda: made[0])
    monkeypatch.setattr(risk, "market", lambda: made[1])
    monkeypatch.setattr(sys, "argv", ["risk", "--json", "--runs", "3"])
    risk.main()
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == "risk"
    rows = {row["name"]: row for row in found["rows"]}
    assert {"metrics", "incremental", "cascade", "positions"} <= rows.keys()
    for name in ("metrics", "incremental", "cascade"):
        row = rows[name]
        assert row["symbols"] == 4
        assert 0 < row["fastest_ms"] <= row["median_ms"] <= row["slowest_ms"]
        assert row["reached"] == (row["median_ms"] <= row["target_ms"])
