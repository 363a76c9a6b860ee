"""What each actor asks of a node, and whether any node there is, or may be made, can take it.

An actor that fits no node waits for ever, and an autoscaler makes no node for it.
"""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from alphaplus.config import Fleet, Settings
from alphaplus.errors import AlphaPlusError, ConfigError

Offer = Mapping[str, float]
"""Ray's resources of a node: `CPU`, and `memory` in bytes."""

PATIENCE_S: Final = 30.0
_ASK: Final = (
    "import json, ray; ray.init(log_to_driver=False, logging_level='ERROR'); "
    "print(json.dumps({n['NodeID']: n['Resources'] for n in ray.nodes() if n['Alive']}))"
)


def demands(fleet: Fleet) -> Mapping[str, Offer]:
    """Return what one actor of each role asks for, by the role's name in the settings.

    One of symbols asks for as many as `symbols_per_actor` says, or for one.
    """
    roles = [name.removesuffix("_cpus") for name in Fleet.model_fields if name.endswith("_cpus")]
    found = {
        role: {
            "CPU": getattr(fleet, f"{role}_cpus"),
            "memory": getattr(fleet, f"{role}_memory_mb") * 1e6,
        }
        for role in roles
    }
    others = 0 if fleet.symbols_per_actor == "auto" else fleet.symbols_per_actor - 1
    found["symbol"]["CPU"] += fleet.symbol_cpus * others
    found["symbol"]["memory"] += fleet.next_symbol_memory_mb * 1e6 * others
    return found


def processors_to_tell(settings: Settings, cpus: int) -> int:
    """Return of how many processors to tell Ray where one machine is all there is.

    Ray's numbers keep actors from a full node until there is another one. Here there will be
    none, so a fleet that asks for more than half of the machine is given what it asks for.
    """
    fleet, feeds = settings.fleet, settings.feeds
    symbols = len(feeds.symbols) or settings.venue.symbols
    asked = (
        symbols * fleet.symbol_cpus
        + math.ceil(symbols / feeds.symbols_per_feed) * fleet.feed_cpus
        + settings.storage.writers * fleet.store_cpus
        + fleet.portfolio_cpus
    )
    return cpus if asked <= cpus / 2 else cpus + math.ceil(asked)


def misfits(fleet: Fleet, offers: Mapping[str, Offer]) -> list[str]:
    """Say of every role that fits none of the nodes what it asks for."""
    return [
        f"a {role} asks for {asked['CPU']:g} CPU and {asked['memory'] / 1e6:g} MB"
        for role, asked in demands(fleet).items()
        if not any(_fits(asked, offer) for offer in offers.values())
    ]


def node_types(path: Path) -> dict[str, Offer]:
    """Return the resources of each node type of a cluster file; none are said: left out.

    Raises ConfigError for what is no cluster file.
    """
    import yaml

    try:
        loaded: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        types = loaded.get("available_node_types") or {}
        return {
            name: dict(kind["resources"]) for name, kind in types.items() if kind.get("resources")
        }
    except (OSError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"Expected a cluster file in {path}, was not so: {error}.") from error


def running_nodes() -> dict[str, Offer]:
    """Return the resources of each node of the cluster at RAY_ADDRESS; raises AlphaPlusError.

    Ray is asked by another process: connecting starts threads and takes over the signals.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        nodes: dict[str, Offer] = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise AlphaPlusError(
            f"Expected the cluster at RAY_ADDRESS to tell its nodes, was {type(error).__name__}; "
            "check the address and RAY_AUTH_TOKEN."
        ) from error
    return nodes


def _fits(asked: Offer, offer: Offer) -> bool:
    return all(offer.get(name, 0.0) >= amount for name, amount in asked.items())
