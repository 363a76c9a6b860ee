"""Repair of a fleet: who has not been heard of is asked, and joined again if it lives anew.

An actor that died is started again by Ray, empty and with new endpoints; asked before it is
back it does not answer, and is asked again in the next round. Every member is repaired in a
task of its own, so that one that is slow to come back holds up no other. While the board
itself is away everybody is asked, since nobody knows who is silent.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ray.exceptions import RayError

from actors import names
from actors.members import FeedMember, FleetMembers, Member, in_time

log = logging.getLogger(__name__)

SILENT_AFTER_S: Final = 2.5
"""An actor not heard of for so long is asked whether it is still the one we know."""


class Repairs:
    """Keeps the members of a fleet joined; call `round` about once a second."""

    def __init__(
        self,
        fleet: FleetMembers,
        *,
        on_new_symbol: Callable[[str], None] | None = None,
        silent_after_s: float = SILENT_AFTER_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`on_new_symbol` hears of each symbol whose actor lives anew."""
        self.count = 0
        """Members that were found to live anew."""
        self._fleet = fleet
        self._on_new_symbol = on_new_symbol
        self._silent_after_ns = int(silent_after_s * 1e9)
        self._clock = clock
        self._began = clock()
        self._unjoined: set[str] = set()  # names of members that do not know the others of now
        self._unrouted: set[str] = set()  # symbols whose feed does not know their new life
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def round(self) -> None:
        """Begin to repair whoever needs it; raises nothing that a later round may mend."""
        for name in await self._suspects() | self._unjoined:
            if name not in self._tasks and self._is_member(name):
                task = asyncio.create_task(self._repaired(name), name=f"repair {name}")
                self._tasks[name] = task
                task.add_done_callback(self._forget)

    async def leave(self, name: str) -> None:
        """Repair a member no longer, as it is to end; what is under way is given up."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._unjoined.discard(name)
        self._unrouted.discard(name.removeprefix(names.symbol_name("")))

    def suspect(self, name: str) -> None:
        """Have a member joined again in the next round, as it may have missed something."""
        self._unjoined.add(name)

    def is_away(self, name: str) -> bool:
        """Say whether a member did not answer, or has not been joined, when it was last asked."""
        return name in self._unjoined

    async def settle(self) -> None:
        """Wait for the repairs under way."""
        await asyncio.gather(*self._tasks.values())

    async def stop(self) -> None:
        """End all repairs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _suspects(self) -> set[str]:
        """Return the names of members that may be new lives."""
        fleet = self._fleet
        everyone = {
            *fleet.stores,
            *fleet.feeds,
            *(names.symbol_name(symbol) for symbol in fleet.symbols),
        }
        try:
            board = await in_time(fleet.portfolio.handle.ready.remote())
            if board != fleet.portfolio.life or names.PORTFOLIO in self._unjoined:
                await fleet.join_board()  # a new life begins with the symbols of the start
                self._unjoined.discard(names.PORTFOLIO)
            heard: dict[str, int] = await in_time(fleet.portfolio.handle.heard.remote())
        except (RayError, TimeoutError) as error:
            log.warning("%s does not answer: %s", names.PORTFOLIO, _first_line(error))
            return everyone
        if board != fleet.portfolio.life:
            self._say(names.PORTFOLIO)
            fleet.portfolio.life = board
            self._began = self._clock()
            self._unjoined |= everyone
            return everyone
        silent_since = self._clock() - self._silent_after_ns
        return {name for name in everyone if heard.get(name, self._began) < silent_since}

    async def _repaired(self, name: str) -> None:
        try:
            await self._repair(name)
        except (RayError, TimeoutError) as error:
            self._unjoined.add(name)
            log.warning("%s is not back yet: %s", name, _first_line(error))

    def _is_member(self, name: str) -> bool:
        """Say whether somebody has been joined, and has not left since."""
        fleet = self._fleet
        feed = fleet.feeds.get(name)
        symbol = name.removeprefix(names.symbol_name(""))
        is_joined = feed is not None and feed.life is not None
        return is_joined or name in fleet.stores or symbol in fleet.symbols

    def _repair(self, name: str) -> Coroutine[Any, Any, None]:
        fleet = self._fleet
        if name in fleet.stores:
            return self._repair_store(name, fleet.stores[name])
        if name in fleet.feeds:
            return self._repair_feed(name, fleet.feeds[name])
        symbol = name.removeprefix(names.symbol_name(""))
        return self._repair_symbol(name, symbol, fleet.symbols[symbol])

    async def _repair_store(self, name: str, store: Member) -> None:
        fleet = self._fleet
        self._unjoined.discard(name)
        life = await in_time(store.handle.start.remote(fleet.portfolio.life))
        if life != store.life:
            self._say(name)
            store.life = life
            writing = [(names.symbol_name(symbol), who) for symbol, who in fleet.symbols.items()]
            writing += fleet.feeds.items()
            self._unjoined |= {who for who, member in writing if member.store == name}

    async def _repair_symbol(self, name: str, symbol: str, member: Member) -> None:
        was_unjoined = name in self._unjoined
        self._unjoined.discard(name)  # before it is told: what changes meanwhile adds it again
        life = await in_time(member.handle.ready.remote())
        if life != member.life:
            self._say(name)
            member.life = life
            self._unrouted.add(symbol)
            was_unjoined = True
            if self._on_new_symbol is not None:
                self._on_new_symbol(symbol)
        if was_unjoined:
            await self._fleet.join_symbol(member)
        if symbol in self._unrouted and await self._fleet.route(symbol) == member.life:
            self._unrouted.discard(symbol)

    async def _repair_feed(self, name: str, feed: FeedMember) -> None:
        was_unjoined = name in self._unjoined
        self._unjoined.discard(name)
        life = await in_time(feed.handle.ready.remote())
        if life == feed.life and not was_unjoined:
            return
        is_new = life != feed.life
        routes = await self._fleet.join_feed(feed)
        if is_new:
            self._say(name)
            symbols = self._fleet.symbols
            known = {s for s, life in routes.items() if s in symbols and symbols[s].life == life}
            self._unrouted -= known

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks = {name: other for name, other in self._tasks.items() if other is not task}

    def _say(self, name: str) -> None:
        self.count += 1
        log.warning("%s lives anew; joining its streams again", name)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
