"""What each actor is doing, from two successive things that it told the board.

Actors tell totals. Rates and the latencies of the last seconds are differences between two
tellings, by the sender's own clock. A total that falls belongs to a new life of the actor:
it counts from zero. A plain class without a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alphaplus.latency import LatencyHistogram

Load = Mapping[str, Any]
"""What an actor tells: `ts` (ns, its clock), totals, `markets` with totals of each."""

SYMBOL_PREFIX: Final = "symbol:"
FEED_PREFIX: Final = "feed:"
STORE_PREFIX: Final = "store:"


@dataclass(slots=True)
class _Told:
    """The last two loads of an actor."""

    last: Load
    before: Load | None = None


@dataclass(slots=True)
class FleetLoads:
    """The newest loads of all actors by name, and the latencies of all markets by key."""

    _told: dict[str, _Told] = field(default_factory=dict)
    _latencies: dict[str, LatencyHistogram] = field(default_factory=dict)
    _recent: dict[str, LatencyHistogram] = field(default_factory=dict)

    def take(self, actor: str, load: Load) -> None:
        """Take what an actor tells of itself."""
        known = self._told.get(actor)
        self._told[actor] = _Told(load, None if known is None else known.last)

    def take_latencies(self, market: str, total: LatencyHistogram) -> None:
        """Take the latencies that a market has counted so far; `market` is exchange:symbol."""
        self._recent[market] = total.since(self._latencies.get(market))
        self._latencies[market] = total

    def forget(self, actor: str, market: str) -> None:
        """Forget an actor that has left, and the market that it kept."""
        self._told.pop(actor, None)
        self._latencies.pop(market, None)
        self._recent.pop(market, None)

    @property
    def latencies(self) -> Mapping[str, LatencyHistogram]:
        """All latencies of each market since its actor began to measure."""
        return self._latencies

    def recent(self, market: str) -> LatencyHistogram:
        """Return a market's latencies between its last two tellings, about five seconds."""
        return self._recent.get(market) or LatencyHistogram()

    def last(self, actor: str) -> Load:
        """Return the newest load of an actor, empty if it has told none."""
        known = self._told.get(actor)
        return {} if known is None else known.last

    def actors(self, prefix: str = "") -> list[str]:
        """Return the names of those that told a load, by the beginning of their names."""
        return sorted(name for name in self._told if name.startswith(prefix))

    def grown(self, actor: str, name: str, *, exchange: str | None = None) -> float | None:
        """Return how much a total grew between the last two tellings; None: not known yet."""
        known = self._told.get(actor)
        if known is None or known.before is None:
            return None
        now, before = (_total(load, name, exchange) for load in (known.last, known.before))
        if now is None or before is None:
            return None
        return now - before if now >= before else now

    def rate(self, actor: str, name: str, *, exchange: str | None = None) -> float | None:
        """Return how much a total grows per second; None: not known yet."""
        known = self._told.get(actor)
        grown = self.grown(actor, name, exchange=exchange)
        if known is None or known.before is None or grown is None:
            return None
        seconds = (known.last["ts"] - known.before["ts"]) / 1e9
        return grown / seconds if seconds > 0 else None


def backlog_of(loads: FleetLoads) -> dict[str, dict[str, int]]:
    """Return `backlog_events` and `dropped_events` of each market, all its feeds together."""
    found: dict[str, dict[str, int]] = {}
    for actor in loads.actors(FEED_PREFIX):
        load = loads.last(actor)
        for symbol, counts in load["markets"].items():
            total = found.setdefault(f"{load['exchange']}:{symbol}", {})
            for name, value in counts.items():
                total[name] = total.get(name, 0) + value
    return found


def _total(load: Load, name: str, exchange: str | None) -> float | None:
    values = load if exchange is None else load["markets"].get(exchange, {})
    value = values.get(name)
    return None if value is None else float(value)
