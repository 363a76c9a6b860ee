"""The server speaks Binance's protocol over real sockets."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from alphaplus.venue import hub
from alphaplus.venue.capture_source import CaptureSource
from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.recording import read_recording
from tests.venue.client_rules import NaiveClient, sides_of
from tests.venue.recordings import recorded_lines, write_recording
from tests.venue.sockets import connected, get, next_event, post, running


async def subscribe(socket: aiohttp.ClientWebSocketResponse, *streams: str) -> None:
    await socket.send_json({"method": "SUBSCRIBE", "params": list(streams), "id": 1})


async def test_requests_of_a_socket_are_acknowledged() -> None:
    async with (
        running(GeneratedSource(2, 1)) as server,
        connected(server, "/public/ws/0") as (_, socket),
    ):
        await subscribe(socket, "btcusdt@forceOrder", "ethusdt@forceOrder")
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 1}
        await socket.send_json(
            {"method": "UNSUBSCRIBE", "params": ["ethusdt@forceOrder"], "id": "two"}
        )
        assert await socket.receive_json(timeout=5) == {"result": None, "id": "two"}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await socket.receive_json(timeout=5) == {"result": ["btcusdt@forceOrder"], "id": 3}
        await socket.send_str("{")
        assert (await socket.receive_json(timeout=5))["error"]["code"] == 3
        await socket.send_json({"method": "SELL_ALL", "id": 4})
        assert (await socket.receive_json(timeout=5))["error"]["code"] == 2
        await socket.send_json({"method": "SUBSCRIBE", "params": "btcusdt@depth", "id": 5})
        assert (await socket.receive_json(timeout=5))["id"] == 5


async def test_stream_names_in_the_path_and_the_combined_wrapper() -> None:
    async with running(GeneratedSource(2, 1)) as server:
        async with connected(server, "/ws/ethusdt@depth@0ms") as (_, socket):
            assert (await next_event(socket, "depthUpdate"))["s"] == "ETHUSDT"
        path = "/stream?streams=btcusdt@depth@100ms/btcusdt@markPrice@1s"
        async with connected(server, path) as (_, socket):
            seen: dict[str, Any] = {}
            while len(seen) < 2:
                frame = await socket.receive_json(timeout=10)
                seen[frame["stream"]] = frame["data"]
            assert seen["btcusdt@depth@100ms"]["e"] == "depthUpdate"
            assert seen["btcusdt@markPrice@1s"]["e"] == "markPriceUpdate"


async def test_agg_trades_are_derived_from_trades() -> None:
    async with (
        running(GeneratedSource(1, 1)) as server,
        connected(server, "/market/ws/1") as (_, socket),
    ):
        await subscribe(socket, "btcusdt@aggTrade", "btcusdt@trade", "btcusdt@depth")
        trade = await next_event(socket, "trade")
        aggregate = await next_event(socket, "aggTrade")
        assert (aggregate["f"], aggregate["l"]) == (trade["t"], trade["t"])
        assert (aggregate["p"], aggregate["q"], aggregate["m"]) == (
            trade["p"], trade["q"], trade["m"],
        )  # fmt: skip


async def test_unknown_stream_is_taken_as_binance_does_but_counted() -> None:
    async with running(GeneratedSource(1, 1)) as server, connected(server) as (session, socket):
        await subscribe(socket, "nosuch@depth", "btcusdt@kline_1m")
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 1}
        assert (await get(session, "/control/state"))["unknown_streams"] == 2


async def test_rest_answers_and_refusals() -> None:
    async with (
        running(GeneratedSource(3, 1)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        depth = "/fapi/v1/depth"
        assert await get(session, depth, symbol="NOPE") == {"code": -1121, "msg": "Invalid symbol."}
        assert (await get(session, depth))["code"] == -1102
        for limit in ("7", "0", "5000", "many"):
            assert (await get(session, depth, symbol="BTCUSDT", limit=limit))["code"] == -1130
        book = await get(session, depth, symbol="BTCUSDT", limit=5)
        assert len(book["bids"]) == len(book["asks"]) == 5
        info = await get(session, "/fapi/v1/exchangeInfo")
        assert [s["symbol"] for s in info["symbols"]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        assert len(await get(session, "/fapi/v1/premiumIndex")) == 3
        history = await get(session, "/fapi/v1/fundingRate", symbol="BTCUSDT", limit=10)
        assert len(history) == 10
        assert all(entry["fundingTime"] % 28_800_000 == 0 for entry in history)
        first = history[0]["fundingTime"]
        window = {"startTime": first, "endTime": first + 28_800_000}
        assert await get(session, "/fapi/v1/fundingRate", symbol="BTCUSDT", **window) == history[:2]
        session.headers["X-MBX-APIKEY"] = "any"
        signed = {"symbol": "BTCUSDT", "timestamp": 1, "signature": "any"}
        brackets = (await get(session, "/fapi/v1/leverageBracket", **signed))[0]["brackets"]
        for lower, upper in pairwise(brackets):
            at = upper["notionalFloor"]
            assert lower["notionalCap"] == at
            assert at * lower["maintMarginRatio"] - lower["cum"] == pytest.approx(
                at * upper["maintMarginRatio"] - upper["cum"]
            )


async def test_weight_is_counted_and_refused_above_the_limit() -> None:
    async with (
        running(GeneratedSource(1, 1)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        used = 0
        for _ in range(300):  # 120 books of weight 20 fill a minute; a minute may end in between
            async with session.get(
                "/fapi/v1/depth", params={"symbol": "BTCUSDT", "limit": "1000"}
            ) as response:
                used = int(response.headers["X-MBX-USED-WEIGHT-1M"])
                if response.status == 429:
                    assert used > 2400
                    assert 0 <= int(response.headers["Retry-After"]) <= 60
                    assert (await response.json())["code"] == -1003
                    return
        pytest.fail(f"never refused, used {used}")


async def synchronise(
    session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, client: NaiveClient
) -> dict[str, Any]:
    """Follow Binance's steps 1 to 5 and return the snapshot that fitted."""
    client.restart()
    client.on_depth(await next_event(socket, "depthUpdate"))
    while True:
        snapshot = await get(session, "/fapi/v1/depth", symbol="BTCUSDT", limit=1000)
        if client.on_snapshot(snapshot):
            return dict(snapshot)
        client.on_depth(await next_event(socket, "depthUpdate"))


async def assert_equals_the_truth(
    session: aiohttp.ClientSession,
    socket: aiohttp.ClientWebSocketResponse,
    client: NaiveClient,
    snapshot: dict[str, Any],
) -> None:
    """Pause the market, read what is under way, compare inside the snapshot's range."""
    await post(session, "/control/pause")
    truth = await get(session, "/control/book", symbol="BTCUSDT")
    while client.sequence is not None and client.sequence < truth["lastUpdateId"]:
        client.on_depth(await next_event(socket, "depthUpdate"))
    assert not client.gap
    bids, asks = sides_of(truth)
    lowest, highest = (float(snapshot[side][-1][0]) for side in ("bids", "asks"))
    assert {p: q for p, q in client.bids.items() if p >= lowest} == {
        p: q for p, q in bids.items() if p >= lowest
    }
    assert {p: q for p, q in client.asks.items() if p <= highest} == {
        p: q for p, q in asks.items() if p <= highest
    }
    await post(session, "/control/resume")


@pytest.mark.parametrize("fault", ["drop_frame", "torn_json", "reorder_frames", "close_socket"])
async def test_fault_is_noticed_and_the_book_right_after_a_resync(fault: str) -> None:
    async with (
        running(GeneratedSource(2, 3), speed=5.0) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        client = NaiveClient()
        noticed = 0
        async with (
            session.ws_connect("/ws/ethusdt@depth") as other,
            session.ws_connect("/ws/btcusdt@depth") as socket,
        ):
            snapshot = await synchronise(session, socket, client)
            order = {"symbol": "BTCUSDT", "kind": fault}
            assert (await post(session, "/control/faults", order))[0] == 200
            while not client.gap:
                message = await socket.receive(timeout=10)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    noticed += 1
                    break
                try:
                    client.on_depth(orjson.loads(message.data))
                except orjson.JSONDecodeError:
                    noticed += 1
            assert client.gap or fault == "close_socket"
            assert noticed == (fault in ("torn_json", "close_socket"))
            if not client.gap:
                async with session.ws_connect("/ws/btcusdt@depth") as again:
                    snapshot = await synchronise(session, again, client)
                    await assert_equals_the_truth(session, again, client, snapshot)
            else:
                snapshot = await synchronise(session, socket, client)
                await assert_equals_the_truth(session, socket, client, snapshot)
            previous = await next_event(other, "depthUpdate")
            for _ in range(20):  # the other symbol never notices
                event = await next_event(other, "depthUpdate")
                assert event["pu"] == previous["u"]
                previous = event
        state = await get(session, "/control/state")
        assert state["symbols"]["BTCUSDT"]["faults"] == {fault: 1}
        assert state["symbols"]["ETHUSDT"]["faults"] == {}


async def test_duplicate_frame_is_sent_twice() -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        connected(server, "/ws/btcusdt@depth") as (session, socket),
    ):
        order = {"symbol": "BTCUSDT", "kind": "duplicate_frame", "count": 2}
        await post(session, "/control/faults", order)
        events = [await next_event(socket, "depthUpdate") for _ in range(12)]
        ids = [event["u"] for event in events]
        assert len(ids) - len(set(ids)) == 2


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ({"symbol": "NOPE", "kind": "drop_frame"}, "Expected symbol to be one"),
        ({"symbol": "BTCUSDT", "kind": "melt"}, "Expected kind to be one of drop_frame"),
        (
            {"symbol": "BTCUSDT", "kind": "drop_frame", "count": 0},
            "Expected count to be a whole number from 1",
        ),
        ({"kind": "drop_frame"}, "Expected symbol to be one"),
        ([1], "Expected a JSON object, was list."),
    ],
)
async def test_bad_fault_order_is_refused_with_a_sentence(order: Any, sentence: str) -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        status, body = await post(session, "/control/faults", order)
        assert status == 400
        assert sentence in body["error"]
        async with session.get("/control/book", params={"symbol": "NOPE"}) as response:
            assert response.status == 400


async def test_client_that_reads_nothing_is_disconnected_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "MAX_UNSENT_BYTES", 0)
    source = GeneratedSource(1, 3)
    async with (
        running(source) as server,
        connected(server, "/ws/btcusdt@depth") as (session, socket),
    ):
        transport = next(iter(server._hub.connections)).transport
        # A write buffer that never empties is what a client that reads nothing causes.
        monkeypatch.setattr(transport, "get_write_buffer_size", lambda: 1, raising=False)
        while not socket.closed:
            await socket.receive(timeout=10)
        assert (await get(session, "/control/state"))["slow_clients"] == 1


async def test_market_told_to_stop_stands_still_and_keeps_its_sockets() -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        connected(server, "/ws/btcusdt@depth") as (session, socket),
    ):
        await next_event(socket, "depthUpdate")
        await post(session, "/control/stop_market")
        sent = (await get(session, "/control/state"))["symbols"]["BTCUSDT"]["sent"]
        await socket.ping()
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 9})
        while "id" not in (frame := await socket.receive_json(timeout=5)):
            continue
        assert frame["result"] == ["btcusdt@depth"]
        state = await get(session, "/control/state")
        assert state["stopped"]
        assert state["symbols"]["BTCUSDT"]["sent"] == sent


async def test_recording_ends_in_the_same_book_at_a_hundred_times_the_speed(tmp_path: Path) -> None:
    recording = read_recording(write_recording(tmp_path / "a.raw.gz", recorded_lines(300)))
    async with (
        running(CaptureSource(recording, 3), speed=100.0) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        for name in ("BTCUSDT", "SOLUSDT"):
            async with session.ws_connect(f"/ws/{name.lower()}@depth@0ms") as socket:
                client = NaiveClient()
                client.on_depth(await next_event(socket, "depthUpdate"))
                async with session.get(
                    "/fapi/v1/depth", params={"symbol": name, "limit": "1000"}
                ) as response:
                    body = await response.read()
                assert body == recording.head[recording.first_snapshot]
                assert client.on_snapshot(orjson.loads(body))
                while not (await get(session, "/control/state"))["symbols"][name]["ended"]:
                    client.on_depth(await next_event(socket, "depthUpdate"))
                truth = await get(session, "/control/book", symbol=name)
                while client.sequence != truth["lastUpdateId"]:
                    client.on_depth(await next_event(socket, "depthUpdate"))
                assert not client.gap
                assert (client.bids, client.asks) == sides_of(truth)
                assert truth["ended"]
                assert truth["depth"] == 300
