"""`python -m benchmarks.streams` with a few batches."""

import json
import sys

import pytest

from benchmarks import streams


def test_json_has_latencies_and_rates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streams, "SYMBOLS", 2)
    monkeypatch.setattr(streams, "STEADY_S", 0.5)
    monkeypatch.setattr(streams, "SATURATED_S", 0.2)
    monkeypatch.setattr(sys, "argv", ["streams", "--json", "--transport", "ipc"])
    streams.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["transport"]) == ("streams", "ipc")
    assert found["send_us"] > 0
    assert found["steady"]["received_batches"] == found["steady"]["batches"] > 0
    assert found["steady"]["holes"] == found["saturation"]["holes"] == 0
    assert found["steady"]["p50_us"] <= found["steady"]["p99_us"] <= found["steady"]["max_us"]
    assert found["saturation"]["events_per_s"] > 0
