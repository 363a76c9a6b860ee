"""The members of a fleet as the supervisor knows them, and how each is joined to the others."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from alphaplus.instruments import Instrument

ASK_TIMEOUT_S: Final = 10.0
FEED_START_TIMEOUT_S: Final = 120.0
"""A feed asks the venue for its markets before it has started, again and again if need be."""


@dataclass(slots=True)
class Member:
    """An actor of the fleet, and the life of it that has been joined."""

    handle: Any
    life: Any = None
    store: str = ""
    """The name of the store that takes its rows; empty if it has none."""
    is_measured: bool = field(default=False, kw_only=True)
    """Whether its latencies are those of the steady state."""


@dataclass(slots=True)
class FeedMember(Member):
    """A feed, and the symbols that it sends."""

    symbols: tuple[str, ...] = ()
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """It is told one thing after the other, so that what was true last is what it knows."""


@dataclass(slots=True)
class FleetMembers:
    """Everyone; stores and feeds by the name of their actor, symbols by their own."""

    portfolio: Member
    stores: dict[str, Member]
    feeds: dict[str, FeedMember] = field(default_factory=dict)
    symbols: dict[str, Member] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    """What the board watches, by symbol."""

    async def join_board(self) -> None:
        """Have the board watch the symbols of now."""
        watched = list(self.instruments.values())
        await in_time(self.portfolio.handle.set_instruments.remote(watched))

    async def join_symbol(self, member: Member) -> None:
        """Have a symbol's actor tell this board and its store."""
        store = self.stores[member.store].life
        await in_time(member.handle.start.remote(self.portfolio.life, store))

    async def join_feed(self, member: FeedMember) -> dict[str, Any]:
        """Have a feed send to the symbols' actors of now, and to no others; returns where."""
        async with member.telling:
            routes = {s: self.symbols[s].life for s in member.symbols if s in self.symbols}
            store = self.stores[member.store].life
            member.life = await in_time(
                member.handle.start.remote(self.portfolio.life, routes, store),
                FEED_START_TIMEOUT_S,
            )
            return routes

    async def route(self, symbol: str) -> Any:
        """Have the feeds of a symbol send to its life of now; returns which it was."""
        life = self.symbols[symbol].life
        for feed in self.feeds.values():
            if symbol in feed.symbols:
                async with feed.telling:
                    life = self.symbols[symbol].life
                    await in_time(feed.handle.route.remote(symbol, life))
        return life

    def feed_of(self, symbol: str) -> str | None:
        """Return the name of the feed that sends a symbol, None if none does."""
        return next((name for name, feed in self.feeds.items() if symbol in feed.symbols), None)


async def in_time(awaitable: Any, timeout_s: float = ASK_TIMEOUT_S) -> Any:
    """Await an actor's answer; raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        return await awaitable
