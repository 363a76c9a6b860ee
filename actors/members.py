"""The members of a fleet as the supervisor knows them, and how each is joined to the others."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

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


@dataclass(slots=True)
class FeedMember(Member):
    """A feed, and the symbols that it sends."""

    symbols: tuple[str, ...] = ()


@dataclass(slots=True)
class FleetMembers:
    """Everyone; stores and feeds by the name of their actor, symbols by their own."""

    portfolio: Member
    stores: dict[str, Member]
    feeds: dict[str, FeedMember] = field(default_factory=dict)
    symbols: dict[str, Member] = field(default_factory=dict)

    async def join_symbol(self, member: Member) -> None:
        """Have a symbol's actor tell this board and its store."""
        store = self.stores[member.store].life
        await in_time(member.handle.start.remote(self.portfolio.life, store))

    async def join_feed(self, member: FeedMember) -> dict[str, Any]:
        """Have a feed send to the symbols' actors of now; returns where it was told to send."""
        routes = {symbol: self.symbols[symbol].life for symbol in member.symbols}
        member.life = await in_time(
            member.handle.start.remote(self.portfolio.life, routes, self.stores[member.store].life),
            FEED_START_TIMEOUT_S,
        )
        return routes


async def in_time(awaitable: Any, timeout_s: float = ASK_TIMEOUT_S) -> Any:
    """Await an actor's answer; raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        return await awaitable
