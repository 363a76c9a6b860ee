"""The venue as a child process starts, tells where it is, and ends cleanly."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from alphaplus.errors import ConfigError
from alphaplus.venue import VenueProcess
from tests.venue.recordings import recorded_lines, write_recording


def state_of(url: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{url}/control/state", timeout=10) as response:
        state: dict[str, object] = json.loads(response.read())
    return state


def test_child_answers_ignores_signals_and_ends_with_its_parents_stdin() -> None:
    venue = VenueProcess(["--symbols", "2"])
    with venue:
        assert venue.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(venue.pid, number)
        assert state_of(venue.url)["connections"] == 0
        assert venue.stop() == 0
    assert venue.stop() is None


def test_child_plays_a_recording(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.raw.gz", recorded_lines(20))
    arguments = ["--source", "capture", "--capture", str(path), "--symbols", "3", "--speed", "2.5"]
    with VenueProcess(arguments) as venue:
        state = state_of(venue.url)
        assert state["speed"] == 2.5
        assert list(state["symbols"]) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]  # type: ignore[call-overload]


def test_venue_of_its_own_ends_on_a_signal() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "alphaplus.venue", "--symbols", "1"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["url"].startswith("http://127.0.0.1:")
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


def test_occupied_port_is_told_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        venue = VenueProcess(["--symbols", "1", "--port", str(port)])
        with pytest.raises(
            ConfigError, match=rf"cannot listen on 127.0.0.1:{port} .*free the port"
        ):
            venue.start()
        assert venue.pid is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--symbols", "0"], "Expected 1 to 1000 venue symbols, was 0."),
        (["--symbols", "many"], "invalid int value: 'many'; see --help."),
        (["--speed", "nan"], "Expected --speed above 0 and at most 10000, was nan."),
        (["--speed", "-1"], "Expected --speed above 0"),
        (["--port", "70000"], "Expected --port from 0 to 65535, was 70000."),
        (["--seed", "-3"], "Expected --seed of 0 or more, was -3."),
        (["--source", "capture"], "Expected --capture FILE with --source capture, was none."),
        (["--capture", "x.raw.gz"], "Expected --source capture with --capture FILE"),
        (["--source", "capture", "--capture", "/nonexistent.raw.gz"], "cannot be read"),
        (["--colour", "red"], "Unrecognized arguments: --colour red; see --help."),
        (["--host", "203.0.113.1", "--symbols", "1"], "cannot listen on 203.0.113.1:0"),
    ],
)
def test_bad_argument_exits_with_2_and_one_sentence(arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alphaplus.venue", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in json.loads(done.stdout)["error"]
    assert done.stderr.startswith("alphaplus.venue: ")
    assert done.stderr.count("\n") == 1


def test_truncated_recording_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.raw.gz", recorded_lines(20))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ConfigError, match="truncated or damaged after line"):
        VenueProcess(["--source", "capture", "--capture", str(path)]).start()
