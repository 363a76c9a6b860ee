"""Which symbols should change their node, now that nodes have come or gone. Plain functions.

A move costs a symbol some seconds of staleness, so few are made at a time, and none for a small
gain. `spread` evens the nodes out, for latency; `pack` empties the node with the fewest symbols if
the others have room for them, so that an autoscaler can take it away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MARGIN: Final = 2
"""Nodes may differ by so many symbols, and the packed ones keep room for so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A symbol, and the node that it should be on."""

    symbol: str
    node: str


def spread(places: Mapping[str, str], room: Mapping[str, int], *, at_once: int) -> tuple[Move, ...]:
    """Return moves from the fullest node to the emptiest one, at most `at_once`.

    `places` is the node of each symbol, `room` how many more symbols each node can take. Nodes
    that differ by `MARGIN` or less are even.
    """
    counts = _counts(places, room)
    free = {node: n for node, n in counts.items() if room.get(node, 0) > 0}
    if not free:
        return ()
    full = max(counts, key=lambda node: (counts[node], node))
    empty = min(free, key=lambda node: (free[node], node))
    surplus = counts[full] - counts[empty]
    if surplus <= MARGIN:
        return ()
    number = min(at_once, surplus // 2, room[empty])
    leaving = sorted(symbol for symbol, node in places.items() if node == full)[-number:]
    return tuple(Move(symbol=symbol, node=empty) for symbol in leaving)


def pack(
    places: Mapping[str, str], room: Mapping[str, int], *, at_once: int, keep: str = ""
) -> tuple[Move, ...]:
    """Return moves off the node with the fewest symbols onto the fullest with room, as `spread`.

    None unless all of its symbols fit on the others that have some, with `MARGIN` to spare. The
    node `keep` is never emptied: it is there for something else, and takes symbols if it can.
    """
    counts = {node: n for node, n in _counts(places, room).items() if n or node == keep}
    candidates = [node for node in counts if node != keep]
    if len(counts) < 2 or not candidates:
        return ()
    emptied = min(candidates, key=lambda node: (counts[node], node))
    left = {node: room.get(node, 0) for node in counts if node != emptied}
    if sum(left.values()) < counts[emptied] + MARGIN:
        return ()
    found = []
    for symbol in sorted(s for s, node in places.items() if node == emptied)[:at_once]:
        node = max((n for n in left if left[n]), key=lambda n: (counts[n], n))
        left[node] -= 1
        found.append(Move(symbol=symbol, node=node))
    return tuple(found)


def _counts(places: Mapping[str, str], room: Mapping[str, int]) -> dict[str, int]:
    counts = dict.fromkeys([*places.values(), *room], 0)
    for node in places.values():
        counts[node] += 1
    return counts
