"""Creates the actors of a fleet, each with its name, its demand and what it needs of the settings.

Calls are not retried, as batches are not idempotent. A name is free again once the actor that
has it is dead: it was dismissed, or the supervisor, which owns all of them, is gone.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import names
from actors.feed import FeedActor
from actors.feed_options import FeedOptions
from actors.hosts import Hosts, places_on
from actors.members import FeedMember, Member
from actors.node import is_here_only, is_one_machine, stay_here
from actors.portfolio import PortfolioRiskActor
from actors.room import Demand
from actors.store import StoreActor
from actors.stream_plan import StreamPlan
from actors.symbol import SymbolOptions
from actors.symbol_host import SymbolActor
from actors.template.command import template_options
from alphaplus.analysis.registry import MeasureParameters
from alphaplus.config import Settings
from alphaplus.instruments import Instrument
from alphaplus.leverage.dynamic_leverage import LeverageParameters
from alphaplus.portfolio.advice import AdviceSettings
from alphaplus.portfolio.desk_settings import DeskSettings
from alphaplus.processors import processors
from alphaplus.storage.spool_folders import SPOOL, spools_left

NODE_LABEL: Final = "ray.io/node-id"
SYMBOL_CALLS: Final = 4
"""So many calls at once to an actor, and one more for each further symbol: those that all wait for
their rows to be written hold up neither each other nor a question."""
PORTFOLIO_CALLS: Final = 4
"""Questions to the portfolio at once, so that a model that is being built holds up no other."""


class Recruiter:
    """Knows the settings; every method creates actors and returns at once."""

    def __init__(
        self, settings: Settings, dsn: str, venue_url: str | None, run_directory: Path
    ) -> None:
        """`run_directory` is a private folder for sockets; its maker removes it."""
        self._settings = settings
        self._dsn = dsn
        self._venue_url = venue_url
        self._transport = StreamPlan.from_settings(settings, run_directory)

    def feed(self, shard: int, *, avoid: Collection[str] = ()) -> FeedMember:
        """Create one shard of the venue's connections, on none of the nodes of `avoid`."""
        settings, fleet = self._settings, self._settings.fleet
        demand = Demand(cpus=fleet.feed_cpus, memory_mb=fleet.feed_memory_mb)
        options = _options(names.feed_name(settings.feeds.exchange, shard), demand)
        if is_here_only(self._venue_url):
            options = stay_here(options)
        elif avoid:
            options["label_selector"] = _none_of(avoid)
        handle = FeedActor.options(**options).remote(
            shard,
            FeedOptions.from_settings(settings, self._venue_url),
            self._transport.keys,
        )
        return FeedMember(handle, store=self._store_for(shard))

    def portfolio(self, instruments: Sequence[Instrument]) -> Member:
        """Create the board and the desk of these instruments."""
        settings, fleet = self._settings, self._settings.fleet
        demand = Demand(cpus=fleet.portfolio_cpus, memory_mb=fleet.portfolio_memory_mb)
        options = _options(names.PORTFOLIO, demand)
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

    def stores(self) -> dict[str, Member]:
        """Create the writers, and one for every spool that an earlier fleet of more has left."""
        storage = self._settings.storage
        shards = {*range(storage.writers), *spools_left(storage.data_dir / SPOOL)}
        return {names.store_name(shard): self._store(shard) for shard in sorted(shards)}

    def hosts(self, wanted: Callable[[], int]) -> Hosts:
        """Return the places of symbols; `wanted` says how many symbols there are to be."""
        fleet = self._settings.fleet
        setting, is_shared = fleet.symbols_per_actor, is_one_machine()

        def places() -> int:
            if setting != "auto":
                return setting
            return places_on(wanted(), processors()) if is_shared else 1

        return Hosts(
            self._host,
            places=places,
            first=Demand(cpus=fleet.symbol_cpus, memory_mb=fleet.symbol_memory_mb),
            more=Demand(cpus=fleet.symbol_cpus, memory_mb=fleet.next_symbol_memory_mb),
            stores=self._store_for,
        )

    def _host(
        self, name: str, demand: Demand, *, places: int, node: str | None, avoid: Collection[str]
    ) -> Any:
        options = _options(name, demand)
        options["max_concurrency"] = SYMBOL_CALLS + places - 1
        if self._settings.fleet.template:
            options |= template_options()
        if node is not None:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=True)
        elif avoid:
            options["label_selector"] = _none_of(avoid)
        return SymbolActor.options(**options).remote(
            name,
            _symbol_options(self._settings),
            self._transport,
            asked_bytes=options["memory"],
        )

    def _store(self, shard: int) -> Member:
        storage, fleet = self._settings.storage, self._settings.fleet
        demand = Demand(cpus=fleet.store_cpus, memory_mb=fleet.store_memory_mb)
        options = _options(names.store_name(shard), demand)
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


def _none_of(nodes: Collection[str]) -> dict[str, str]:
    return {NODE_LABEL: f"!in({','.join(sorted(nodes))})"}


def _options(name: str, demand: Demand) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": names.NAMESPACE,
        "num_cpus": demand.cpus,
        "memory": int(demand.memory_mb * 1e6),
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
        max_unacked_mb=settings.streams.max_unacked_mb,
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
