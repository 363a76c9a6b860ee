"""What the tests of all streams share."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from alphaplus.events import EventArray, empty_events
from alphaplus.streams import EventBatch, EventReceiver, EventSender

PATIENCE_S = 60.0


def until(condition: Callable[[], object], step: Callable[[], object] = lambda: None) -> None:
    """Take `step` again and again until `condition` holds; fail after a minute."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        step()
        time.sleep(0.001)


def numbered(first: int, count: int) -> EventArray:
    """Return events whose sequences run from `first` on."""
    events = empty_events(count)
    events["sequence"] = np.arange(first, first + count)
    return events


def drain(sender: EventSender, receiver: EventReceiver, lost: int = 0) -> list[EventBatch]:
    """Receive until all that was sent has arrived, without the `lost` ones sent elsewhere."""
    batches: list[EventBatch] = []
    until(
        lambda: sender.pump() and receiver.counters.received == sender.counters.sent - lost,
        lambda: batches.extend(receiver.recv(timeout_ms=20)),
    )
    return batches


def sequences(batches: list[EventBatch]) -> list[int]:
    return [int(n) for batch in batches for n in batch.events["sequence"]]


class Peer:
    """A receiver in a process of its own; it prints one JSON line for each batch."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.streams.peer", *arguments],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            text=True,
        )
        assert self.read() == "ready"

    def read(self) -> object:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def peer(*arguments: str) -> Iterator[Peer]:
    """Start a peer and kill it in the end."""
    process = Peer(*arguments)
    try:
        yield process
    finally:
        process.kill()
