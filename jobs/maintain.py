"""Maintain the database: partitions ahead, archive, retention; once, or every so many minutes.

    ray job submit --working-dir . -- python -m jobs.maintain
    python -m jobs.maintain --every 15 --json

The stream job does the same by itself every `storage.maintain_every_min`. Two at the same time do
not happen: the second one is refused.
"""

import argparse
import asyncio
import contextlib
import signal
import time
from typing import Any

from alphaplus.errors import ConfigError
from alphaplus.log import set_up_logging
from alphaplus.storage.access import database, require_schema
from alphaplus.storage.maintenance import maintain
from alphaplus.storage.maintenance_report import MaintenanceReport, Policy
from jobs.arguments import finish, parser, settings_of
from jobs.maintainer import log_report, regularly


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the job; returns the summary of the last run, and how many there were."""
    settings = settings_of(arguments)
    set_up_logging(settings.log)
    policy = Policy.from_settings(settings.storage)
    if arguments.every is not None and not 0 < arguments.every < float("inf"):
        raise ConfigError(f"Expected --every above 0 minutes, was {arguments.every}.")
    reports: list[MaintenanceReport] = []
    with database(settings.storage) as dsn:
        asyncio.run(_work(dsn, policy, arguments.every, reports))
    if not reports:
        return {"runs": 0}
    return {"runs": len(reports), **reports[-1].summary()}


async def _work(
    dsn: str, policy: Policy, every_min: float | None, reports: list[MaintenanceReport]
) -> None:
    def tell(report: MaintenanceReport) -> None:
        log_report(report)
        reports.append(report)

    await require_schema(dsn)
    if every_min is None:
        tell(await maintain(dsn, policy, time.time_ns()))
        return
    task = asyncio.ensure_future(regularly(dsn, policy, every_min * 60, tell))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _parser() -> argparse.ArgumentParser:
    result = parser(__doc__.splitlines()[0])
    result.add_argument("--every", type=float, metavar="MIN", help="minutes; default: only once")
    return result


if __name__ == "__main__":
    finish(run, _parser().parse_args())
