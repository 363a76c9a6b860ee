"""Requests for snapshots, to a supervisor that may be away. No Ray."""

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from actors import resync
from actors.resync import Resyncs
from tests.streams.helpers import until


class Head:
    """Finds the supervisor when `is_there` is set, and notes what that is asked."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.asked: list[tuple[str, str]] = []
        self.failures: list[Exception] = []

    def supervisor(self) -> Any:
        assert self.is_there.wait(20)
        if self.failures:
            raise self.failures.pop()
        note = SimpleNamespace(remote=lambda *market: self.asked.append(market))
        return SimpleNamespace(resync=note)


def test_who_asks_does_not_wait_for_the_head() -> None:
    head = Head()
    resyncs = Resyncs(head.supervisor)
    resyncs.ask("binance", "A")
    resyncs.ask("bybit", "B")
    assert head.asked == []
    head.is_there.set()
    until(lambda: head.asked == [("binance", "A"), ("bybit", "B")])


def test_a_supervisor_that_is_not_there_is_said_and_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    head = Head()
    head.failures = [LookupError("no supervisor")]
    head.is_there.set()
    resyncs = Resyncs(head.supervisor)
    resyncs.ask("binance", "A")
    until(lambda: "A: cannot ask for a snapshot: no supervisor" in caplog.text)
    resyncs.ask("binance", "A")
    until(lambda: head.asked == [("binance", "A")])


def test_requests_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resync, "MAX_WAITING", 2)
    head = Head()
    resyncs = Resyncs(head.supervisor)
    with caplog.at_level(logging.WARNING):
        for number in range(9):
            resyncs.ask("binance", f"S{number}")
    head.is_there.set()
    until(lambda: len(head.asked) in (2, 3))  # one more may have been in hand
    given_up = caplog.text.count("given up")
    assert len(head.asked) + given_up == 9
