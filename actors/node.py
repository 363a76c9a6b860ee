"""The node that a process finds itself on, and who of the fleet stays on that of the job.

Everything that has one place (supervisor, stores, portfolio, the feeds of a venue on loopback)
stays on the node of the stream job, so that spool, embedded database and socket files are where
they were when Ray starts an actor again. Symbols, and feeds of an exchange, go where there is room.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from alphaplus.errors import ConfigError


def this_node() -> str:
    """Return Ray's id of the node of this process; empty where there is no Ray."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def living_nodes() -> list[dict[str, Any]]:
    """Return what Ray tells of every node that lives."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def this_address() -> str:
    """Return the address of this node, as Ray knows it."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def stay_here(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of an actor that lives on the node of this process and nowhere else.

    Where the node offers no CPU, as a head does, it asks for none.
    """
    here = this_node()
    offered = {node["NodeID"]: node["Resources"] for node in living_nodes()}
    cpus = options.get("num_cpus", 0) if offered.get(here, {}).get("CPU") else 0
    pinned = NodeAffinitySchedulingStrategy(here, soft=False)
    return {**options, "num_cpus": cpus, "scheduling_strategy": pinned}


def is_loopback(host: str) -> bool:
    """Say whether only its own machine reaches a host.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_here_only(url: str | None) -> bool:
    """Say whether a venue answers on the job's machine only."""
    return url is not None and is_loopback(urlsplit(url).hostname or "")


def check_database(dsn: str | None, nodes: Iterable[Mapping[str, Any]]) -> None:
    """Raise ConfigError where a fleet on several machines would have an embedded database."""
    machines = {node["NodeManagerAddress"] for node in nodes}
    if dsn is None and len(machines) > 1:
        raise ConfigError(
            f"Expected storage.dsn on a cluster of {len(machines)} machines, was none, and the "
            "embedded database answers on its own machine only; set ALPHAPLUS_STORAGE__DSN."
        )


def is_one_machine() -> bool:
    """Say whether the cluster is this machine and can be no more: Ray listens on loopback."""
    return len(living_nodes()) < 2 and is_loopback(this_address())
