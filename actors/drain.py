"""The orderly end of a fleet: feeds stop, queues empty, rows are written, everybody reports."""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

from ray.exceptions import RayError

from actors.members import FleetMembers

log = logging.getLogger(__name__)


async def drain(
    fleet: FleetMembers, timeout_s: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Drain everyone in the order of the data's way; returns their reports by role."""
    say("stopping feeds")
    feeds = await _survivors(
        "feed", (f.handle.stop.remote(timeout_s / 4) for f in fleet.feeds.values())
    )
    say("emptying queues")
    symbols = await _survivors(
        "symbol", (s.handle.drain.remote(timeout_s / 2) for s in fleet.symbols.values())
    )
    say("writing rows")
    stores = await _survivors(
        "store", (s.handle.drain.remote(timeout_s) for s in fleet.stores.values())
    )
    portfolios = await _survivors("portfolio", [fleet.portfolio.handle.report.remote()])
    await _survivors("store", (s.handle.close.remote() for s in fleet.stores.values()))
    say("drained")
    times = os.times()
    return {
        "feeds": feeds,
        "symbols": symbols,
        "stores": stores,
        "portfolio": portfolios[0] if portfolios else {},
        "supervisor": {"pid": os.getpid(), "cpu_s": times.user + times.system},
    }


async def _survivors(what: str, awaitables: Any) -> list[Any]:
    """Return the answers of those that live; who died takes its report along."""
    found = await asyncio.gather(*awaitables, return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            if not isinstance(error, RayError):
                raise error
            log.error("no report of a %s: %s", what, error)
    return [item for item in found if not isinstance(item, BaseException)]
