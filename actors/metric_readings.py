"""What the board knows, as readings that metrics are taken from. Plain functions, no Ray."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from actors.fleet_loads import FEED_PREFIX, STORE_PREFIX, SYMBOL_PREFIX, FleetLoads, backlog_of
from actors.store_health import store_health
from alphaplus.analysis.state import COUNTERS
from alphaplus.latency import LatencyHistogram

ROWS: Final = (
    "rows_accepted",
    "rows_written",
    "rows_duplicate",
    "rows_retried",
    "rows_dead",
)
FEED_COUNTS: Final = (
    "reconnects",
    "rate_limited",
    "bad_frames",
    "dropped_frames",
    "duplicate_frames",
)
FIGURES: Final = ("equity", "var_99_1d", "es_975_1d")

Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Values of one set of labels; None where unknown."""

    origin: str
    """Who counted: totals of several origins with the same labels add up."""
    labels: Mapping[str, str] = field(default_factory=dict)
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardContents:
    """What the board knows at one moment."""

    summaries: Sequence[Mapping[str, Any]]
    """Of `analysis.state.summary`, one per market, with `crossed` beside it."""
    counters: Mapping[str, Mapping[str, int]]
    """By the name of the actor that counts."""
    loads: FleetLoads
    figures: Mapping[str, float | None]
    """Risk figures of the portfolio main; empty while it holds nothing."""


def readings(board: BoardContents) -> Iterator[Reading]:
    """Return a reading for each market, symbol, feed, store, and of the fleet."""
    loads, backlogs = board.loads, backlog_of(board.loads)
    for item in board.summaries:
        labels = {"exchange": str(item["exchange"]), "symbol": str(item["symbol"])}
        market = f"{labels['exchange']}:{labels['symbol']}"
        yield Reading(
            origin=market,
            labels=labels,
            values=_market(item, loads.recent(market), backlogs.get(market, {})),
        )
    for actor in loads.actors(SYMBOL_PREFIX):
        symbol = actor.removeprefix(SYMBOL_PREFIX)
        yield Reading(origin=actor, labels={"symbol": symbol}, values=loads.last(actor))
    for actor, counts in board.counters.items():
        if actor.startswith(FEED_PREFIX):
            values = {name: counts.get(name) for name in FEED_COUNTS}
            values["cpu_s"] = loads.last(actor).get("cpu_s")
            exchange = actor.removeprefix(FEED_PREFIX).rpartition(":")[0]
            yield Reading(origin=actor, labels={"exchange": exchange}, values=values)
        elif actor.startswith(STORE_PREFIX):
            yield Reading(origin=actor, values={name: counts.get(name) for name in ROWS})
    yield Reading(origin="fleet", values=_fleet(board))


def _market(
    item: Mapping[str, Any], recent: LatencyHistogram, backlog: Mapping[str, int]
) -> Values:
    age_ms = item["age_ms"]
    return {
        **{name: item[name] for name in COUNTERS},
        "feed_dropped": backlog.get("dropped_events"),
        "backlog": backlog.get("backlog_events"),
        "age_s": None if age_ms is None else max(age_ms, 0.0) / 1e3,
        "stale": float(item["stale"]),
        "crossed": float(item["crossed"]),
        "lag_p50_s": _seconds(recent, 50),
        "lag_p99_s": _seconds(recent, 99),
    }


def _fleet(board: BoardContents) -> Values:
    store = store_health(board.loads)
    pending = [
        counts["rows_pending"]
        for actor, counts in board.counters.items()
        if actor.startswith(STORE_PREFIX) and "rows_pending" in counts
    ]
    return {
        "symbols": len(board.summaries),
        "stale_symbols": sum(bool(item["stale"]) for item in board.summaries),
        "rows_pending": sum(pending) if pending else None,
        "behind_s": store["behind_s"] if store else None,
        "spool_bytes": store["spool_bytes"] if store else None,
        **{name: board.figures.get(name) for name in FIGURES},
    }


def _seconds(histogram: LatencyHistogram, percent: float) -> float | None:
    value = histogram.percentile(percent)
    return None if math.isnan(value) else value / 1e9
