"""Who is who in the fleet: the namespace, the actors' names, and the only name look-ups."""

from typing import Any, Final

import ray
from ray.actor import ActorHandle

NAMESPACE: Final = "alphaplus"
SUPERVISOR: Final = "supervisor"
PORTFOLIO: Final = "portfolio:main"

STATE: Final = "state/"
LATENCIES: Final = "latencies/"
COUNTERS: Final = "counters/"
RISK: Final = "risk/"
LOADS: Final = "load/"
"""What a value on the way to the portfolio is, as the beginning of its key."""


def symbol_name(symbol: str) -> str:
    """Return the name of the actor that owns all venues of a symbol."""
    return f"symbol:{symbol}"


def feed_name(exchange: str, shard: int) -> str:
    """Return the name of the actor that holds one shard of a venue's connections."""
    return f"feed:{exchange}:{shard}"


def store_name(shard: int) -> str:
    """Return the name of the actor that writes one shard of the rows."""
    return f"store:{shard}"


def symbol(name: str) -> ActorHandle[Any]:
    """Find a symbol's actor; raises LookupError where there is none."""
    return _find(symbol_name(name))


def portfolio() -> ActorHandle[Any]:
    """Find the portfolio's actor; raises LookupError where there is none."""
    return _find(PORTFOLIO)


def supervisor() -> ActorHandle[Any]:
    """Find the supervisor; raises LookupError where there is none."""
    return _find(SUPERVISOR)


def member(name: str) -> ActorHandle[Any]:
    """Find any actor of the fleet by its name; raises LookupError where there is none."""
    return _find(name)


def is_taken(name: str) -> bool:
    """Say whether an actor has a name of the fleet, be it one that still starts or ends."""
    try:
        _find(name)
    except LookupError:
        return False
    return True


def _find(name: str) -> ActorHandle[Any]:
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        raise LookupError(f"No actor {name} is running; start the stream job first.") from None
