"""Who is who in the fleet: the namespace, the actors' names, and the only name look-ups."""

from typing import Any, Final

import ray
from ray.actor import ActorHandle

from actors.symbol_handle import SymbolHandle

NAMESPACE: Final = "alphaplus"
SUPERVISOR: Final = "supervisor"
PORTFOLIO: Final = "portfolio:main"
FIND_WITHIN_S: Final = 2.0

STATE: Final = "state/"
LATENCIES: Final = "latencies/"
COUNTERS: Final = "counters/"
RISK: Final = "risk/"
LOADS: Final = "load/"
"""What a value on the way to the portfolio is, as the beginning of its key."""


def symbol_name(symbol: str) -> str:
    """Return the name of a symbol in the fleet, and of its actor if that keeps no other."""
    return f"symbol:{symbol}"


def host_name(number: int) -> str:
    """Return the name of an actor that keeps several symbols."""
    return f"symbols:{number}"


def feed_name(exchange: str, shard: int) -> str:
    """Return the name of the actor that holds one shard of a venue's connections."""
    return f"feed:{exchange}:{shard}"


def store_name(shard: int) -> str:
    """Return the name of the actor that writes one shard of the rows."""
    return f"store:{shard}"


def symbol(name: str) -> SymbolHandle:
    """Find the actor that keeps a symbol; asks the supervisor, as it alone knows.

    Raises LookupError while it, or the actor, is not there; and RayError where no answer comes, or
    it says that nobody is to keep the symbol (UnknownSymbol) or nobody does yet (SymbolNotKept).
    """
    actor: Any = ray.get(supervisor().actor_of.remote(name), timeout=FIND_WITHIN_S)
    return SymbolHandle(_find(actor), name)


def portfolio() -> ActorHandle[Any]:
    """Find the portfolio's actor; raises LookupError where there is none."""
    return _find(PORTFOLIO)


def supervisor() -> ActorHandle[Any]:
    """Find the supervisor; raises LookupError where there is none."""
    return _find(SUPERVISOR)


def member(name: str) -> ActorHandle[Any] | SymbolHandle:
    """Find any member of the fleet by its name; raises LookupError where there is none."""
    prefix = symbol_name("")
    return symbol(name.removeprefix(prefix)) if name.startswith(prefix) else _find(name)


def keepers() -> list[str]:
    """Return the names of all actors that keep symbols, be it those that end."""
    listed = ray.util.list_named_actors(all_namespaces=True)
    ours = [item["name"] for item in listed if item["namespace"] == NAMESPACE]
    return [name for name in ours if name.startswith(("symbol:", "symbols:"))]


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
