"""A market whose speed is changed while it runs, and which waits for its readers or does not."""

import asyncio

import pytest

from alphaplus.venue.generated_source import GeneratedSource
from tests.venue.sockets import connected, get, next_event, post, running


async def test_speed_is_changed_over_http() -> None:
    async with (
        running(GeneratedSource(1, 1)) as server,
        connected(server, "/ws/btcusdt@depth") as (session, socket),
    ):
        status, state = await post(session, "/control/speed", {"speed": 50})
        assert (status, state["speed"], state["waits_for_readers"]) == (200, 50.0, True)
        before = (await get(session, "/control/state", symbols="false"))["market_ms"]
        for _ in range(20):  # two seconds of market time
            await next_event(socket, "depthUpdate")
        after = await get(session, "/control/state", symbols="false")
        assert after["market_ms"] - before >= 1_000
        assert "symbols" not in after
        assert after["unsent_bytes"] >= 0


async def test_it_waits_for_readers_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        running(GeneratedSource(1, 1), speed=20.0) as server,
        connected(server, "/ws/btcusdt@depth") as (session, socket),
    ):
        await next_event(socket, "depthUpdate")
        monkeypatch.setattr(server._hub, "is_busy", lambda: True)
        held = (await get(session, "/control/state", symbols="false"))["market_ms"]
        await asyncio.sleep(0.1)
        assert (await get(session, "/control/state", symbols="false"))["market_ms"] - held < 1_000
        await post(session, "/control/speed", {"speed": 20, "waits_for_readers": False})
        for _ in range(20):
            await next_event(socket, "depthUpdate")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"speed": 0},
        {"speed": -1},
        {"speed": "fast"},
        {"speed": True},
        {"speed": 10_001},
        {"speed": 1, "waits_for_readers": 1},
        {"speed": 1, "more": 1},
        [],
    ],
)
async def test_a_speed_that_is_none_is_refused(body: object) -> None:
    async with (
        running(GeneratedSource(1, 1)) as server,
        connected(server) as (session, _),
    ):
        status, answer = await post(session, "/control/speed", body)
        assert status == 400
        assert answer["error"].startswith("Expected")
        assert (await get(session, "/control/state"))["speed"] == 1.0
