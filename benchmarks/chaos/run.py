"""One run: start, kill and falsify by the plan, settle, compare."""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ray.exceptions import RayError

from actors import names
from alphaplus.config import Settings, load_settings
from alphaplus.errors import AlphaPlusError
from alphaplus.feeds.history import history_client
from alphaplus.instruments import Instrument
from alphaplus.kernels import ensure_compiled
from alphaplus.venue.faults import FaultKind
from alphaplus.venue.process import VenueProcess
from benchmarks.chaos.books import compare_books
from benchmarks.chaos.freshness import SILENT_GRACE_S, Hit, judge
from benchmarks.chaos.plan import PER_MINUTE, Kill, Target, plan_kills
from benchmarks.chaos.rows import compare_rows
from benchmarks.chaos.system import System, ask, stopped_afterwards, symbols_of
from benchmarks.chaos.watch import Watch

PER_FEED: Final = 3
CALM_S: Final = 5.0
PATIENCE_S: Final = 120.0
POSITIONS: Final = [
    {"symbol": "BTC-USDT-PERP", "quantity": 2.0, "entry_price": 60_000.0},
    {"symbol": "ETH-USDT-PERP", "quantity": -10.0, "entry_price": 2_500.0},
]
WHOLE_SOCKET: Final = frozenset({FaultKind.CLOSE_SOCKET, FaultKind.STALL_SOCKET})
HARMLESS: Final = frozenset({FaultKind.DUPLICATE_FRAME, FaultKind.CLOCK_SKEW})
"""Faults by which no book may become stale."""
OF_REST: Final = frozenset({FaultKind.SLOW_REST, FaultKind.FAILING_REST, FaultKind.RATE_LIMIT})
"""These make nobody stale, but who is waits for their end, too."""


class Chaos:
    """One run."""

    def __init__(self, options: argparse.Namespace, system: System, venue: VenueProcess) -> None:
        self._options = options
        self._system = system
        self._venue = venue
        self._began = time.monotonic()
        self.kills: Counter[str] = Counter()
        self.hits: list[Hit] = []
        self.symbols: list[str] = []
        self.instruments: dict[str, Instrument] = {}
        self._feeds: dict[str, tuple[str, ...]] = {}
        self._late_s = 0.0  # kills wait for a new job, so that each is seen alone

    def run(self) -> dict[str, Any]:
        """Run everything but the comparison of rows, which waits for the job's end."""
        self.say("starting Ray, the database and the fleet")
        self._system.start_head()
        self._system.submit()
        self.instruments = asyncio.run(listed_instruments(self._venue.url))
        self.symbols = list(self.instruments)
        feeds = -(-len(self.symbols) // PER_FEED)
        self._feeds = symbols_of(feeds, self.symbols, PER_FEED)
        watch = Watch(self.symbols)
        watch.start()
        try:
            return self._go(watch)
        finally:
            watch.stop()

    def _go(self, watch: Watch) -> dict[str, Any]:
        self._until(watch.all_fresh, watch)
        positions = self._set_positions()
        kills = plan_kills(self._options.seed, self._options.duration)
        planned = self._plan_faults()
        start = time.monotonic()
        self._note_faults(planned, start)
        for kill in kills:
            self._kill(kill, start, watch)
        time.sleep(max(0.0, start + self._options.duration - time.monotonic()))
        faults = self._end_faults()
        time.sleep(SILENT_GRACE_S)  # what only silence shows has shown by then
        self._until(watch.all_fresh, watch)
        self._kill(Kill(at_s=0.0, target=Target.HEAD, draw=0.0), start, watch)
        self._until(watch.all_fresh, watch)
        time.sleep(CALM_S)
        self._until(watch.all_fresh, watch)
        freshness = watch.stop()
        self.say("comparing books, measures and positions")
        compared = compare_books(
            self.instruments, self.venue, lambda s, *words: ask(names.symbol(s), *words)
        )
        kept = self._positions() == positions
        return {
            "kills": dict(self.kills),
            "faults": faults,
            **compared,
            "positions_kept": kept,
            **judge([i for i in freshness.intervals if i.start >= start - 0.6], self.hits),
        }

    def _kill(self, kill: Kill, start: float, watch: Watch) -> None:
        time.sleep(max(0.0, start + kill.at_s + self._late_s - time.monotonic()))
        began = time.monotonic()
        hit: Sequence[str] = ()
        match kill.target:
            case Target.SYMBOL:
                symbol = self.symbols[int(kill.draw * len(self.symbols))]
                hit = self._system.kept_with(symbol)
                done = self._system.kill_actor(names.symbol_name(symbol))
            case Target.FEED:
                feed = list(self._feeds)[int(kill.draw * len(self._feeds))]
                done, hit = self._system.kill_actor(feed), self._feeds[feed]
            case Target.STORE:
                done = self._system.kill_actor(names.store_name(0))
            case Target.PORTFOLIO:
                done = self._system.kill_actor(names.PORTFOLIO)
            case Target.DATABASE:
                done = self._system.kill_database()
            case Target.JOB:
                done, hit = self._system.kill_job(), self.symbols
            case Target.HEAD:
                watch.pause()
                self._system.kill_head()
                done, hit = True, self.symbols
        self.say(f"killed {kill.target} {', '.join(hit)}" if done else f"no {kill.target} lives")
        self.kills[kill.target] += done
        if kill.target is Target.HEAD:
            self._system.start_head()
            watch.resume()
        if kill.target in (Target.JOB, Target.HEAD):
            self._system.submit()
            time.sleep(1.0)  # for a look at nobody
            self._until(watch.all_fresh, watch)
            self._late_s += time.monotonic() - began
        self.hits.append(
            Hit(
                cause=str(kill.target),
                at=began,
                ends=time.monotonic(),
                counts_from=began,
                symbols=frozenset(hit),
            )
        )

    def _plan_faults(self) -> list[dict[str, Any]]:
        asked = self.venue(
            "/control/fault_schedule",
            {
                "seed": self._options.seed,
                "length_s": self._options.duration,
                "per_minute": {str(kind): rate for kind, rate in PER_MINUTE.items()},
            },
        )
        return list(asked["planned"])

    def _note_faults(self, planned: Sequence[Mapping[str, Any]], start: float) -> None:
        """Put down whom each planned fault will hit."""
        by_name = {item.venue_symbol: symbol for symbol, item in self.instruments.items()}
        for fault in planned:
            kind = FaultKind(fault["kind"])
            if kind in HARMLESS or kind in OF_REST:
                continue
            symbol = by_name.get(fault.get("symbol", ""))
            hit = [symbol] if symbol else self.symbols
            if kind in WHOLE_SOCKET:
                hit = next(s for s in map(list, self._feeds.values()) if symbol in s)
            at = start + fault["at_s"]
            ends = at + fault.get("for_s", 0.0)
            ends = max(
                [ends]
                + [  # a snapshot that is asked for meanwhile waits for REST to work again
                    start + other["at_s"] + other["for_s"] + other.get("retry_after_s", 0)
                    for other in planned
                    if FaultKind(other["kind"]) in OF_REST
                    and at - 1 <= start + other["at_s"] + other["for_s"]
                    and start + other["at_s"] <= ends + 1
                ]
            )
            self.hits.append(
                Hit(cause=str(kind), at=at, ends=ends, counts_from=ends, symbols=frozenset(hit))
            )

    def _end_faults(self) -> dict[str, int]:
        """End all faults; returns how often each was committed."""
        give_up = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):  # an outage may not be over yet
                self.venue("/control/faults", method="DELETE")
                state = self.venue("/control/state")
                break
            if time.monotonic() > give_up:
                raise AlphaPlusError("The venue did not come back from its last outage.")
            time.sleep(0.2)
        total: Counter[str] = Counter(state["faults"])
        for symbol in state["symbols"].values():
            total.update(symbol["faults"])
        return dict(sorted(total.items()))

    def _set_positions(self) -> list[tuple[str, float, float]]:
        known = [item for item in POSITIONS if item["symbol"] in self.symbols]
        ask(names.portfolio(), "set_positions", known, 100_000.0)
        return self._positions()

    def _positions(self) -> list[tuple[str, float, float]]:
        """Return what the portfolio holds, once its actor answers."""
        give_up = time.monotonic() + 30
        while True:
            try:
                held = ask(names.portfolio(), "portfolio")
                break
            except (RayError, LookupError):
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.5)
        return [(p["symbol"], p["quantity"], p["entry_price"]) for p in held["positions"]]

    def venue(self, path: str, body: Any = None, method: str | None = None) -> dict[str, Any]:
        """Ask the venue's control; raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._venue.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return dict(json.load(answer))

    def _until(self, condition: Callable[[], bool], watch: Watch) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > give_up:
                raise AlphaPlusError(
                    f"The fleet did not become fresh within {PATIENCE_S:g} s: {watch.reasons}\n"
                    f"{self._system.last_words()}"
                )
            time.sleep(0.2)

    def say(self, text: str) -> None:
        """Tell how far it is."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)


async def listed_instruments(url: str) -> dict[str, Instrument]:
    client = history_client("binance", (), base_url=url)
    try:
        return await client.instruments(())
    finally:
        await client.close()


def chaos_settings(folder: Path, venue_url: str, symbols: int, per_actor: int = 1) -> Settings:
    """Return the settings of the system: its own folders, all rows logged as accepted."""
    return load_settings(
        flags={
            "feeds": {"url": venue_url, "symbols_per_feed": PER_FEED, "silent_after_s": 5.0},
            "fleet": {"symbols_per_actor": per_actor},
            "venue": {"symbols": symbols},
            "storage": {"data_dir": folder / "data", "accepted_log": folder / "accepted"},
            "risk": {"history_days": 0},
        },
        environ={},
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run once; returns the figures."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take everything down
    ensure_compiled()
    folder = Path(tempfile.mkdtemp(prefix="apchaos-", dir="/tmp"))
    arguments = [f"--symbols={options.symbols}", f"--seed={options.seed}"]
    if not options.generated:
        arguments += ["--source=capture", f"--capture={options.capture}"]
    began = time.monotonic()
    try:
        with VenueProcess(arguments) as venue:
            settings = chaos_settings(folder, venue.url, options.symbols, options.per_actor)
            system = System(settings, folder)
            with stopped_afterwards(system):
                chaos = Chaos(options, system, venue)
                try:
                    found = chaos.run()
                    chaos.say("draining")
                    summary = _summary(system.drain())
                except Exception:
                    traceback.print_exc()  # now, since the way down may be long
                    print(system.last_words(), file=sys.stderr)
                    raise
                chaos.say("comparing rows")
                dsn = system.postgres.start()
                rows = asyncio.run(compare_rows(dsn, folder / "accepted"))
    finally:
        # where the server's user cannot enter the folder its cluster is elsewhere
        shutil.rmtree((folder / "data" / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    figures = {name: getattr(rows, name) for name in rows.__slots__}
    return {
        "benchmark": "chaos",
        "seed": options.seed,
        "symbols": options.symbols,
        "per_actor": options.per_actor,
        "seconds": round(time.monotonic() - began, 1),
        **found,
        **figures,
        "dead": summary.get("rows_dead", 0),
        "repairs_since_head": summary.get("repairs", 0),
    }


def is_right(found: Mapping[str, Any]) -> bool:
    """Say whether nothing was lost and every book came back right."""
    return (
        found["books_equal"] == found["books"]
        and not found["measures_apart"]
        and found["missing"] == found["duplicated"] == found["different"] == 0
        and bool(found["positions_kept"])
    )


def _summary(log: str) -> dict[str, Any]:
    for line in reversed(log.splitlines()):
        if line.startswith('{"summary"'):
            return dict(json.loads(line)["summary"])
    tail = "\n".join(log.splitlines()[-20:])
    raise AlphaPlusError(f"The job has ended without a summary:\n{tail}")
