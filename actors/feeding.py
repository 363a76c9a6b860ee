"""Has feeds send to the symbols that are ready, and no longer to those that leave."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from ray.exceptions import RayError

from actors import names
from actors.ending import killed
from actors.identity import Inspection
from actors.members import FEED_START_TIMEOUT_S, FeedMember, FleetMembers, in_time
from actors.plan import enlist
from actors.recruit import Recruiter
from actors.repair import Repairs
from alphaplus.config import Feeds
from alphaplus.errors import AlphaPlusError, FleetConflict

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 5.0


class Feeding:
    """Knows which shard sends whom; a feed that is slow to understand holds up no other."""

    def __init__(
        self,
        settings: Feeds,
        fleet: FleetMembers,
        recruiter: Recruiter,
        repairs: Repairs,
        inspection: Inspection,
        *,
        on_sent: Callable[[str], None],
    ) -> None:
        """`on_sent` hears of each symbol that its feed has been told of."""
        self.failure: BaseException | None = None
        """The first thing that a feed refused, which its user has to change."""
        self._settings = settings
        self._fleet = fleet
        self._recruiter = recruiter
        self._repairs = repairs
        self._inspection = inspection
        self._on_sent = on_sent
        self.left: list[dict[str, Any]] = []
        """Last reports of feeds that had nobody to send any more."""
        self._telling: set[asyncio.Task[None]] = set()
        self._closing: set[int] = set()
        """Shards whose actor ends."""

    @property
    def telling(self) -> frozenset[asyncio.Task[None]]:
        """What feeds are being told."""
        return frozenset(self._telling)

    def begin(self, symbols: Sequence[str]) -> None:
        """Divide symbols among feeds, new ones where those that are there are full."""
        fleet, settings = self._fleet, self._settings
        shards: dict[int, Collection[str]] = {
            int(name.rpartition(":")[2]): feed.symbols for name, feed in fleet.feeds.items()
        }
        full = range(settings.symbols_per_feed)
        shards |= {shard: [str(place) for place in full] for shard in self._closing}
        divided = enlist(symbols, shards, per_feed=settings.symbols_per_feed)
        for shard, some in divided.items():
            name = names.feed_name(settings.exchange, shard)
            if name not in fleet.feeds:
                fleet.feeds[name] = self._recruiter.feed(shard)
            feed = fleet.feeds[name]
            feed.symbols += some
            task = asyncio.create_task(self._told(name, feed, some), name=f"tell {name}")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def end(self, symbol: str) -> None:
        """Have a symbol sent no longer; a feed that is away begins anew without it."""
        name = self._fleet.feed_of(symbol)
        if name is None:
            return
        feed = self._fleet.feeds[name]
        feed.symbols = tuple(other for other in feed.symbols if other != symbol)
        try:
            await self._fleet.join_feed(feed)
        except (RayError, TimeoutError) as error:
            log.warning("%s is not told yet that %s has left: %s", name, symbol, error)
            self._repairs.suspect(name)
        if not feed.symbols and name in self._fleet.feeds:
            await self._close(name, feed)

    def cancel(self) -> None:
        """Tell nobody anything more."""
        for task in self._telling:
            task.cancel()

    async def _told(self, name: str, feed: FeedMember, symbols: tuple[str, ...]) -> None:
        """Tell a feed of more symbols until it has understood, or has left."""
        while self._fleet.feeds.get(name) is feed:
            try:
                await in_time(feed.handle.ready.remote(), FEED_START_TIMEOUT_S)
                await self._inspection.node_of(feed.handle, name)
                await self._fleet.join_feed(feed)
                for symbol in symbols:
                    self._on_sent(symbol)
                return
            except FleetConflict as error:
                log.error("%s is created elsewhere: %s", name, error)
                await self._replace(name, feed)
            except (RayError, TimeoutError) as error:
                cause = getattr(error, "cause", None) or error
                if isinstance(cause, AlphaPlusError):
                    self.failure = self.failure or cause
                log.warning("%s does not send %s yet: %s", name, ", ".join(symbols), cause)
            await asyncio.sleep(RETRY_S)

    async def _close(self, name: str, feed: FeedMember) -> None:
        """End a feed that has nobody to send, so that its node may go; the first one stays."""
        shard = int(name.rpartition(":")[2])
        if shard == 0:
            return
        self._closing.add(shard)
        del self._fleet.feeds[name]
        await self._repairs.leave(name)
        try:
            stopping = feed.handle.stop.remote(CLOSE_TIMEOUT_S)
            self.left.append(await in_time(stopping, CLOSE_TIMEOUT_S * 3))
            await in_time(self._fleet.portfolio.handle.forget.remote(name))
        except (RayError, TimeoutError) as error:
            log.warning("%s ends without a report: %s", name, error)
        await killed(feed.handle, name)
        self._closing.discard(shard)
        log.info("%s has left", name)

    async def _replace(self, name: str, feed: FeedMember) -> None:
        """Have another actor take the place of a feed, on a node that is not refused."""
        await killed(feed.handle, name)
        shard = int(name.rpartition(":")[2])
        feed.handle = self._recruiter.feed(shard, avoid=self._inspection.refused).handle
