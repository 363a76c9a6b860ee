"""Which nodes have room for an actor, by what Ray has given away so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Offer = Mapping[str, float]
"""Ray's resources of a node: `CPU`, and `memory` in bytes."""


ROUNDING: Final = 1e-6
"""Ray counts in ten-thousandths, which are no floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an actor asks of a node."""

    cpus: float
    memory_mb: float

    def fits(self, offer: Offer) -> bool:
        """Whether a node that offers so much can take it."""
        has_memory = offer.get("memory", 0.0) >= int(self.memory_mb * 1e6)
        return has_memory and offer.get("CPU", 0.0) >= self.cpus

    def times(self, offer: Offer) -> int:
        """Return how many such actors a node that offers so much can take."""
        memory = offer.get("memory", 0.0) / int(self.memory_mb * 1e6)
        return int(min(memory, offer.get("CPU", 0.0) / self.cpus + ROUNDING))

    def plus(self, other: "Demand", times: int) -> "Demand":
        """Return this and some times another."""
        return Demand(
            cpus=self.cpus + other.cpus * times,
            memory_mb=self.memory_mb + other.memory_mb * times,
        )

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU and {self.memory_mb:g} MB"


def shortage(demand: Demand, free: Mapping[str, Offer]) -> str | None:
    """Say that no node has room for an actor; None if one has."""
    if any(demand.fits(offer) for offer in free.values()):
        return None
    return f"no node with {demand} free"


def is_placed(handle: Any) -> bool:
    """Say whether an actor that does not answer yet has got a node, and starts there.

    Until then Ray's head knows no process of it. An address it may have: that of a node where it
    waits for others to end.
    """
    from ray._private.state import actors

    found: dict[str, Any] = actors(handle._actor_id.hex())
    return bool(found["Pid"])


def free_resources() -> dict[str, Offer]:
    """Return what is free on every node that lives, by its id; waits for the cluster's head.

    `ray.available_resources` sums the nodes up, and a sum says nothing of room for one actor.
    """
    from ray._private.state import available_resources_per_node

    free: dict[str, Offer] = available_resources_per_node()  # type: ignore[no-untyped-call]
    return free
