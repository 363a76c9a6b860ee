"""Which nodes have room for an actor, by what Ray has given away so far."""

from collections.abc import Mapping
from dataclasses import dataclass

Offer = Mapping[str, float]
"""Ray's resources of a node: `CPU`, and `memory` in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an actor asks of a node."""

    cpus: float
    memory_mb: float

    def fits(self, offer: Offer) -> bool:
        """Whether a node that offers so much can take it."""
        has_memory = offer.get("memory", 0.0) >= int(self.memory_mb * 1e6)
        return has_memory and offer.get("CPU", 0.0) >= self.cpus

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU and {self.memory_mb:g} MB"


def shortage(demand: Demand, free: Mapping[str, Offer]) -> str | None:
    """Say that no node has room for an actor; None if one has."""
    if any(demand.fits(offer) for offer in free.values()):
        return None
    return f"no node with {demand} free"


def free_resources() -> dict[str, Offer]:
    """Return what is free on every node that lives, by its id; waits for the cluster's head.

    `ray.available_resources` sums the nodes up, and a sum says nothing of room for one actor.
    """
    from ray._private.state import available_resources_per_node

    free: dict[str, Offer] = available_resources_per_node()  # type: ignore[no-untyped-call]
    return free
