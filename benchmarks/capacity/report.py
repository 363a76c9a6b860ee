"""The whole calculation from measured points to nodes."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from benchmarks.capacity.model import fit_cores, fit_memory, residuals
from benchmarks.capacity.plan import Wish, plan
from benchmarks.capacity.points import Observation
from benchmarks.capacity.prediction import calm_limit, predictions
from benchmarks.capacity.venues import VENUES, Wanted, needs

STREAMS: Final = 5
"""Streams of a book by default: see feeds.streams."""
INTEREST_EVERY_S: Final = 15.0
"""feeds.open_interest_poll_s."""


def report(points: Sequence[Observation], wish: Wish, cpus: int) -> dict[str, Any]:
    """Return everything: costs, how well they fit, the simulation, the plan and the venues."""
    cores, memory = fit_cores(points), fit_memory(points)
    steps = plan(wish, cores, memory)
    wanted = Wanted(books=wish.symbols, streams=STREAMS, interest_every_s=INTEREST_EVERY_S)
    largest = max(points, key=lambda point: point.symbols)
    return {
        "benchmark": "capacity",
        "wish": asdict(wish),
        "cores": {role: dict(cost.coefficients) for role, cost in cores.items()},
        "mb": {role: dict(cost.coefficients) for role, cost in memory.items()},
        "residuals": residuals(points, cores),
        "predictions": predictions(points, cores, cpus),
        "calm_limit": calm_limit(largest, cores, wish.node_cores),
        "steps": {name: asdict(step) for name, step in steps.items()},
        "venues": [needs(venue, wanted) for venue in VENUES],
    }
