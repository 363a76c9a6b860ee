"""What every actor and deployment of ours asks of a cluster, as the settings and the code say."""

from collections.abc import Mapping
from dataclasses import dataclass

from alphaplus.config import Fleet
from serve.app import deployment


@dataclass(frozen=True, slots=True)
class Demand:
    """Resources by Ray's names; memory in bytes."""

    role: str
    resources: Mapping[str, float]

    def fits(self, offered: Mapping[str, float]) -> bool:
        return all(offered.get(name, 0) >= wanted for name, wanted in self.resources.items())


def demands(fleet: Fleet) -> list[Demand]:
    """Return one per role of the fleet, and that of an API replica."""
    roles = [name.removesuffix("_cpus") for name in Fleet.model_fields if name.endswith("_cpus")]
    found = [
        Demand(
            role,
            {
                "CPU": getattr(fleet, f"{role}_cpus"),
                "memory": getattr(fleet, f"{role}_memory_mb") * 1e6,
            },
        )
        for role in roles
    ]
    assert deployment.ray_actor_options is not None
    cpus = float(deployment.ray_actor_options["num_cpus"])
    return [*found, Demand("api", {"CPU": cpus})]
