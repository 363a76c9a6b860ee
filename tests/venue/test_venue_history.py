"""Candles, open interest and brackets of the venue, asked for as the unmodified ccxt asks."""

import asyncio

import aiohttp
import ccxt
import numpy as np
import pytest

from alphaplus.venue.capture_source import CaptureSource
from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import read_recording
from tests.venue.recordings import recorded_lines, write_recording
from tests.venue.sockets import get, running
from tests.venue.test_venue_ccxt import client_of

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
WALL_NS = 1_764_180_034_500 * 1_000_000


def candles(source, step_ms=MINUTE_MS, count=600, wall_ns=WALL_NS, mark=False):
    now = wall_ns // 1_000_000
    return source.candles(
        0, mark=mark, step_ms=step_ms, start_ms=now - count * step_ms, end_ms=now, wall_ns=wall_ns
    )


@pytest.mark.parametrize("mark", [False, True])
def test_candles_run_into_the_live_market_without_a_jump(mark):
    source = GeneratedSource(1, 7)
    assert len(candles(source, mark=mark)) == 600, "before anybody has listened"
    source.start(0, Channel.DEPTH, 0)
    prices = []
    for step in range(1800):
        wall_ns = WALL_NS + step * 100_000_000
        source.advance(step * 100_000_000, wall_ns, lambda *_: None)
        ticker = source.ticker(0, wall_ns)
        prices.append(ticker.mark_price if mark else ticker.last)
    found = candles(source, wall_ns=wall_ns, mark=mark)
    assert (np.diff(found["time_ms"]) == MINUTE_MS).all()
    moves = np.abs(np.log(found["open"][1:] / found["close"][:-1]))
    assert moves.max() < 2e-4, "no more than a few ticks between two minutes"
    assert found["close"][-1] == pytest.approx(prices[-1])
    live = found[found["time_ms"] > WALL_NS // 1_000_000]
    assert len(live) == 3
    inside = prices[300:]
    assert live["high"].max() >= max(inside)
    assert live["low"].min() <= min(inside)
    assert (live["trades"] > 0).all() == (not mark)


def test_hours_are_the_minutes_they_consist_of():
    source = GeneratedSource(1, 7)
    minutes = candles(source, count=6 * 60 + 35)
    hours = candles(source, step_ms=HOUR_MS, count=6)
    whole = hours[1:-1]
    for hour in whole:
        part = minutes[minutes["time_ms"] // HOUR_MS * HOUR_MS == hour["time_ms"]]
        if len(part) == 60:
            assert hour["open"] == part["open"][0]
            assert hour["close"] == part["close"][-1]
            assert hour["high"] == part["high"].max()
            assert hour["volume"] == pytest.approx(part["volume"].sum())


def test_a_long_range_is_the_same_as_its_parts():
    source = GeneratedSource(1, 7)
    days = candles(source, step_ms=24 * HOUR_MS, count=150)
    assert len(days) == 150
    assert (np.diff(days["time_ms"]) == 24 * HOUR_MS).all()
    week = candles(source, step_ms=24 * HOUR_MS, count=7)
    assert days[-7:].tobytes() == week.tobytes()


async def test_ccxt_reads_candles_open_interest_and_tiers():
    async with running(GeneratedSource(2, 7)) as server, client_of(server) as client:
        symbol, now = "ETH/USDT:USDT", client.milliseconds()
        since = now // HOUR_MS * HOUR_MS - 50 * HOUR_MS
        hours = await client.fetch_ohlcv(symbol, "1h", since=since, limit=40)
        assert [row[0] for row in hours] == [since + n * HOUR_MS for n in range(40)]
        latest = await client.fetch_ohlcv(symbol, "1h", limit=12)
        assert latest[-1][0] == client.milliseconds() // HOUR_MS * HOUR_MS
        assert latest[0] == hours[-1]
        marks = await client.fetch_mark_ohlcv(symbol, "1m", since=since, limit=5)
        assert len(marks) == 5
        assert marks[0][1] == pytest.approx(hours[0][1], rel=1e-3)
        start = now - 29 * 24 * HOUR_MS
        interest = await client.fetch_open_interest_history(symbol, "1h", since=start, limit=500)
        assert len(interest) == 500
        first = interest[0]
        price = (await client.fetch_ohlcv(symbol, "1h", since=first["timestamp"], limit=1))[0][1]
        value = first["openInterestAmount"] * price
        assert first["openInterestValue"] == pytest.approx(value, rel=1e-3)
        last = (await client.fetch_open_interest_history(symbol, "5m", limit=1))[0]
        live = (await client.fetch_open_interest(symbol))["openInterestAmount"]
        assert last["openInterestAmount"] == pytest.approx(live, rel=1e-2)
        with pytest.raises(ccxt.BadRequest):
            await client.fetch_open_interest_history(symbol, "1h", since=now - 40 * 24 * HOUR_MS)
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_leverage_tiers([symbol])
        client.apiKey, client.secret = "key", "secret"
        tiers = await client.fetch_leverage_tiers([symbol])
        assert tiers[symbol][0]["info"]["cum"] == 0.0


async def test_wrong_requests_are_refused_as_binance_does():
    async with (
        running(GeneratedSource(1, 7)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        path, known = "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h"}
        for query, code in (
            ({"symbol": "BTCUSDT"}, -1102),
            ({**known, "interval": "7m"}, -1120),
            ({**known, "symbol": "NOPE"}, -1121),
            ({**known, "limit": 1501}, -1130),
            ({**known, "startTime": "noon"}, -1130),
        ):
            assert (await get(session, path, **query))["code"] == code
        assert await get(session, path, **known, startTime=4_000_000_000_000) == []
        assert await get(session, path, **known, startTime=0, endTime=1) == []
        brackets = "/fapi/v1/leverageBracket"
        assert (await get(session, brackets))["code"] == -2014
        session.headers["X-MBX-APIKEY"] = "key"
        assert (await get(session, brackets, timestamp=1))["code"] == -1102
        assert (await get(session, brackets, timestamp=1, signature="s"))[0]["symbol"] == "BTCUSDT"


async def test_candles_cost_their_weight():
    async with (
        running(GeneratedSource(1, 7)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        used = 0
        for limit, weight in ((1, 1), (100, 2), (500, 5), (1001, 10)):
            query = {"symbol": "BTCUSDT", "interval": "1m", "limit": limit}
            async with session.get("/fapi/v1/klines", params=query) as response:
                used += weight
                assert response.headers["X-MBX-USED-WEIGHT-1M"] == str(used)


async def test_a_recording_has_its_own_candles_and_nothing_before(tmp_path):
    path = write_recording(tmp_path / "made_up.raw.gz", recorded_lines(200))
    source = CaptureSource(read_recording(path), 1)
    assert len(candles(source, count=10**6)) == 0
    async with running(source, speed=50.0) as server, client_of(server) as client:
        symbol = "BTC/USDT:USDT"
        assert await client.fetch_ohlcv(symbol, "1h") == []
        assert await client.fetch_open_interest_history(symbol, "1h", limit=5) == []
        assert await client.fetch_funding_rate_history(symbol, limit=5) == []
        await asyncio.wait_for(client.watch_order_book(symbol), 30)


def test_candles_of_a_recording_are_of_the_lines_sent_and_whole(tmp_path):
    path = write_recording(tmp_path / "made_up.raw.gz", recorded_lines(3_000))
    recording = read_recording(path)
    source = CaptureSource(recording, 1)
    begun, ended = recording.times[0] // 1_000_000, recording.times[-1] // 1_000_000
    source.start(0, Channel.DEPTH, 0)
    source.snapshot(0, 1000, WALL_NS, held=False)
    span = {"mark": False, "step_ms": 1000, "start_ms": 0, "end_ms": ended, "wall_ns": WALL_NS}
    market_ns = 0
    for _ in range(10_000):
        source.advance(market_ns, WALL_NS, lambda *_: None)
        source.snapshot(0, 1000, WALL_NS, held=False)
        market_ns += 50_000_000
        if source.state(0)["ended"]:
            break
    found = source.candles(0, **span)
    times = np.array([recording.times[line] for line in recording.trades.line]) // 1_000_000
    first = -(-begun // 1000) * 1000
    assert found["volume"].sum() == pytest.approx(
        np.array(recording.trades.quantity)[times >= first].sum()
    )
    assert found["time_ms"].min() >= begun
    assert found["close"][-1] == recording.trades.price[-1]
