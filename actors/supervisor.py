"""The supervisor: creates the fleet, joins its streams, repairs it, and drains it.

    feed --events--> symbol --states--> portfolio
                     symbol --rows----> store
    feed --history rows---------------> store

An actor that died is started again by Ray, empty and with new endpoints. Its silence on the
board is noticed, and it is joined again (`actors/repair.py`); its feed then sends a snapshot.
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
from actors.environment import set_up_actor_logging
from actors.feed import FeedActor, FeedOptions
from actors.members import FeedMember, FleetMembers, Member, in_time
from actors.node import is_here_only, stay_here
from actors.portfolio import PortfolioRiskActor
from actors.refill import Refill
from actors.repair import SILENT_AFTER_S, Repairs
from actors.store import StoreActor
from actors.stream_plan import StreamPlan
from actors.symbol import SymbolActor, SymbolOptions
from actors.tier_sharing import TierSharing
from alphaplus.analysis.registry import MeasureParameters
from alphaplus.config import Settings
from alphaplus.instruments import Instrument
from alphaplus.leverage.dynamic_leverage import LeverageParameters
from alphaplus.portfolio.advice import AdviceSettings
from alphaplus.portfolio.desk_settings import DeskSettings
from alphaplus.storage.spool_folders import SPOOL, spools_left

log = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 1.0
PORTFOLIO_CALLS: Final = 4
"""Questions to the portfolio at once, so that a model that is being built holds up no other."""


class Supervisor:
    """Owns the fleet; `SupervisorActor` is the same as a Ray actor."""

    def __init__(
        self, settings: Settings, dsn: str, venue_url: str | None, run_directory: Path
    ) -> None:
        """`run_directory` is a private folder for sockets; its maker removes it."""
        set_up_actor_logging(settings.log.level, actor=names.SUPERVISOR)
        self._settings = settings
        self._dsn = dsn
        self._venue_url = venue_url
        self._transport = StreamPlan.from_settings(settings, run_directory)
        self._fleet: FleetMembers | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._sharer: asyncio.Task[None] | None = None
        self._refill: Refill | None = None
        self._progress = "created"
        self._repairs: Repairs | None = None
        self._is_measuring = False

    async def start(self) -> dict[str, Any]:
        """Create everyone and join their streams; returns the symbols when data flows.

        Raises ConfigError or UnknownSymbol for what the user has to change.
        """
        feeds = self._settings.feeds
        self._progress = "loading markets"
        first = self._create_feed(0)
        instruments: list[Instrument] = await first.handle.instruments.remote()
        self._progress = "starting portfolio and store"
        fleet = self._fleet = FleetMembers(
            portfolio=self._create_portfolio(instruments), stores=self._create_stores()
        )
        fleet.portfolio.life = await fleet.portfolio.handle.ready.remote()
        stores = fleet.stores.values()
        lives = await _all(store.handle.start.remote(fleet.portfolio.life) for store in stores)
        for store, life in zip(stores, lives, strict=True):
            store.life = life
        await self._create_symbols(fleet, instruments)
        wanted = [item.symbol for item in instruments]
        for shard, start in enumerate(range(0, len(wanted), feeds.symbols_per_feed)):
            member = first if shard == 0 else self._create_feed(shard)
            member.symbols = tuple(wanted[start : start + feeds.symbols_per_feed])
            fleet.feeds[names.feed_name(feeds.exchange, shard)] = member
            await fleet.join_feed(member)
        self._progress = "running"
        state_s = self._settings.fleet.state_interval_ms / 1000
        refill = self._refill = Refill(instruments, fleet, self._settings.storage.latest_rows)
        self._repairs = Repairs(
            fleet,
            on_new_symbol=refill.begin,
            silent_after_s=max(SILENT_AFTER_S, SILENT_AFTER_S * state_s),
        )
        self._watcher = asyncio.create_task(self._watch(fleet, self._repairs), name="watch")
        tiers = TierSharing(feeds.exchange, self._settings.risk.tiers_poll_s)
        self._sharer = asyncio.create_task(
            tiers.run(first.handle.tiers.remote, fleet.portfolio, fleet.symbols), name="tiers"
        )
        for symbol in fleet.symbols:
            refill.begin(symbol)
        return {"symbols": wanted}

    async def progress(self) -> str:
        """Say how far the start has come."""
        return self._progress

    async def database(self) -> str:
        """Return the DSN of the database that the fleet writes to."""
        return self._dsn

    async def resync(self, exchange: str, symbol: str) -> None:
        """Have a symbol's feed send a new snapshot."""
        for member in self._feeds():
            if symbol in member.symbols:
                await member.handle.resync.remote(exchange, symbol)

    async def stats(self) -> dict[str, Any]:
        """Return the counters of the whole fleet."""
        assert self._fleet is not None
        stats: dict[str, Any] = await self._fleet.portfolio.handle.stats.remote()
        return {**stats, "repairs": self._repaired()}

    async def drain(self) -> dict[str, Any]:
        """Stop the feeds, let queues empty, write every row; return everyone's report."""
        if self._fleet is None:
            return {"symbols": [], "feeds": [], "stores": [], "portfolio": {}}
        fleet, self._fleet = self._fleet, None
        for task in (self._watcher, self._sharer):
            if task is not None:
                task.cancel()
        if self._repairs is not None:
            await self._repairs.stop()
        if self._refill is not None:
            self._refill.cancel()
        timeout_s = self._settings.fleet.drain_timeout_s
        self._progress = "stopping feeds"
        feeds = await _survivors(
            "feed", (f.handle.stop.remote(timeout_s / 4) for f in fleet.feeds.values())
        )
        self._progress = "emptying queues"
        symbols = await _survivors(
            "symbol", (s.handle.drain.remote(timeout_s / 2) for s in fleet.symbols.values())
        )
        self._progress = "writing rows"
        stores = await _survivors(
            "store", (s.handle.drain.remote(timeout_s) for s in fleet.stores.values())
        )
        portfolios = await _survivors("portfolio", [fleet.portfolio.handle.report.remote()])
        await _survivors("store", (s.handle.close.remote() for s in fleet.stores.values()))
        self._progress = "drained"
        times = os.times()
        return {
            "feeds": feeds,
            "symbols": symbols,
            "stores": stores,
            "portfolio": portfolios[0] if portfolios else {},
            "supervisor": {"pid": os.getpid(), "cpu_s": times.user + times.system},
            "repairs": self._repaired(),
        }

    def _repaired(self) -> int:
        return 0 if self._repairs is None else self._repairs.count

    def _feeds(self) -> list[FeedMember]:
        return [] if self._fleet is None else list(self._fleet.feeds.values())

    def _create_feed(self, shard: int) -> FeedMember:
        settings, fleet = self._settings, self._settings.fleet
        name = names.feed_name(settings.feeds.exchange, shard)
        options = _options(name, fleet.feed_cpus, fleet.feed_memory_mb)
        if is_here_only(self._venue_url):
            options = stay_here(options)
        handle = FeedActor.options(**options).remote(
            shard,
            FeedOptions.from_settings(settings, self._venue_url),
            self._transport.keys,
        )
        return FeedMember(handle, store=self._store_for(shard))

    def _create_portfolio(self, instruments: Sequence[Instrument]) -> Member:
        settings, fleet = self._settings, self._settings.fleet
        options = _options(names.PORTFOLIO, fleet.portfolio_cpus, fleet.portfolio_memory_mb)
        options["max_concurrency"] = PORTFOLIO_CALLS
        return Member(
            PortfolioRiskActor.options(**stay_here(options)).remote(
                instruments,
                self._transport,
                settings=_desk_settings(settings),
                stale_after_ms=fleet.stale_after_ms,
                dsn=self._dsn,
                history_reload_s=settings.risk.history_reload_s,
                log_level=settings.log.level,
            )
        )

    def _create_stores(self) -> dict[str, Member]:
        """Create the writers, and one for every spool that an earlier fleet of more has left."""
        storage = self._settings.storage
        shards = {*range(storage.writers), *spools_left(storage.data_dir / SPOOL)}
        return {names.store_name(shard): self._create_store(shard) for shard in sorted(shards)}

    def _create_store(self, shard: int) -> Member:
        storage, fleet = self._settings.storage, self._settings.fleet
        options = _options(names.store_name(shard), fleet.store_cpus, fleet.store_memory_mb)
        return Member(
            StoreActor.options(**stay_here(options)).remote(
                shard,
                self._dsn,
                storage.data_dir / SPOOL / str(shard),
                self._transport,
                flush_rows=storage.flush_rows,
                flush_ms=storage.flush_ms,
                max_spool_mb=storage.max_spool_mb,
                accepted_log=storage.accepted_log,
                log_level=self._settings.log.level,
            )
        )

    def _store_for(self, place: int) -> str:
        """Return the name of the store for the rows of the actor at a place in the order."""
        return names.store_name(place % self._settings.storage.writers)

    async def _create_symbols(self, fleet: FleetMembers, instruments: Sequence[Instrument]) -> None:
        """Start the symbols' actors in waves: the first alone, as it compiles what the others
        then find in the cache."""
        by_symbol: dict[str, list[Instrument]] = {}
        for item in instruments:
            by_symbol.setdefault(item.symbol, []).append(item)
        wanted, wave = list(by_symbol), 1
        while wanted:
            now, wanted = wanted[:wave], wanted[wave:]
            wave = self._settings.fleet.start_wave
            first = len(fleet.symbols)
            members = {
                symbol: self._create_symbol(symbol, by_symbol[symbol], first + place)
                for place, symbol in enumerate(now)
            }
            lives = await _all(member.handle.ready.remote() for member in members.values())
            for (symbol, member), life in zip(members.items(), lives, strict=True):
                member.life = life
                fleet.symbols[symbol] = member
            await _all(fleet.join_symbol(member) for member in members.values())
            self._progress = f"{len(fleet.symbols)} of {len(by_symbol)} symbols"

    def _create_symbol(self, symbol: str, instruments: list[Instrument], place: int) -> Member:
        fleet = self._settings.fleet
        options = _options(names.symbol_name(symbol), fleet.symbol_cpus, fleet.symbol_memory_mb)
        return Member(
            SymbolActor.options(**options).remote(
                symbol, instruments, _symbol_options(self._settings), self._transport
            ),
            store=self._store_for(place),
        )

    async def _watch(self, fleet: FleetMembers, repairs: Repairs) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            await repairs.round()
            try:
                await self._begin_measuring(fleet)
            except (RayError, TimeoutError) as error:
                log.warning("the fleet cannot be measured yet: %s", error)

    async def _begin_measuring(self, fleet: FleetMembers) -> None:
        """Once all books are fresh for the first time, have latencies counted anew."""
        if self._is_measuring:
            return
        stats = await in_time(fleet.portfolio.handle.stats.remote())
        if stats["stale_symbols"] == 0:
            self._is_measuring = True
            await _all(item.handle.begin_measuring.remote() for item in fleet.symbols.values())


def _options(name: str, cpus: float, memory_mb: float) -> dict[str, Any]:
    """Return Ray's options of a fleet actor.

    Calls are not retried, as batches are not idempotent; the name is free again once the
    supervisor, which owns the actor, is gone.
    """
    return {
        "name": name,
        "namespace": names.NAMESPACE,
        "num_cpus": cpus,
        "memory": int(memory_mb * 1e6),
        "max_restarts": -1,
        "max_task_retries": 0,
        "scheduling_strategy": "SPREAD",
    }


def _symbol_options(settings: Settings) -> SymbolOptions:
    storage = settings.storage
    return SymbolOptions(
        stale_after_ms=settings.fleet.stale_after_ms,
        state_interval_ms=settings.fleet.state_interval_ms,
        liquidation_bar_s=settings.fleet.liquidation_bar_s,
        parameters=MeasureParameters(**settings.analysis.model_dump()),
        deltas=storage.deltas,
        snapshot_depth=storage.snapshot_depth,
        snapshot_interval_ms=storage.snapshot_interval_ms,
        analysis_interval_ms=storage.analysis_interval_ms,
        flush_ms=storage.flush_ms,
        latest_rows=storage.latest_rows,
        max_unacked_rows=settings.streams.max_unacked_rows,
        log_level=settings.log.level,
    )


def _desk_settings(settings: Settings) -> DeskSettings:
    risk = settings.risk
    return DeskSettings(
        default_leverage=settings.portfolio.default_leverage,
        default_model=risk.model,
        at_par=risk.at_par,
        reference_equity=risk.reference_equity,
        level_band=risk.level_band,
        advice=AdviceSettings(
            volatility_target=risk.volatility_target,
            shortfall_budget=risk.shortfall_budget,
            parameters=LeverageParameters(user_maximum=risk.maximum_leverage),
        ),
    )


async def _all(awaitables: Any) -> list[Any]:
    return list(await asyncio.gather(*awaitables))


async def _survivors(what: str, awaitables: Any) -> list[Any]:
    """Return the answers of those that live; who died takes its report along."""
    found = await asyncio.gather(*awaitables, return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            if not isinstance(error, RayError):
                raise error
            log.error("no report of a %s: %s", what, error)
    return [item for item in found if not isinstance(item, BaseException)]


SupervisorActor: Any = ray.remote(Supervisor)
