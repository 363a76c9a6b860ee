"""How the store does, from what its writers tell the board. Plain functions, no Ray."""

from typing import Any, Final

from actors.fleet_loads import STORE_PREFIX, FleetLoads

STATES: Final = ("ok", "behind", "degraded")
"""From well to worst: `behind`: rows come faster than the database takes them; `degraded`: the
database is away, or the spool is full."""


def store_health(loads: FleetLoads) -> dict[str, Any] | None:
    """Return the worst state of all writers and what waits; None: none has told anything.

    `behind_s` is how long the oldest row waits for the database, bytes are those of the spools.
    """
    told = [load for name in loads.actors(STORE_PREFIX) if "state" in (load := loads.last(name))]
    if not told:
        return None
    worst = max(told, key=lambda load: STATES.index(load["state"]))
    return {
        "state": worst["state"],
        "reason": worst["reason"],
        "behind_s": max(load["behind_s"] for load in told),
        "rows_pending": sum(load["rows_pending"] for load in told),
        "spool_bytes": sum(load["spool_bytes"] for load in told),
        "spool_limit_bytes": sum(load["spool_limit_bytes"] for load in told),
    }
