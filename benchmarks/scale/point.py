"""One run of the whole system at a number of symbols, and what its steady state cost."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from alphaplus.feeds.replay import replay
from benchmarks.scale.processes import Usage, cores_by_role, proportional_bytes
from benchmarks.scale.ray_calls import calls_per_s, read_calls
from benchmarks.scale.system import System

START_WITHIN_S: Final = 900.0
SETTLE_S: Final = 5.0
"""After all books are fresh; what the start has left to do ends meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A point to be measured."""

    symbols: int
    rate: float
    """Depth messages a second of each symbol."""


ROWS: Final = ("rows_written", "rows_dead", "rows_duplicate", "rows_left")
"""What becomes of the rows that were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A number of symbols, and what they took. Rates and CPU are those of the steady state:
    after the start, before the drain."""

    symbols: int
    rate: float
    fresh_s: float
    """From the command to fresh books of all."""
    actors_s: float | None
    """From the first symbol's actor that begins to be made to the last that is ready."""
    measured_s: float
    offered_per_s: float
    """Messages that the venue sent."""
    processed_per_s: float
    """Messages whose analysis was published."""
    levels_per_s: float
    rows_per_s: float
    """Rows that the database took."""
    rows_waiting: int
    """Rows in the spool at the end of the steady state."""
    dropped: int
    gaps: int
    audit_different: int
    rows_missing: int
    """Rows that symbols sent and that neither database, dead letters nor spool have at the end."""
    rows_left: int
    """Rows in the spool at the end, which the next start writes."""
    rows_repeated: int
    """Rows whose key the database had already; it keeps one of each."""
    p50_ms: float | None
    """Socket to published analysis, since all books were fresh, without the drain."""
    p99_ms: float | None
    cores: float
    """CPU seconds per second of everything together."""
    cores_by_role: dict[str, float]
    actors: int
    """Processes that keep the symbols."""
    mb_per_actor: float | None
    """Proportional set size of such a process, the mean of all."""
    mb_per_symbol: float | None
    """The same of all of them, for each symbol."""
    mb_by_role: dict[str, float]
    ray_calls_per_s: float | None
    ray_calls_by_class: dict[str, float] | None
    """By the class that was called; see `ray_calls`."""


def depth_rate(capture: Path) -> float:
    """Return the depth messages a second of the first instrument of a recording."""
    found = replay(capture)
    return found.instruments[0].depth_messages / (found.last_ts_recv - found.first_ts_recv) * 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the local venue plays."""

    capture: Path
    recorded_rate: float
    """Depth messages a second of the recording."""
    streams: Sequence[str]


def measure(market: Market, load: Load, duration_s: float, say: Callable[[str], None]) -> Point:
    """Run the system, watch it for `duration_s`, drain it; raises RunFailed."""
    arguments = [
        f"--capture={market.capture}",
        f"--symbols={load.symbols}",
        f"--speed={load.rate / market.recorded_rate}",
    ]
    environment = {
        "ALPHAPLUS_FEEDS__STREAMS": ",".join(market.streams),
        "ALPHAPLUS_FLEET__START_TIMEOUT_S": str(START_WITHIN_S),
    }
    with System.started(arguments, environment) as system:
        start = system.wait_fresh(START_WITHIN_S, load.symbols, say)
        say(f"fresh after {start.fresh_s:.0f} s, measuring for {duration_s:g} s")
        time.sleep(SETTLE_S)
        folder = system.ray_folder()
        before = _Look.at(system, folder)
        time.sleep(duration_s)
        system.check()
        after = _Look.at(system, folder)
        memory = _memory(after.processes, load.symbols)
        say(f"p99 {after.fleet['p99_ms']} ms, draining")
        summary = system.drain()
    steady = _steady(before, after)
    return Point(
        symbols=load.symbols,
        rate=load.rate,
        **asdict(start),
        **steady,
        **memory,
        dropped=summary["dropped"],
        gaps=summary["gaps"],
        audit_different=summary["audit"]["different"],
        rows_missing=summary["rows_sent"] - sum(summary[name] for name in ROWS),
        rows_left=summary["rows_left"],
        rows_repeated=summary["rows_duplicate"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Everything that counts up, at one moment."""

    moment: float
    processes: Mapping[int, Usage]
    venue: Mapping[str, Any]
    fleet: Mapping[str, Any]
    calls: Mapping[str, float] | None

    @classmethod
    def at(cls, system: System, ray_folder: Path | None) -> "_Look":
        moment, processes = time.monotonic(), system.processes()
        return cls(
            moment=moment,
            processes=processes,
            venue=system.venue(),
            fleet=system.fleet(),
            calls=read_calls(ray_folder),
        )


def _memory(processes: Mapping[int, Usage], symbols: int) -> dict[str, Any]:
    """Return the fields that tell of proportional set sizes, MB."""
    found: dict[str, list[float]] = defaultdict(list)
    for pid, usage in processes.items():
        size = proportional_bytes(pid)
        if size is not None:
            found[usage.role].append(size / 1e6)
    actors = found.get("symbols", [])
    return {
        "actors": len(actors),
        "mb_per_actor": round(sum(actors) / len(actors), 1) if actors else None,
        "mb_per_symbol": round(sum(actors) / symbols, 1) if actors else None,
        "mb_by_role": {role: round(sum(sizes), 1) for role, sizes in sorted(found.items())},
    }


def _steady(before: _Look, after: _Look) -> dict[str, Any]:
    """Return the fields that tell of the time between two looks."""
    seconds = after.moment - before.moment

    def rate(of: str, name: str) -> float:
        grown = getattr(after, of)[name] - getattr(before, of)[name]
        return round(grown / seconds, 1)

    cores = cores_by_role(before.processes, after.processes, seconds)
    calls = calls_per_s(before.calls, after.calls, seconds)
    return {
        "measured_s": round(seconds, 1),
        "offered_per_s": rate("venue", "messages"),
        "processed_per_s": rate("fleet", "messages"),
        "levels_per_s": rate("fleet", "level_updates"),
        "rows_per_s": rate("fleet", "rows_written"),
        "rows_waiting": after.fleet["rows_pending"],
        "p50_ms": after.fleet["p50_ms"],
        "p99_ms": after.fleet["p99_ms"],
        "cores": round(sum(cores.values()), 3),
        "cores_by_role": cores,
        "ray_calls_per_s": None if calls is None else round(sum(calls.values()), 2),
        "ray_calls_by_class": calls,
    }
