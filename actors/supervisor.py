"""The supervisor: creates the fleet, joins its streams, repairs it, and drains it.

    feed --events--> symbol --states--> portfolio
                     symbol --rows----> store
    feed --history rows---------------> store

An actor that died is started again by Ray, empty and with new endpoints. Its silence on the
board is noticed, and it is joined again (`actors/repair.py`); its feed then sends a snapshot.
Symbols come and go by command: `actors/watchlist.py` knows which are wanted, `actors/reconcile.py`
makes it so.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors import names
from actors.drain import drain
from actors.ending import predecessors_ended
from actors.environment import set_up_actor_logging
from actors.members import FleetMembers, in_time
from actors.reconcile import Reconciler
from actors.recruit import Recruiter
from actors.refill import Refill
from actors.repair import SILENT_AFTER_S, Repairs
from actors.tier_sharing import TierSharing
from actors.watchlist import Watchlist
from alphaplus.config import Settings
from alphaplus.errors import AlphaPlusError, FleetConflict, StorageError, SymbolNotKept
from alphaplus.instruments import Instrument

log = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 1.0
COMMAND_TIMEOUT_S: Final = 20.0
DATABASE_ATTEMPTS: Final = 60
"""A second apart; a database that dies with a supervisor is back by then."""


class Supervisor:
    """Owns the fleet; `SupervisorActor` is the same as a Ray actor."""

    def __init__(
        self, settings: Settings, dsn: str, venue_url: str | None, run_directory: Path
    ) -> None:
        """`run_directory` is a private folder for sockets; its maker removes it."""
        set_up_actor_logging(settings.log.level, actor=names.SUPERVISOR)
        self._settings = settings
        self._dsn = dsn
        self._recruiter = Recruiter(settings, dsn, venue_url, run_directory)
        feeds = settings.feeds
        self._watchlist = Watchlist(
            feeds.exchange, feeds.symbols, max_symbols=settings.fleet.max_symbols, dsn=dsn
        )
        self._fleet: FleetMembers | None = None
        self._reconciler: Reconciler | None = None
        self._repairs: Repairs | None = None
        self._refill: Refill | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._commanding = asyncio.Lock()
        self._progress = "created"
        self._is_running = False

    async def start(self) -> dict[str, Any]:
        """Create everyone and join their streams; returns `symbols`, and those that wait for a
        node in `pending`, when data flows.

        Raises ConfigError or UnknownSymbol for what the user has to change.
        """
        settings = self._settings
        self._progress = "waiting for the end of an earlier fleet"
        await predecessors_ended()
        self._progress = "loading markets"
        first = self._recruiter.feed(0)
        await self._load_watchlist(await first.handle.listed.remote())
        wanted = self._watchlist.instruments
        self._progress = "starting portfolio and store"
        fleet = self._fleet = FleetMembers(
            portfolio=self._recruiter.portfolio(list(wanted.values())),
            stores=self._recruiter.stores(),
            feeds={names.feed_name(settings.feeds.exchange, 0): first},
            instruments=dict(wanted),
        )
        fleet.portfolio.life = await fleet.portfolio.handle.ready.remote()
        for store in fleet.stores.values():
            store.life = await store.handle.start.remote(fleet.portfolio.life)
        state_s = settings.fleet.state_interval_ms / 1000
        refill = self._refill = Refill(fleet, settings.storage.latest_rows)
        repairs = self._repairs = Repairs(
            fleet,
            on_new_symbol=self._lives_anew,
            silent_after_s=max(SILENT_AFTER_S, SILENT_AFTER_S * state_s),
        )
        reconciler = self._reconciler = Reconciler(
            settings,
            fleet,
            self._recruiter,
            repairs,
            lambda: self._watchlist.instruments,
            on_running=refill.begin,
        )
        await reconciler.settle(self._say)
        self._progress = "running"
        tiers = TierSharing(settings.feeds.exchange, settings.risk.tiers_poll_s)
        self._tasks = [
            asyncio.create_task(self._watch(fleet, repairs), name="watch"),
            asyncio.create_task(reconciler.run(), name="reconcile"),
            asyncio.create_task(
                tiers.run(first.handle.tiers.remote, fleet.portfolio, fleet.symbols), name="tiers"
            ),
        ]
        for task in self._tasks[:2]:
            task.add_done_callback(_end_with_task)
        self._is_running = True
        states = reconciler.states()
        pending = {item["symbol"]: item["detail"] for item in states if item["state"] == "pending"}
        return {"symbols": list(wanted), "pending": pending}

    async def progress(self) -> str:
        """Say how far the start has come."""
        return self._progress

    async def actor_of(self, symbol: str) -> str:
        """Return the name of the actor that keeps a symbol.

        Raises UnknownSymbol if none is to, SymbolNotKept while none does.
        """
        if self._reconciler is None:
            raise SymbolNotKept(f"The fleet, which may keep {symbol}, is {self._progress}.")
        return self._reconciler.actor_of(symbol)

    async def database(self) -> str:
        """Return the DSN of the database that the fleet writes to."""
        return self._dsn

    async def resync(self, exchange: str, symbol: str) -> None:
        """Have a symbol's feed send a new snapshot."""
        fleet = self._fleet
        name = None if fleet is None else fleet.feed_of(symbol)
        if fleet is not None and name is not None:
            await fleet.feeds[name].handle.resync.remote(exchange, symbol)

    async def stats(self) -> dict[str, Any]:
        """Return the counters of the whole fleet."""
        assert self._fleet is not None
        stats: dict[str, Any] = await self._fleet.portfolio.handle.stats.remote()
        moves = 0 if self._reconciler is None else self._reconciler.rebalancer.moves
        return {**stats, "repairs": self._repaired(), "moves": moves}

    async def symbols(self) -> list[dict[str, Any]]:
        """Say of each symbol where it stands, see `Reconciler.state`; raises FleetConflict."""
        return self._running()[1].states()

    async def add_symbols(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Watch more symbols; returns where each stands once that is certain to happen.

        Those that are watched already stay as they are. Raises as `Watchlist.add`, and
        FleetConflict while the fleet starts or drains.
        """
        async with self._commanding:
            fleet, reconciler = self._running()
            feed = next(iter(fleet.feeds.values()))
            new = await self._watchlist.add(
                symbols, lambda wanted: _asked(feed.handle.listed.remote(wanted), "a feed")
            )
            if new:
                log.info("to be watched: %s", ", ".join(new))
                reconciler.look_again()
            return [reconciler.state(symbol) for symbol in dict.fromkeys(symbols)]

    async def remove_symbols(self, symbols: Sequence[str]) -> list[dict[str, Any]]:
        """Watch symbols no longer; returns where each stands once that is certain to happen.

        Raises as `Watchlist.check_removable`, and FleetConflict for one that a portfolio holds
        and while the fleet starts or drains.
        """
        async with self._commanding:
            fleet, reconciler = self._running()
            gone = self._watchlist.check_removable(symbols)
            holders = await _asked(fleet.portfolio.handle.release.remote(gone), names.PORTFOLIO)
            for symbol, portfolios in holders.items():
                raise FleetConflict(
                    f"Expected no position or collateral in {symbol}, "
                    f"was one of portfolio {portfolios[0]}; close it first."
                )
            try:
                await self._watchlist.remove(gone)
            except StorageError:
                await _asked(fleet.join_board(), names.PORTFOLIO)
                raise
            for symbol in gone:
                fleet.instruments.pop(symbol, None)
            log.info("no longer to be watched: %s", ", ".join(gone))
            reconciler.leave(gone)
            return [{**reconciler.state(symbol), "state": "leaving"} for symbol in gone]

    async def drain(self) -> dict[str, Any]:
        """Stop the feeds, let queues empty, write every row; return everyone's report."""
        self._is_running = False
        if self._fleet is None:
            return {"symbols": [], "left": [], "feeds": [], "stores": [], "portfolio": {}}
        fleet, self._fleet = self._fleet, None
        for task in self._tasks:
            task.cancel()
        settings = self._settings.fleet
        timeout_s = settings.drain_timeout_s
        left: list[dict[str, Any]] = []
        feeds_left: list[dict[str, Any]] = []
        if self._reconciler is not None:
            await self._reconciler.stop(timeout_s / 2)
            left, feeds_left = self._reconciler.left, self._reconciler.feeds_left
        if self._repairs is not None:
            await self._repairs.stop()
        if self._refill is not None:
            self._refill.cancel()
        report = await drain(fleet, timeout_s, settings.drain_limit_s, self._say)
        report["feeds"] += feeds_left
        return {**report, "left": left, "repairs": self._repaired()}

    def _running(self) -> tuple[FleetMembers, Reconciler]:
        if self._fleet is not None and self._reconciler is not None and self._is_running:
            return self._fleet, self._reconciler
        raise FleetConflict(
            f"Expected a fleet that runs, was one that is not there yet or no more "
            f"({self._progress}); try again when it runs."
        )

    def _lives_anew(self, symbol: str) -> None:
        """Fill up an actor that Ray has started again, and see where."""
        if self._refill is not None:
            self._refill.begin(symbol)
        if self._reconciler is not None:
            self._reconciler.check_again(symbol)

    def _say(self, progress: str) -> None:
        self._progress = progress

    def _repaired(self) -> int:
        return 0 if self._repairs is None else self._repairs.count

    async def _load_watchlist(self, listed: Sequence[Instrument]) -> None:
        for attempt in range(1, DATABASE_ATTEMPTS + 1):
            try:
                await self._watchlist.load(listed)
                return
            except StorageError as error:
                if attempt == DATABASE_ATTEMPTS:
                    raise
                self._progress = "waiting for the database"
                log.warning("the wanted symbols are not known yet: %s", error)
                await asyncio.sleep(1.0)

    async def _watch(self, fleet: FleetMembers, repairs: Repairs) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            await repairs.round()
            try:
                await self._begin_measuring(fleet)
            except (RayError, TimeoutError) as error:
                log.warning("the fleet cannot be measured yet: %s", error)

    async def _begin_measuring(self, fleet: FleetMembers) -> None:
        """Once all books are fresh, have latencies of those that were not so far counted anew."""
        waiting = [member for member in fleet.symbols.values() if not member.is_measured]
        if not waiting:
            return
        stats = await in_time(fleet.portfolio.handle.stats.remote())
        if stats["stale_symbols"] == 0:
            for member in waiting:
                member.is_measured = True
            await asyncio.gather(*(member.handle.begin_measuring.remote() for member in waiting))


async def _asked(answer: Any, who: str) -> Any:
    """Await what a command needs; raises what was said on purpose, or FleetConflict."""
    try:
        return await in_time(answer, COMMAND_TIMEOUT_S)
    except (RayError, TimeoutError) as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, AlphaPlusError):
            raise cause from error
        raise FleetConflict(
            f"Expected an answer of {who}, was {type(error).__name__}; try again in a moment."
        ) from error


def _end_with_task(task: asyncio.Task[None]) -> None:
    """A task that failed takes the supervisor along: the job starts another, and its fleet."""
    if task.cancelled() or task.exception() is None:
        return
    log.error("%s failed", task.get_name(), exc_info=task.exception())
    os._exit(1)


SupervisorActor: Any = ray.remote(Supervisor)
