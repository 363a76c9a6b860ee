"""The end of a fleet, with members that are no actors: the order, the limits, what is said."""

import asyncio
from typing import Any

import pytest

from actors import drain as drain_module
from actors.drain import drain
from actors.members import FeedMember, FleetMembers, Member
from alphaplus.storage.draining import Progress


class Call:
    """A method of an actor: what it was asked with is noted."""

    def __init__(self, name: str, calls: list[Any], answer: Any, pause_s: float = 0.0) -> None:
        self._name, self._calls, self._answer, self._pause_s = name, calls, answer, pause_s

    async def remote(self, *arguments: Any) -> Any:
        self._calls.append((self._name, *arguments))
        await asyncio.sleep(self._pause_s)
        return self._answer


class Handle:
    """What stands for an actor."""

    def __init__(self, **methods: Call) -> None:
        vars(self).update(methods)


async def test_rows_are_written_last_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "TELL_EVERY_S", 0.01)
    calls: list[Any] = []
    said: list[str] = []
    going = Progress(rows_left=2_700_000, rows_per_s=90_000.0, eta_s=30.0)
    store = Handle(
        drain=Call("store", calls, {"rows_pending": 5}, pause_s=0.3),
        draining=Call("draining", calls, going),
        close=Call("close", calls, None),
    )
    fleet = FleetMembers(
        portfolio=Member(Handle(report=Call("portfolio", calls, {"cpu_s": 1.0}))),
        stores={"store:0": Member(store)},
        feeds={"feed": FeedMember(Handle(stop=Call("feed", calls, {"name": "feed"})))},
        symbols={"A": Member(Handle(drain=Call("symbol", calls, {"symbol": "A"})))},
    )
    report = await drain(fleet, 8.0, 300.0, said.append)
    told = [call for call in calls if call[0] != "draining"]
    assert told == [
        ("feed", 2.0),
        ("symbol", 4.0),
        ("store", 8.0, 300.0),
        ("portfolio",),
        ("close",),
    ]
    assert "writing rows: 2,700,000 rows left, 90,000 rows/s, about 30 s" in said
    assert said[-1] == "drained"
    assert report["stores"] == [{"rows_pending": 5}]
