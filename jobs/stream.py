"""The main job: watch the configured symbols until told to stop, then drain.

    ray job submit --working-dir . -- python -m jobs.stream

SIGTERM (`ray job stop`) and Ctrl-C stop the feeds, let the queues empty, write every row that
was accepted, and end with a summary.
"""

import argparse
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import ray
from ray.exceptions import RayTaskError

from actors import names
from actors.portfolio import milliseconds
from actors.supervisor import SupervisorActor
from alphaplus.analysis.registry import check_names
from alphaplus.analysis.state import COUNTERS, STATE
from alphaplus.config import Settings
from alphaplus.errors import AlphaPlusError, ConfigError
from alphaplus.kernels import ensure_compiled
from alphaplus.latency import LatencyHistogram
from alphaplus.log import set_up_logging
from jobs.arguments import finish, parser, settings_of
from jobs.services import Services

log = logging.getLogger("jobs.stream")

REPORT_EVERY_S: Final = 10.0
POLL_S: Final = 0.25


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the job; returns the summary."""
    settings = settings_of(arguments)
    set_up_logging(settings.log)
    check_names(settings.analysis.measures)
    stop = threading.Event()
    ray.init(namespace=names.NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets its own
        signal.signal(number, lambda *_: stop.set())
    try:
        with Services(settings) as services:
            return _stream(settings, services, stop, arguments.duration)
    finally:
        ray.shutdown()


def _stream(
    settings: Settings, services: Services, stop: threading.Event, duration_s: float | None
) -> dict[str, Any]:
    ensure_compiled()  # said here, where somebody reads it; the actors would do it silently
    supervisor = _create_supervisor(settings, services)
    started = supervisor.start.remote()
    while not stop.is_set():
        ready, _ = ray.wait([started], timeout=POLL_S)
        if ready:
            break
    if not stop.is_set():
        try:
            symbols = ray.get(started)["symbols"]
        except RayTaskError as error:
            if isinstance(error.cause, AlphaPlusError):
                raise error.cause from error
            raise
        log.info("watching %d symbols: %s", len(symbols), ", ".join(symbols))
        _wait(supervisor, stop, duration_s)
    log.info("draining")
    report = ray.get(supervisor.drain.remote(), timeout=settings.fleet.drain_timeout_s * 2)
    return summarise(report, services.usage())


def _create_supervisor(settings: Settings, services: Services) -> Any:
    options = {
        "name": names.SUPERVISOR,
        "namespace": names.NAMESPACE,
        "num_cpus": 0.01,
        "max_concurrency": 32,
    }
    try:
        return SupervisorActor.options(**options).remote(
            settings, services.dsn, services.venue_url, services.run_directory
        )
    except ValueError as error:
        raise ConfigError(
            "A stream job already owns the fleet of this cluster; "
            "stop it first (ray job list, ray job stop ID)."
        ) from error


def _wait(supervisor: Any, stop: threading.Event, duration_s: float | None) -> None:
    """Report now and then until it is time to stop; raises if the supervisor dies."""
    end = time.monotonic() + (duration_s or float("inf"))
    next_report = time.monotonic() + REPORT_EVERY_S
    while not stop.wait(min(POLL_S, max(end - time.monotonic(), 0))):
        if time.monotonic() >= end:
            return
        if time.monotonic() >= next_report:
            next_report += REPORT_EVERY_S
            stats = ray.get(supervisor.stats.remote(), timeout=REPORT_EVERY_S)
            log.info(
                "%s symbols, %s stale, %s messages, %s gaps, %s dropped, %s rows, p99 %s ms",
                *(
                    stats.get(name)
                    for name in (
                        "symbols",
                        "stale_symbols",
                        "messages",
                        "gaps",
                        "dropped",
                        "rows_written",
                        "p99_ms",
                    )
                ),
            )


def summarise(report: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """Make one flat object of everyone's reports."""
    symbols = report["symbols"]
    states = [state for item in symbols for state in item["states"]]
    total = np.concatenate(states) if states else np.zeros(0, dtype=STATE)
    latencies = _merged(item["latencies"] for item in symbols)
    starting = _merged(item["starting_latencies"] for item in symbols)
    of_book = _merged(item["book_latencies"] for item in symbols)
    counts = {name: int(total[name].sum()) for name in COUNTERS}
    feeds, store = report["feeds"], report["store"]
    fleet = [*symbols, *feeds, store, report["portfolio"], report.get("supervisor", {})]
    times = os.times()
    return {
        "symbols": len(symbols),
        "messages": counts["messages"],
        "level_updates": counts["level_updates"],
        "trades": counts["trades"],
        "gaps": counts["gaps"],
        "resyncs": counts["resyncs"],
        "bad_frames": sum(feed["bad_frames"] for feed in feeds),
        "dropped": counts["dropped"] + sum(feed["dropped_events"] for feed in feeds),
        "rows_sent": sum(item["rows_sent"] for item in (*symbols, *feeds)),
        "rows_accepted": store.get("rows_accepted", 0),
        "rows_written": store.get("rows_written", 0),
        "rows_duplicate": store.get("rows_duplicate", 0),
        "rows_dead": store.get("rows_dead", 0),
        "p50_ms": milliseconds(latencies, 50),
        "p99_ms": milliseconds(latencies, 99),
        "p50_ms_of_book": milliseconds(of_book, 50),
        "p99_ms_of_book": milliseconds(of_book, 99),
        "p99_ms_while_starting": milliseconds(starting, 99),
        "audit": {"equal": counts["audit_equal"], "different": counts["audit_different"]},
        "cpu_s": round(
            sum(item.get("cpu_s", 0.0) for item in fleet)
            + sum(item["cpu_s"] for item in usage.values())
            + times.user
            + times.system,
            1,
        ),
        "repairs": report.get("repairs", 0),
        "book_hash": {item["symbol"]: item["book_hash"] for item in symbols},
        "cpu_s_by_role": {
            "feeds": round(sum(item["cpu_s"] for item in feeds), 2),
            "symbols": round(sum(item["cpu_s"] for item in symbols), 2),
            "store": round(store.get("cpu_s", 0.0), 2),
            "portfolio": round(report["portfolio"].get("cpu_s", 0.0), 2),
            **{name: item["cpu_s"] for name, item in usage.items()},
        },
    }


def _merged(packed: Iterable[bytes]) -> LatencyHistogram:
    return sum(map(LatencyHistogram.from_bytes, packed), LatencyHistogram())


def main() -> None:
    """Parse the command line and run."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--duration", type=float, help="seconds until it drains by itself")
    finish(run, options.parse_args())


if __name__ == "__main__":
    main()
