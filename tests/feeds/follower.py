"""A client of the local venue: the real connection, feed and markets, on the test's own loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.errors import FeedError
from alphaplus.events import Side
from alphaplus.feeds.connection import Route, VenueConnection
from alphaplus.feeds.market_feed import FeedOutput, MarketFeed
from alphaplus.feeds.pacing import Backoff
from tests.venue.sockets import get, post

STALE_AFTER_MS = 1000.0


class Follower:
    """Follows every symbol of a venue, and starts a book again that contradicts the quotes."""

    def __init__(self, url: str, *, silent_after_s: float = 2.0) -> None:
        self.url = url
        self.connection = VenueConnection(
            "binance",
            (),
            ("depth", "book_ticker", "trade", "mark_price"),
            on_frame=self._on_frame,
            on_connect=lambda route: None,
            on_disconnect=self._on_disconnect,
            base_url=url,
            silent_after_s=silent_after_s,
            backoff=Backoff(first_s=0.02, cap_s=0.2),
        )
        self.feed = MarketFeed([])
        self.markets: list[Market] = []
        self.reasons: set[str] = set()
        """Why the first symbol was stale, as far as it was."""
        self.bad_frames = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        found = list((await self.connection.load_markets()).values())
        self.feed = MarketFeed(found)
        self.markets = [
            Market(item, Analyzer(item), stale_after_ms=STALE_AFTER_MS) for item in found
        ]
        self._spawn(self.connection.run())

    async def stop(self) -> None:
        await self.connection.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stale(self, index: int = 0) -> str | None:
        return self.markets[index].stale_reason(time.time_ns())

    async def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait, and note on the way why the first symbol is stale."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                reason = self.stale()
                if reason is not None:
                    self.reasons.add(reason)
                await asyncio.sleep(0.002)

    async def compare_with_truth(self, index: int = 0) -> None:
        """Stop the market, wait for its last update, compare within the book's known range."""
        market = self.markets[index]
        instrument, book = market.instrument, market.book
        async with aiohttp.ClientSession(self.url) as session:
            await post(session, "/control/pause")
            truth = await get(session, "/control/book", symbol=instrument.venue_symbol)
            await self.until(lambda: book.sequence == truth["lastUpdateId"])
            known = book.known_range
            assert known is not None
            low, high = map(instrument.price, known)
            for side, name in ((Side.BID, "bids"), (Side.ASK, "asks")):
                ticks, sizes = book.levels(side)
                ours = zip(map(instrument.price, ticks.tolist()), sizes.tolist(), strict=True)
                theirs = [(float(price), float(size)) for price, size in truth[name]]
                within = [level for level in theirs if low <= level[0] <= high]
                assert [level for level in ours if low <= level[0] <= high] == within, name
                assert len(within) > 50
            await post(session, "/control/resume")

    def _on_frame(self, frame: bytes, ts_recv: int) -> None:
        self._take(self.feed.on_frames([frame], [ts_recv]))

    def _on_disconnect(self, route: Route, reason: str) -> None:
        if route.carries_depth:
            self._take(self.feed.on_disconnect(time.time_ns()))

    def _take(self, output: FeedOutput) -> None:
        for batch in output.batches:
            market = self.markets[batch.instrument]
            market.apply(batch.events)
            if market.needs_resync:
                market.audit.reset()
                self._take(self.feed.resync(batch.instrument, time.time_ns()))
        for wanted in output.wanted:
            self._spawn(self._fetch(wanted.instrument))
        self.bad_frames += len(output.dead_letters)

    async def _fetch(self, index: int) -> None:
        try:
            payload = await self.connection.fetch_snapshot(self.feed.instruments[index].symbol)
        except FeedError:
            return  # closed meanwhile
        self._take(self.feed.on_snapshot(index, payload, time.time_ns()))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def following(url: str, **options: Any) -> AsyncIterator[Follower]:
    """Follow a venue; all symbols are fresh when the block begins."""
    follower = Follower(url, **options)
    await follower.start()
    try:
        await follower.until(
            lambda: all(follower.stale(i) is None for i in range(len(follower.markets)))
        )
        follower.reasons.clear()
        yield follower
    finally:
        await follower.stop()
