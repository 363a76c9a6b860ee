"""What code a process of the fleet runs, so that a cluster of mixed versions is noticed.

Nodes get the code with the job or with their image. One whose image is older would run an actor
that speaks another dialect of the streams, so it gets none.
"""

import asyncio
import logging
from typing import Any

from ray.exceptions import RaySystemError, RayTaskError

from actors.members import in_time
from actors.template.command import code_digest
from alphaplus.errors import FleetConflict

log = logging.getLogger(__name__)


def code_of(_actor: Any) -> str:
    """Return the checksum of the code of an actor; to be run in it by `__ray_call__`."""
    return code_digest()


def placed_on(handle: Any) -> str:
    """Return Ray's id of the node of an actor that lives; waits for the cluster's head.

    The head is asked, not the actor, whose code may be another.
    """
    from ray._private.state import actors as table

    found: dict[str, Any] = table(handle._actor_id.hex())
    return str(found["Address"]["NodeID"])


class Inspection:
    """Finds actors whose code is not ours, and remembers the nodes that have it."""

    def __init__(self, ours: str | None = None) -> None:
        self.refused: dict[str, str] = {}
        """Why nodes get no actors, by their id."""
        self._ours = ours or code_digest()
        self._alike: set[str] = set()

    async def node_of(self, handle: Any, name: str) -> str:
        """Return the node of an actor that lives; raises FleetConflict if its code is not ours."""
        node = await asyncio.to_thread(placed_on, handle)
        if node not in self._alike | self.refused.keys():
            code = await _asked_code(handle)
            if code == self._ours:
                self._alike.add(node)
            else:
                self.refused[node] = (
                    f"Expected node {node} to have the supervisor's code ({self._ours}), was "
                    f"{code}; bring it to the same version, or take it out of the cluster."
                )
                log.error("%s is refused there: %s", name, self.refused[node])
        if node in self.refused:
            raise FleetConflict(self.refused[node])
        return node


async def _asked_code(handle: Any) -> str:
    try:
        return str(await in_time(handle.__ray_call__.remote(code_of)))
    except (RayTaskError, RaySystemError) as error:
        log.warning("an actor cannot say what code it has: %s", error)
        return "older than that"
