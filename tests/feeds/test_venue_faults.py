"""Every fault of the venue: the client notices it, says stale meanwhile, and comes back right."""

from typing import Any

import aiohttp
import pytest

from alphaplus.venue.generated_source import GeneratedSource
from tests.feeds.follower import following
from tests.venue.sockets import get, post, running

FRAMES = (
    "drop_frame",
    "reorder_frames",
    "torn_json",
    "wrong_price",
    "wrong_size",
    "wrong_sequence",
    "close_socket",
)


async def order(url: str, **body: Any) -> None:
    async with aiohttp.ClientSession(url) as session:
        status, answered = await post(session, "/control/faults", body)
        assert status == 200, answered


@pytest.mark.parametrize("kind", FRAMES)
async def test_a_fault_of_frames_is_noticed_and_mended(kind: str) -> None:
    count = 3 if kind == "wrong_sequence" else 1  # each of its ways once
    async with running(GeneratedSource(2, 5), speed=3.0) as venue, following(venue.url) as follower:
        market, other = follower.markets
        for committed in range(1, count + 1):
            before, others = market.resyncs, other.resyncs
            await order(venue.url, symbol="BTCUSDT", kind=kind)
            await follower.until(
                lambda before=before: market.resyncs > before and follower.stale() is None
            )
            await follower.compare_with_truth()
            if kind != "close_socket":
                assert other.resyncs == others
            async with aiohttp.ClientSession(venue.url) as session:
                state = await get(session, "/control/state")
            assert state["symbols"]["BTCUSDT"]["faults"] == {kind: committed}
        assert follower.bad_frames == (kind in ("torn_json", "wrong_size"))


async def test_a_duplicate_changes_nothing() -> None:
    async with running(GeneratedSource(1, 5), speed=3.0) as venue, following(venue.url) as follower:
        (market,) = follower.markets
        await order(venue.url, symbol="BTCUSDT", kind="duplicate_frame", count=5)
        counters = follower.feed.instrument_counters(0)
        await follower.until(lambda: counters.duplicates == 5)
        await follower.compare_with_truth()
        assert (market.gaps, market.resyncs, follower.reasons) == (0, 0, set())


@pytest.mark.parametrize(("for_s", "is_dialled"), [(0.8, False), (10.0, True)])
async def test_a_stalled_socket_is_stale_and_given_up_if_it_lasts(
    for_s: float, is_dialled: bool
) -> None:
    async with running(GeneratedSource(2, 5), speed=3.0) as venue, following(venue.url) as follower:
        market = follower.markets[0]
        await order(venue.url, symbol="BTCUSDT", kind="stall_socket", for_s=for_s)
        await follower.until(lambda: market.resyncs == 1 and follower.stale() is None)
        counters = follower.connection.counters
        assert (counters.reconnects > 0) == is_dialled
        assert (counters.watchdog_closes > 0) == is_dialled
        if is_dialled:  # it said so before the watchdog knew, as nothing had come for a second
            assert any(
                reason.startswith("nothing has been received") for reason in follower.reasons
            )
        await follower.compare_with_truth()


@pytest.mark.parametrize(
    ("fault", "limited"),
    [
        ({"kind": "slow_rest", "delay_s": 0.3}, 0),
        ({"kind": "failing_rest", "status": 502}, 0),
        ({"kind": "rate_limit", "status": 429}, 1),
        ({"kind": "rate_limit", "status": 418}, 1),
    ],
)
async def test_snapshots_survive_a_rest_side_in_trouble(
    fault: dict[str, Any], limited: int
) -> None:
    async with running(GeneratedSource(1, 5), speed=3.0) as venue, following(venue.url) as follower:
        market, counters = follower.markets[0], follower.connection.counters
        await order(venue.url, for_s=0.6, **fault)
        await order(venue.url, symbol="BTCUSDT", kind="drop_frame")
        await follower.until(lambda: market.resyncs == 1 and follower.stale() is None)
        assert counters.rate_limited == limited  # Retry-After was kept: it did not ask on
        assert (counters.failed_requests > 0) == (fault["kind"] != "slow_rest")
        assert "the feed is resync" in follower.reasons
        await follower.compare_with_truth()


async def test_a_skewed_clock_moves_event_times_and_nothing_else() -> None:
    async with running(GeneratedSource(1, 5)) as venue, following(venue.url) as follower:
        market = follower.markets[0]
        await order(venue.url, kind="clock_skew", skew_s=-30.0, for_s=5.0)
        await follower.until(lambda: market.ts_recv - market.ts_event > 25 * 10**9)
        assert follower.stale() is None  # age is by our own clock
        await follower.compare_with_truth()
        assert (market.gaps, market.resyncs) == (0, 0)


async def test_an_outage_is_waited_for_with_growing_pauses() -> None:
    async with running(GeneratedSource(2, 5), speed=3.0) as venue, following(venue.url) as follower:
        markets, counters = follower.markets, follower.connection.counters
        await order(venue.url, kind="outage", for_s=1.5)
        await follower.until(lambda: counters.losses > 0)
        await follower.until(
            lambda: all(m.resyncs and follower.stale(i) is None for i, m in enumerate(markets)),
            30.0,
        )
        assert "the feed is disconnected" in follower.reasons
        # two sockets; waits of 0.02, 0.04, ... 0.2 s, less up to half: never a storm
        assert 2 <= counters.failed_dials < 2 * 30
        await follower.compare_with_truth()
