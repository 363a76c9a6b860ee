"""The live table of the fleet: what each market and each role does and costs right now."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.fleet_loads import (
    FEED_PREFIX,
    STORE_PREFIX,
    SYMBOL_PREFIX,
    FleetLoads,
    backlog_of,
)
from alphaplus.latency import LatencyHistogram

FRESHNESS: Final = ("ts_event", "ts_recv", "age_ms", "stale", "stale_reason")
ROLES: Final = (("symbols", SYMBOL_PREFIX), ("feeds", FEED_PREFIX), ("store", STORE_PREFIX))


def market_rows(summaries: Sequence[Mapping[str, Any]], loads: FleetLoads) -> list[dict[str, Any]]:
    """Return one row per market; CPU in cores, memory in bytes, None where unknown.

    Batch, CPU and memory are those of the symbol, which owns all its markets; where symbols share
    an actor, each has its part of what that costs.
    """
    backlogs = backlog_of(loads)
    rows = []
    for item in summaries:
        symbol, exchange = str(item["symbol"]), str(item["exchange"])
        actor, market = f"{SYMBOL_PREFIX}{symbol}", f"{exchange}:{symbol}"
        recent, backlog = loads.recent(market), backlogs.get(market, {})
        rows.append(
            {
                "symbol": symbol,
                "exchange": exchange,
                "actor": loads.last(actor).get("actor"),
                **{name: item[name] for name in FRESHNESS},
                "p50_ms": milliseconds(recent, 50),
                "p99_ms": milliseconds(recent, 99),
                "messages_per_s": _rounded(loads.rate(actor, "messages", exchange=exchange), 1),
                "batch_events": _ratio(loads, actor, "events", "batches", 1),
                "apply_ms": _ratio(loads, actor, "apply_s", "batches", 4, scale=1e3),
                "gaps": int(item["gaps"]),
                "dropped_events": backlog.get("dropped_events"),
                "dropped_rows": int(item["dropped"]),
                "backlog_events": backlog.get("backlog_events"),
                "cpu": _rounded(loads.rate(actor, "cpu_s"), 4),
                "memory_bytes": loads.last(actor).get("memory_bytes"),
            }
        )
    return rows


def role_rows(loads: FleetLoads) -> list[dict[str, Any]]:
    """Return one row per role that tells its load: actors, CPU in cores and seconds, memory."""
    rows = []
    for role, prefix in ROLES:
        actors = loads.actors(prefix)
        told = [loads.last(actor) for actor in actors]
        processes = {load.get("actor", name) for name, load in zip(actors, told, strict=True)}
        rows.append(
            {
                "role": role,
                "actors": len(processes),
                "cpu": _rounded(_sum([loads.rate(actor, "cpu_s") for actor in actors]), 4),
                "cpu_s": _rounded(_sum([load["cpu_s"] for load in told]), 2),
                "memory_bytes": _sum([load["memory_bytes"] for load in told]),
            }
        )
    return rows


def milliseconds(histogram: LatencyHistogram, percent: float) -> float | None:
    """Return a percentile in ms, None while nothing was recorded."""
    value = histogram.percentile(percent)
    return None if math.isnan(value) else round(value / 1e6, 3)


def _ratio(
    loads: FleetLoads, actor: str, top: str, bottom: str, digits: int, *, scale: float = 1.0
) -> float | None:
    above, below = loads.grown(actor, top), loads.grown(actor, bottom)
    return None if above is None or not below else round(above / below * scale, digits)


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum; None if one is unknown, or nothing is there."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
