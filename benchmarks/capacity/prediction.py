"""What the simulation says of a fleet whose costs the model knows, beside what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.capacity.model import Cost, amounts_of
from benchmarks.capacity.points import Observation
from benchmarks.capacity.queueing import Setting, simulate

COMPANY_S: Final = 0.001
"""feeds.flush_ms."""
SPREAD: Final = 1.18
"""Sigma of the logarithm of a message's levels: median 34, mean 68 in the recording."""
SIZED: Final = 0.2
"""Share of a message's time that grows with its levels; most is waking up for it. Measured: an
actor takes some 430 us for a message that comes alone, but where messages come together 130 us
for one of 68 levels and 27 us for one of a single level (`benchmarks.saturation`)."""
POLITE: Final = ("store", "database")
"""Roles at nice 10: they give way, so they are not among what messages wait for."""
CALM_MS: Final = 10.0
MOST_SYMBOLS: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Times that messages take, and what else runs; seconds and cores."""

    feed_s: float
    symbol_s: float
    other_cores: float


def service_of(point: Observation, costs: Mapping[str, Cost]) -> Service:
    """Return the services at a point: the model's costs of a message of its mean size."""
    amounts = amounts_of(point)
    levels = point.levels_per_s / point.messages_per_s
    feed, symbol = (_of_message(costs[role], levels) for role in ("feeds", "symbols"))
    modelled = sum(cost.at(amounts) for role, cost in costs.items() if role not in POLITE)
    on_the_way = (feed + symbol) * point.messages_per_s
    return Service(feed_s=feed, symbol_s=symbol, other_cores=max(modelled - on_the_way, 0.0))


def predictions(
    points: Sequence[Observation], costs: Mapping[str, Cost], cpus: int
) -> list[dict[str, Any]]:
    """Return simulated beside measured p99 of each point, ms."""
    found = []
    for point in points:
        service = service_of(point, costs)
        latencies = simulate(_setting(point, service, cpus, point.symbols))
        found.append(
            {
                "symbols": point.symbols,
                "messages_per_s": point.messages_per_s,
                "busy": round(point.cores / cpus, 3),
                "measured_p99_ms": point.p99_ms,
                "simulated_p50_ms": round(latencies.percentile(50) / 1e6, 2),
                "simulated_p99_ms": round(latencies.percentile(99) / 1e6, 2),
            }
        )
    return found


def calm_limit(point: Observation, costs: Mapping[str, Cost], cpus: int) -> dict[str, Any]:
    """Return the most symbols like those of a point whose simulated p99 is below 10 ms on a
    machine, and how busy its cores are then; what else runs grows with the symbols."""
    service = service_of(point, costs)

    def p99_ms(symbols: int) -> float:
        return float(simulate(_setting(point, service, cpus, symbols)).percentile(99) / 1e6)

    low, high = 1, 2
    while high < MOST_SYMBOLS and p99_ms(high) < CALM_MS:
        low, high = high, high * 2
    while high - low > max(low // 20, 1):
        middle = (low + high) // 2
        low, high = (middle, high) if p99_ms(middle) < CALM_MS else (low, middle)
    used = _setting(point, service, cpus, low)
    work = low * used.rate * (service.feed_s + service.symbol_s) + used.other_cores
    return {"cpus": cpus, "symbols": low, "busy": round(work / cpus, 3)}


def _setting(point: Observation, service: Service, cpus: int, symbols: int) -> Setting:
    return Setting(
        symbols=symbols,
        rate=point.messages_per_s / point.symbols,
        cores=cpus,
        feed_s=service.feed_s,
        symbol_s=service.symbol_s,
        spread=SPREAD,
        sized=SIZED,
        company_s=COMPANY_S,
        other_cores=service.other_cores * symbols / point.symbols,
        seconds=10.0,
    )


def _of_message(cost: Cost, levels: float) -> float:
    of = cost.coefficients
    return of.get("messages", 0.0) + levels * of.get("levels", 0.0)
