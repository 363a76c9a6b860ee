"""One run: a fleet grows over nodes, loses one, asks for too much, shrinks, and is compared."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray

from actors import names
from actors.environment import fleet_environment
from actors.node import stay_here
from actors.supervisor import SupervisorActor
from alphaplus.config import Settings, load_settings, settings_environment
from alphaplus.instruments import Instrument
from alphaplus.kernels import ensure_compiled
from benchmarks.autoscale.cluster import AutoscaledCluster
from benchmarks.autoscale.timeline import Look, Timeline
from benchmarks.chaos.books import compare_books
from benchmarks.chaos.rows import compare_rows
from benchmarks.chaos.run import listed_instruments
from benchmarks.chaos.system import ask
from jobs.services import Services
from jobs.stream import summarise

FIRST: Final = ("BTC-USDT-PERP", "ETH-USDT-PERP")
NODE_CPUS: Final = 1
NODE_MEMORY_MB: Final = 1000
SYMBOL_MEMORY_MB: Final = 120.0
IDLE_S: Final = 15.0
"""Longer than a node takes to start, so that none goes before its actors are there."""
CALM_S: Final = 3.0
PATIENCE_S: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many symbols there are at each stage; a worker has room for `per_node` of them."""

    symbols: int = 12
    per_node: int = 4
    max_workers: int = 4
    beyond: int = 2
    """Symbols asked for beyond what all workers have room for."""

    @property
    def room(self) -> int:
        """Symbols for which the largest cluster has room."""
        return self.per_node * self.max_workers


class Run:
    """One run on a cluster and services that are there."""

    def __init__(
        self, plan: Plan, cluster: AutoscaledCluster, services: Services, settings: Settings
    ) -> None:
        assert services.venue_url is not None
        self._plan = plan
        self._cluster = cluster
        self._venue_url = services.venue_url
        self._services = services
        self._settings = settings
        self._timeline = Timeline(cluster)
        self._supervisor: Any = None
        self._listed: dict[str, Instrument] = asyncio.run(listed_instruments(self._venue_url))
        self._watched: tuple[str, ...] = ()
        self.found: dict[str, Any] = {}

    def go(self) -> dict[str, Any]:
        """Go through all stages; returns what was found, and everything is down."""
        self._timeline.start()
        try:
            self._start()
            self._grow()
            self._lose_a_node()
            self._ask_for_too_much()
            self._shrink()
            self.say("draining")
            report = ray.get(self._supervisor.drain.remote(), timeout=120)
        finally:
            self._timeline.stop()
        summary = summarise(report, self._services.usage())
        return {
            **self.found,
            "workers_most": max(len(look.workers) for look in self._timeline.looks),
            "rows_accepted": summary["rows_accepted"],
            "rows_written": summary["rows_written"],
            "rows_repeated": summary["rows_duplicate"],  # leverage tiers that are those in force
            "rows_dead": summary["rows_dead"],
            "dropped": summary["dropped"],
            "repairs": summary["repairs"],
            "nodes_over_time": self._timeline.nodes_over_time(),
        }

    def _start(self) -> None:
        """Start a fleet where there is no worker yet."""
        self._watch(FIRST)
        self._supervisor = _supervisor(self._settings, self._services)
        begun_s = self._timeline.now_s
        started = ray.get(self._supervisor.start.remote(), timeout=PATIENCE_S)
        self.found["pending_at_start"] = len(started["pending"])
        self._note("seconds_to_first_fresh", self._until_fresh().at_s - begun_s)

    def _grow(self) -> None:
        """Add symbols for which more nodes are needed."""
        begun_s = self._timeline.now_s
        self._add(self._plan.symbols)
        look = self._until_fresh()
        self._note("seconds_to_place", look.at_s - begun_s)
        self._note("workers_grown", len(look.workers))
        self._note("symbols_a_node", sorted(Counter(look.places.values()).values()))
        self._compare("grown")

    def _lose_a_node(self) -> None:
        """Kill the worker with most symbols, with its actors."""
        places = self._until_fresh().places
        ((node, lost),) = Counter(places.values()).most_common(1)
        hit = frozenset(symbol for symbol, where in places.items() if where == node)
        self.say(f"killing node {node[-5:]} with {lost} symbols")
        killed_s = self._timeline.now_s
        self._cluster.kill(node)

        def is_recovered(look: Look) -> bool:
            moved = all(look.places.get(symbol, node) != node for symbol in hit)
            return moved and look.fresh == frozenset(self._watched) and node not in look.workers

        look = self._timeline.until(is_recovered, PATIENCE_S, "the symbols of the dead node")
        self._note("seconds_to_recover", look.at_s - killed_s)
        self._note("symbols_lost_with_node", lost)
        others = frozenset(self._watched) - hit
        self._note("others_stale_s", self._timeline.longest_stale_s(others, killed_s))
        self._note("workers_recovered", len(look.workers))
        self._compare("recovered")

    def _ask_for_too_much(self) -> None:
        """Add more symbols than the largest cluster has room for: the rest waits, with a reason."""
        before = self._watched
        self._add(self._plan.room + self._plan.beyond, is_watched=False)
        begun, pending = time.monotonic(), {}
        while time.monotonic() < begun + PATIENCE_S:
            states = ray.get(self._supervisor.symbols.remote(), timeout=30)
            running = [item for item in states if item["state"] == "running"]
            pending = {i["symbol"]: i["detail"] for i in states if i["state"] == "pending"}
            is_said = pending and all("no node" in reason for reason in pending.values())
            if is_said and len(running) == self._plan.room:
                break
            time.sleep(0.5)
        self._watch(tuple(item["symbol"] for item in running))
        look = self._until_fresh()
        self._note("running_at_most", len(running))
        self._note("workers_at_most", len(look.workers))
        self._note("pending_beyond", len(pending))
        self._note("pending_reasons", sorted(set(pending.values())))
        self._compare("full")
        added = [item["symbol"] for item in states if item["symbol"] not in before]
        self._remove(added)
        self._watch(before)
        self._until_fresh()

    def _shrink(self) -> None:
        """Keep the symbols of one node alone; the others' nodes have to go."""
        places = self._until_fresh().places
        ((node, _),) = Counter(places.values()).most_common(1)
        kept = tuple(symbol for symbol in self._watched if places[symbol] == node)
        begun_s = self._timeline.now_s
        self._remove([symbol for symbol in self._watched if symbol not in kept])
        self._watch(kept)
        look = self._timeline.until(
            lambda look: look.workers == {node}, PATIENCE_S, "the end of idle nodes"
        )
        self._note("seconds_to_drain", look.at_s - begun_s)
        self._note("workers_left", len(look.workers))
        self._note("symbols_left", len(kept))
        self._until_fresh()
        self._compare("shrunk")

    def _add(self, total: int, *, is_watched: bool = True) -> None:
        """Add symbols up to `total`."""
        wanted = tuple(self._listed)[:total]
        new = [symbol for symbol in wanted if symbol not in self._watched]
        self.say(f"adding {len(new)} symbols")
        ray.get(self._supervisor.add_symbols.remote(new), timeout=60)
        if is_watched:
            self._watch(wanted)

    def _remove(self, symbols: Sequence[str]) -> None:
        self.say(f"removing {len(symbols)} symbols")
        ray.get(self._supervisor.remove_symbols.remote(list(symbols)), timeout=60)

    def _watch(self, symbols: tuple[str, ...]) -> None:
        self._watched = symbols
        self._timeline.watch(symbols)

    def _until_fresh(self) -> Look:
        """Return the next look at which everybody is placed and fresh."""
        wanted = frozenset(self._watched)
        return self._timeline.until(
            lambda look: look.fresh == look.places.keys() == wanted,
            PATIENCE_S,
            f"{len(wanted)} fresh symbols",
        )

    def _compare(self, stage: str) -> None:
        time.sleep(CALM_S)
        self._until_fresh()
        found = compare_books(
            {symbol: self._listed[symbol] for symbol in self._watched},
            self._venue,
            lambda symbol, *words: ask(names.symbol(symbol), *words),
        )
        self._note(f"books_{stage}", f"{found['books_equal']} of {found['books']}")
        if found["books_apart"] or found["measures_apart"]:
            self.found.setdefault("apart", {})[stage] = found

    def _venue(self, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._venue_url + path, data=data)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return dict(json.load(answer))

    def _note(self, name: str, value: Any) -> None:
        self.found[name] = round(value, 1) if isinstance(value, float) else value
        self.say(f"{name}: {self.found[name]}")

    def say(self, text: str) -> None:
        """Tell how far it is."""
        print(f"{self._timeline.now_s:6.1f} s  {text}", file=sys.stderr, flush=True)


def run(plan: Plan) -> dict[str, Any]:
    """Run once on a cluster, a database and a venue of its own; returns the figures."""
    ensure_compiled()
    with _folder() as folder:
        settings = _settings(plan, folder)
        cluster = AutoscaledCluster(
            cpus=NODE_CPUS,
            memory_mb=NODE_MEMORY_MB,
            max_workers=plan.max_workers,
            idle_s=IDLE_S,
        )
        with cluster:
            ray.init(
                address=cluster.address,
                namespace=names.NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            with Services(settings) as services:
                try:
                    found = Run(plan, cluster, services, settings).go()
                except Exception:
                    print(cluster.said(), file=sys.stderr)
                    raise
                rows = asyncio.run(compare_rows(services.dsn, folder / "accepted"))
    return {
        "benchmark": "autoscale",
        "symbols": plan.symbols,
        "symbols_per_node": plan.per_node,
        "cpus_of_machine": os.cpu_count(),
        **found,
        "keys_accepted": rows.accepted,
        "lost": rows.missing,
        "duplicated": rows.duplicated,
        "different": rows.different,
    }


def is_right(found: Mapping[str, Any]) -> bool:
    """Say whether nodes came and went, books were right throughout, and no row was lost."""
    return (
        found["workers_grown"] >= -(-found["symbols"] // found["symbols_per_node"])
        and found["workers_left"] == 1
        and "apart" not in found
        and found["pending_beyond"] > 0
        and all("no node" in reason for reason in found["pending_reasons"])
        and found["rows_accepted"] == found["rows_written"] + found["rows_repeated"]
        and found["lost"] == found["duplicated"] == found["different"] == found["rows_dead"] == 0
    )


def _supervisor(settings: Settings, services: Services) -> Any:
    options = {
        "name": names.SUPERVISOR,
        "namespace": names.NAMESPACE,
        "num_cpus": 0.01,
        "max_concurrency": 32,
        "runtime_env": {"env_vars": fleet_environment(settings_environment(settings))},
    }
    return SupervisorActor.options(**stay_here(options)).remote(
        settings, services.dsn, services.venue_url, services.run_directory
    )


def _settings(plan: Plan, folder: Path) -> Settings:
    listed = plan.room + plan.beyond
    return load_settings(
        flags={
            "venue": {"symbols": listed},
            "feeds": {"symbols": FIRST},
            "fleet": {
                "symbol_cpus": NODE_CPUS / plan.per_node,
                "symbol_memory_mb": SYMBOL_MEMORY_MB,
                "start_wave": plan.per_node,
            },
            "streams": {"host": "127.0.0.1"},
            "storage": {"data_dir": folder / "data", "accepted_log": folder / "accepted"},
            "metrics": {"enabled": False},
            "risk": {"history_days": 0},
        },
        environ={},
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that the database's user can enter; where it cannot, its cluster is elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="apscale-data-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree((folder / "data" / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
