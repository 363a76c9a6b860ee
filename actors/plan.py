"""What has to be done so that the symbols that are watched become those that are wanted.

Plain functions of what is wanted and what is; the supervisor carries out what they return
(`actors/reconcile.py`), looks again, and so on. A symbol has at most one seat, and a seat is given
up only when its actor is dead, or keeps it no longer: whoever is to begin anew waits for that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a symbol's seat stands."""

    PENDING = "pending"
    """Its actor waits for a node with room, and holds up nobody."""
    STARTING = "starting"
    READY = "ready"
    """Its actor lives, and no feed sends to it yet."""
    RUNNING = "running"
    FAILED = "failed"
    """Its actor could not start; it is tried again."""
    LEAVING = "leaving"
    """Its rows are written, and its actor ends or gives it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Symbols that are to get an owner, and those whose owner is to end."""

    recruit: tuple[str, ...] = ()
    dismiss: tuple[str, ...] = ()


def plan(wanted: Collection[str], seats: Mapping[str, Phase], *, wave: int) -> Plan:
    """Return the next actions; `wanted` is in the order in which symbols start.

    At most `wave` symbols start at once, and the very first one alone, since it fills the caches
    that the others then find. Those that wait for a node do not count.
    """
    dismiss = tuple(
        symbol
        for symbol, phase in seats.items()
        if symbol not in wanted and phase is not Phase.LEAVING
    )
    starting = sum(phase is Phase.STARTING for phase in seats.values())
    has_any = any(phase in (Phase.READY, Phase.RUNNING) for phase in seats.values())
    places = max((wave if has_any else 1) - starting, 0)
    recruit = tuple(symbol for symbol in wanted if symbol not in seats)[:places]
    return Plan(recruit=recruit, dismiss=dismiss)


def enlist(
    ready: Sequence[str], feeds: Mapping[int, Collection[str]], *, per_feed: int
) -> dict[int, tuple[str, ...]]:
    """Divide symbols that no feed sends yet among shards, each up to `per_feed` symbols.

    Shards that are there are filled first; new ones get the next free numbers. Nobody who is
    sent already changes its shard.
    """
    free = {shard: per_feed - len(symbols) for shard, symbols in sorted(feeds.items())}
    found: dict[int, list[str]] = {}
    for symbol in ready:
        shard = next((number for number, room in free.items() if room > 0), None)
        if shard is None:
            shard = next(number for number in range(len(free) + 1) if number not in free)
            free[shard] = per_feed
        free[shard] -= 1
        found.setdefault(shard, []).append(symbol)
    return {shard: tuple(symbols) for shard, symbols in found.items()}
