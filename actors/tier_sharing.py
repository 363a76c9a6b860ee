"""Leverage tiers from a feed to everyone who reckons with them: the portfolio and each symbol.

A plain class of the supervisor. It asks at the start, when symbols were added, and at a pace;
whoever is started again gets the last tiers again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ray.exceptions import RayActorError, RayTaskError

from alphaplus.errors import MissingTier
from alphaplus.leverage.tiers import TierBook

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
ASK_TIMEOUT_S: Final = 300.0
HAND_TIMEOUT_S: Final = 10.0
RETRY_S: Final = 60.0

Ask = Callable[[list[str]], Awaitable[TierBook]]


class TierSharing:
    """Keeps the tiers of one exchange and who has them."""

    def __init__(self, exchange: str, poll_s: float, clock: Callable[[], float] = time.monotonic):
        self._exchange = exchange
        self._poll_s = poll_s
        self._clock = clock
        self._due = self._retry = 0.0
        self._asked: set[str] = set()
        self._book: TierBook | None = None
        self._has: dict[str, Any] = {}  # name: the life that was told

    async def run(self, ask: Ask, portfolio: Any, symbols: Mapping[str, Any]) -> None:
        """Share until cancelled; members have a `handle` and a `life`."""
        while True:
            try:
                if self._clock() >= self._due or (
                    symbols.keys() - self._asked and self._clock() >= self._retry
                ):
                    await self.ask(ask, symbols)
                await self.share(portfolio, symbols)
            except (RayActorError, TimeoutError) as error:
                log.warning("tiers: an actor is not back yet: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def ask(self, ask: Ask, symbols: Mapping[str, Any]) -> None:
        """Ask for the tiers of all symbols; without an answer they stay as they are."""
        wanted = list(symbols)
        self._due = self._retry = self._clock() + RETRY_S
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                book = await ask(wanted)
        except RayTaskError as error:
            log.error("no leverage tiers: %s", getattr(error, "cause", error))
            return
        self._due = self._clock() + self._poll_s
        self._retry = self._clock()
        self._asked = set(wanted)
        if self._book is None or book.hash != self._book.hash:
            self._book, self._has = book, {}
            log.info("leverage tiers of %d symbols", len(book))

    async def share(self, portfolio: Any, symbols: Mapping[str, Any]) -> None:
        """Hand the tiers to every life that does not have them."""
        if self._book is None:
            return
        if self._has.get("") != portfolio.life:
            async with asyncio.timeout(HAND_TIMEOUT_S):
                await portfolio.handle.set_tiers.remote(self._exchange, self._book)
            self._has[""] = portfolio.life
        for symbol, member in list(symbols.items()):  # they come and go meanwhile
            if symbol not in self._asked:
                continue
            life = member.life  # there may be a new one when this has its answer
            if self._has.get(symbol) == life:
                continue
            try:
                table = self._book.table(symbol)
                async with asyncio.timeout(HAND_TIMEOUT_S):
                    await member.handle.set_tiers.remote(self._exchange, table)
            except (MissingTier, RayTaskError) as error:  # refused: it says so where it is asked
                log.warning("tiers of %s: %s", symbol, getattr(error, "cause", error))
            self._has[symbol] = life
