"""The orderly end of a fleet: feeds stop, queues empty, rows are written, everybody reports."""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any, Final

from ray.exceptions import RayError

from actors.members import FleetMembers, Member
from alphaplus.storage.draining import together

log = logging.getLogger(__name__)

TELL_EVERY_S: Final = 2.0


async def drain(
    fleet: FleetMembers, timeout_s: float, limit_s: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Drain everyone in the order of the data's way; returns their reports by role.

    Feeds and symbols have parts of `timeout_s`; stores write as long as they get on within
    `timeout_s`, up to `limit_s`, and keep in the spool what is left then.
    """
    say("stopping feeds")
    feeds = await _survivors(
        "feed", (f.handle.stop.remote(timeout_s / 4) for f in fleet.feeds.values())
    )
    say("emptying queues")
    symbols = await _survivors(
        "symbol", (s.handle.drain.remote(timeout_s / 2) for s in fleet.symbols.values())
    )
    say("writing rows")
    telling = asyncio.create_task(_tell(list(fleet.stores.values()), say))
    stores = await _survivors(
        "store", (s.handle.drain.remote(timeout_s, limit_s) for s in fleet.stores.values())
    )
    telling.cancel()
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


async def _tell(stores: list[Member], say: Callable[[str], None]) -> None:
    """Say how far the stores are, for ever."""
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        told = await _survivors("store", (store.handle.draining.remote() for store in stores))
        parts = [progress for progress in told if progress is not None]
        if parts:
            say(f"writing rows: {together(parts)}")


async def _survivors(what: str, awaitables: Any) -> list[Any]:
    """Return the answers of those that live; who died takes its report along."""
    found = await asyncio.gather(*awaitables, return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            if not isinstance(error, RayError):
                raise error
            log.error("no report of a %s: %s", what, error)
    return [item for item in found if not isinstance(item, BaseException)]
