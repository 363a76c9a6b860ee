"""How an actor is ended for certain: whoever takes its place begins after that."""

import asyncio
from typing import Any, Final

import ray

from actors import names

LOOK_EVERY_S: Final = 0.05


async def killed(handle: Any, name: str) -> None:
    """Kill an actor for good, and return when its name is free."""
    await asyncio.to_thread(ray.kill, handle, no_restart=True)
    while await asyncio.to_thread(names.is_taken, name):  # noqa: ASYNC110  # Ray tells nobody
        await asyncio.sleep(LOOK_EVERY_S)


async def predecessors_ended() -> None:
    """Return when no actor of an earlier fleet keeps symbols: those of a supervisor that died."""
    while await asyncio.to_thread(names.keepers):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_EVERY_S)


async def restarted(handle: Any) -> None:
    """Kill the process of an actor, and return when it is gone; Ray starts the next."""
    process = await asyncio.to_thread(_process_of, handle)
    await asyncio.to_thread(ray.kill, handle, no_restart=False)
    while process and process == await asyncio.to_thread(_process_of, handle):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_EVERY_S)


def _process_of(handle: Any) -> tuple[str, int] | None:
    """Return node and process of an actor that lives, None of one that does not."""
    from ray._private.state import actors

    found: dict[str, Any] = actors(handle._actor_id.hex())
    if found["State"] != "ALIVE":
        return None
    return str(found["Address"]["NodeID"]), int(found["Pid"])
