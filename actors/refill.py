"""Has the store fill up what symbols' actors keep of their newest rows, one after another."""

import asyncio
import logging

from ray.exceptions import RayError

from actors.members import FleetMembers

log = logging.getLogger(__name__)


class Refill:
    """Asks the store for the newest rows of each market, and hands them to its actor.

    What fails is logged and left: the actor then knows the rows since its start, and older ones
    are read from the database.
    """

    def __init__(self, fleet: FleetMembers, count: int) -> None:
        """`count` is how many rows of a table an actor keeps."""
        self._fleet = fleet
        self._count = count
        self._one_by_one = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, symbol: str) -> None:
        """Start to fill up the actor of a symbol; those that were asked for before come first."""
        if self._count:
            task = asyncio.create_task(self._run(symbol), name=f"refill {symbol}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Leave what is not filled up yet."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, symbol: str) -> None:
        async with self._one_by_one:
            fleet = self._fleet
            member, instrument = fleet.symbols.get(symbol), fleet.instruments.get(symbol)
            if member is None or instrument is None:  # it has left meanwhile
                return
            exchange = instrument.exchange
            try:
                stored = fleet.stores[member.store].handle.newest.remote(
                    exchange, symbol, self._count
                )
                await member.handle.refill.remote(stored)
            except RayError as error:
                cause = getattr(error, "cause", None) or error
                log.warning("%s:%s begins without its newest rows: %s", exchange, symbol, cause)
