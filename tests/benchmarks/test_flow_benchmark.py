"""`python -m benchmarks.storage.flow` on a small fleet: all rows are stored and costs are told."""

import json
import sys

import numpy as np
import pytest

from alphaplus.storage.merging import is_clean
from alphaplus.storage.tables import TableBatch
from benchmarks.storage import flow
from tests.storage.rows import T0


@pytest.mark.db
def test_json_has_both_costs_and_every_row_arrives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--symbols", "3", "--levels", "8", "--warm", "1", "--seconds", "2", "--json"]
    monkeypatch.setattr(sys, "argv", ["flow", *arguments])
    flow.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["symbols"]) == ("storage flow", 3)
    assert found["store_cores"] > 0
    assert found["database_cores"] > 0
    assert found["store_us_per_row"] > 0


def test_the_rows_of_a_symbol_are_messages_of_a_moment_with_keys_of_their_own() -> None:
    symbol = flow.Symbol(1, messages=10, levels=20)
    first, second = (symbol.deltas(T0 + at, T0 + at + 10**9) for at in (0, 10**9))
    assert len(first) == len(second) == 200
    assert len(np.unique(first["time"])) == 10
    assert np.count_nonzero(first["side"]) == 100
    parts = [TableBatch(flow.DELTAS, flow.EXCHANGE, symbol.name, rows) for rows in (first, second)]
    assert is_clean({(flow.EXCHANGE, symbol.name): parts})
