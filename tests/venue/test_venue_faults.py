"""Faults over HTTP and sockets: stalled, slow, failing, skewed and away, and by schedule."""

import asyncio
import time
from typing import Any

import aiohttp
import orjson
import pytest

from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.process import VenueProcess
from tests.venue.sockets import connected, get, next_event, post, running

DEPTH = "/ws/btcusdt@depth"


async def order(session: aiohttp.ClientSession, **body: Any) -> None:
    status, answered = await post(session, "/control/faults", body)
    assert status == 200, answered


async def test_a_stalled_socket_stays_open_and_silent_and_others_speak() -> None:
    async with (
        running(GeneratedSource(2, 3), speed=5.0) as server,
        connected(server, DEPTH) as (session, socket),
        session.ws_connect("/ws/ethusdt@depth") as other,
    ):
        last = await next_event(socket, "depthUpdate")
        await order(session, kind="stall_socket", symbol="BTCUSDT", for_s=1.0)
        while (await get(session, "/control/state"))["withheld"] < 10:
            assert (await next_event(other, "depthUpdate"))["s"] == "ETHUSDT"
        assert not socket.closed
        async with session.ws_connect(DEPTH) as fresh:  # a new socket is another one
            assert (await next_event(fresh, "depthUpdate"))["s"] == "BTCUSDT"
        while (event := await next_event(socket, "depthUpdate"))["pu"] == last["u"]:
            last = event  # sent before it stalled
        assert event["pu"] > last["u"], "what was meant for it in that time is lost"


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        ({"kind": "failing_rest", "status": 502}, 502, None),
        ({"kind": "rate_limit"}, 429, "1"),
        ({"kind": "rate_limit", "status": 418, "retry_after_s": 120}, 418, "120"),
    ],
)
async def test_rest_fails_as_ordered_and_recovers(
    fault: dict[str, Any], status: int, header: str | None
) -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        await order(session, for_s=2.0, **fault)
        async with session.get("/fapi/v1/time") as refused:
            assert refused.status == status
            assert refused.headers.get("Retry-After") == header
        (told,) = (await get(session, "/control/state"))["lasting_faults"]
        assert told["kind"] == fault["kind"]
        assert 0 < told["left_s"] <= 2.0
        while (await session.get("/fapi/v1/time")).status != 200:  # noqa: ASYNC110  # polls
            await asyncio.sleep(0.05)
        state = await get(session, "/control/state")
        assert state["faults"][fault["kind"]] >= 1
        assert state["lasting_faults"] == []


async def test_slow_rest_answers_late_and_control_at_once() -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        await order(session, kind="slow_rest", delay_s=0.4, for_s=5.0)
        began = time.monotonic()
        late = asyncio.create_task(get(session, "/fapi/v1/time"))
        await get(session, "/control/state")
        assert not late.done()
        assert "serverTime" in await late
        assert time.monotonic() - began >= 0.4


async def test_a_skewed_clock_stamps_messages_and_answers() -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        connected(server, f"{DEPTH}/btcusdt@markPrice") as (session, socket),
    ):
        mark = await next_event(socket, "markPriceUpdate")
        await order(session, kind="clock_skew", skew_s=-100.0, for_s=30.0)
        now_ms = time.time() * 1000
        assert (await get(session, "/fapi/v1/time"))["serverTime"] < now_ms - 90_000
        while (event := await next_event(socket, "depthUpdate"))["E"] > now_ms - 90_000:
            continue
        assert event["T"] < now_ms - 90_000
        skewed = await next_event(socket, "markPriceUpdate")
        assert skewed["E"] < mark["E"]
        assert skewed["T"] == mark["T"], "the next funding is when it is"


async def test_an_outage_refuses_everyone_and_ends_at_the_same_address() -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        connected(server, DEPTH) as (session, socket),
    ):
        await next_event(socket, "depthUpdate")
        await order(session, kind="outage", for_s=0.8)
        while (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            continue
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(session, "/fapi/v1/time")
        state: dict[str, Any] = {}
        while not state:
            try:
                state = await get(session, "/control/state")
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
        assert state["faults"] == {"outage": 1}
        assert state["connections"] == 0
        async with session.ws_connect(DEPTH) as again:
            await next_event(again, "depthUpdate")


async def test_a_schedule_is_told_followed_and_can_be_ended() -> None:
    async with (
        running(GeneratedSource(2, 3), speed=5.0) as server,
        connected(server, DEPTH) as (session, socket),
    ):
        body = {"seed": 3, "length_s": 0.5, "per_minute": {"drop_frame": 600}}
        status, first = await post(session, "/control/fault_schedule", body)
        planned = [item for item in first["planned"] if item["symbol"] == "BTCUSDT"]
        assert status == 200
        assert planned
        while True:
            await next_event(socket, "depthUpdate")
            faults = (await get(session, "/control/state"))["symbols"]["BTCUSDT"]["faults"]
            if faults == {"drop_frame": len(planned)}:
                break
        later = {**body, "start_s": 3600, "symbols": ["ETHUSDT"]}
        await post(session, "/control/fault_schedule", later)
        await order(session, kind="slow_rest", for_s=600)
        async with session.delete("/control/faults") as cleared:
            assert orjson.loads(await cleared.read()) == {"planned": 0, "lasting": []}
        assert (await get(session, "/control/state"))["lasting_faults"] == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "Expected a JSON object, was list."),
        ({"per_minute": {}}, "Expected per_minute to be rates by kind"),
        ({"per_minute": {"melt": 1}}, "Expected kind to be one of"),
        ({"per_minute": {"outage": "x"}}, "Expected outage to be a number of times a minute"),
        ({"per_minute": {"outage": 1}, "seed": "x"}, "Expected seed to be a number"),
        ({"per_minute": {"outage": 1}, "symbols": ["NOPE"]}, "Expected symbols to be a list of"),
        ({"per_minute": {"outage": 1}, "symbols": []}, "Expected at least one symbol"),
        ({"per_minute": {"outage": 1}, "for_s": 1}, "was 'for_s' too."),
    ],
)
async def test_a_wrong_schedule_is_refused_in_one_sentence(body: Any, sentence: str) -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        status, refused = await post(session, "/control/fault_schedule", body)
        assert status == 400
        assert sentence in refused["error"]


async def test_a_venue_follows_the_schedule_of_its_command_line() -> None:
    arguments = ["--symbols=1", "--fault=slow_rest=600", "--fault-seed=4", "--fault-length-s=60"]
    with VenueProcess(arguments) as venue:
        async with aiohttp.ClientSession(venue.url) as session:
            while not (await get(session, "/control/state"))["lasting_faults"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
