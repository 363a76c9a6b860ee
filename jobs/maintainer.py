"""Regular maintenance of the database, beside other work or as a job of its own."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Self

from alphaplus.errors import StorageError
from alphaplus.storage.maintenance import maintain
from alphaplus.storage.maintenance_report import MaintenanceReport, Policy

log = logging.getLogger(__name__)

NICENESS: Final = 19
"""Packing may wait for the processor; books may not."""
RETRY_S: Final = 60.0
"""How soon it is tried again after it could not be done."""


async def regularly(
    dsn: str, policy: Policy, every_s: float, tell: Callable[[MaintenanceReport], None]
) -> None:
    """Do what is due now and every `every_s` seconds until cancelled; `tell` hears of each run."""
    while True:
        try:
            tell(await maintain(dsn, policy, time.time_ns()))
            pause_s = every_s
        except StorageError as error:
            pause_s = min(RETRY_S, every_s)
            log.warning("no maintenance, again in %.0f s: %s", pause_s, error)
        await asyncio.sleep(pause_s)


class Maintainer:
    """`regularly` in a thread of low priority, for the time of a `with` block."""

    def __init__(self, dsn: str, policy: Policy, every_s: float) -> None:
        self._work = dsn, policy, every_s
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._began.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """End; a partition that is being archived stays as it was."""
        assert self._running is not None  # set before the block is entered
        loop, task = self._running
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join()

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            log.debug("maintenance ends")
        except Exception:
            log.exception("maintenance has failed and is not done until the next start")

    async def _main(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running = asyncio.get_running_loop(), task
        self._began.set()
        await regularly(*self._work, tell=log_report)


def log_report(report: MaintenanceReport) -> None:
    """Say in one line what a run did."""
    log.info(
        "maintenance took %.1f s: %d partitions made, %d archived, %d dropped, %d failures",
        report.seconds,
        report.partitions_made,
        len(report.moved),
        report.chunks_dropped,
        len(report.failures),
    )
