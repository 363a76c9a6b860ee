"""Moves symbols between nodes as these come and go, a few at a time and only while all is well."""

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from actors.balance import Move, pack, spread
from actors.plan import Phase

log = logging.getLogger(__name__)

AT_ONCE: Final = 2
REST_S: Final = 15.0
"""So long nothing is moved after a move, or after anybody was not well."""


class Rebalancer:
    """Follows `fleet.rebalance`; a plain class but for what it asks."""

    def __init__(
        self,
        policy: str,
        *,
        room: Callable[[], Awaitable[Mapping[str, int]]],
        is_calm: Callable[[], Awaitable[bool]],
        keep: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`room` says how many symbols each node can take, `is_calm` whether all books are fresh;
        `keep` is a node that is never emptied."""
        self.moves = 0
        self._policy = policy
        self._room = room
        self._is_calm = is_calm
        self._keep = keep
        self._clock = clock
        self._rest_until = clock() + REST_S

    async def look(self, phases: Collection[Phase], places: Mapping[str, str]) -> tuple[Move, ...]:
        """Return the moves to make now; `places` is the node of each symbol."""
        if self._policy == "off":
            return ()
        if any(phase is not Phase.RUNNING for phase in phases):
            self._rest_until = self._clock() + REST_S
            return ()
        if self._clock() < self._rest_until:
            return ()
        self._rest_until = self._clock() + REST_S
        if not await self._is_calm():
            return ()
        room = await self._room()
        if self._policy == "pack":
            found = pack(places, room, at_once=AT_ONCE, keep=self._keep)
        else:
            found = spread(places, room, at_once=AT_ONCE)
        self.moves += len(found)
        for move in found:
            log.info("%s moves from node %s to %s", move.symbol, places[move.symbol], move.node)
        return found
