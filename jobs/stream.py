"""The main job: watch the configured symbols until told to stop, then drain.

    ray job submit --working-dir . -- python -m jobs.stream

SIGTERM (`ray job stop`) and Ctrl-C stop the feeds, let the queues empty, write the rows that
were accepted as long as that makes progress (`fleet.drain_limit_s` at most), and end with a
summary. Exit code 3: rows remain in the spool and are written at the next start.
"""

import argparse
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from actors import names
from actors.environment import fleet_environment
from actors.load_table import milliseconds
from actors.node import check_database, living_nodes, stay_here
from actors.supervisor import SupervisorActor
from alphaplus.analysis.registry import check_names
from alphaplus.analysis.state import COUNTERS, STATE
from alphaplus.config import Settings, settings_environment
from alphaplus.errors import AlphaPlusError, ConfigError
from alphaplus.feeds.pacing import Backoff
from alphaplus.kernels import ensure_compiled
from alphaplus.latency import LatencyHistogram
from alphaplus.log import set_up_logging
from alphaplus.storage.maintenance_report import Policy
from alphaplus.storage.spool_folders import SPOOL
from jobs.arguments import finish, parser, settings_of
from jobs.maintainer import Maintainer
from jobs.services import Services

log = logging.getLogger("jobs.stream")

REPORT_EVERY_S: Final = 10.0
REPORTED: Final = (
    "symbols",
    "stale_symbols",
    "messages",
    "gaps",
    "dropped",
    "rows_written",
    "p99_ms",
)
POLL_S: Final = 0.25
TELL_DRAIN_S: Final = 5.0
NAME_TIMEOUT_S: Final = 20.0
"""How long the names of a fleet that has lost its job may still be taken."""
SUPERVISORS: Final = 10
"""So many supervisors are lost before the job gives up."""
BACKOFF: Final = Backoff(first_s=1.0, cap_s=30.0)


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
        dsn = settings.storage.dsn
        check_database(None if dsn is None else dsn.get_secret_value(), living_nodes())
        policy = Policy.from_settings(settings.storage)
        every_s = settings.storage.maintain_every_min * 60
        with Services(settings) as services, Maintainer(services.dsn, policy, every_s):
            return _stream(settings, services, stop, arguments.duration)
    finally:
        ray.shutdown()


def _stream(
    settings: Settings, services: Services, stop: threading.Event, duration_s: float | None
) -> dict[str, Any]:
    ensure_compiled()  # said here, where somebody reads it; the actors would do it silently
    failures, end = 0, None
    while True:
        supervisor = _create_supervisor(settings, services)
        try:
            _start_fleet(supervisor, stop)
            end = end or time.monotonic() + (duration_s or float("inf"))
            _wait(supervisor, stop, end)
            report = _drained(supervisor, settings)
        except RayTaskError as error:
            if isinstance(error.cause, AlphaPlusError):
                raise error.cause from error
            raise
        except RayActorError as error:  # and the fleet that it owned with it
            failures += 1
            if stop.is_set() or failures >= SUPERVISORS:
                raise
            log.error("the supervisor died, and another is started: %s", error)
            ray.kill(supervisor)  # Ray keeps a dead actor's name for whoever holds its handle
            stop.wait(BACKOFF.delay_s(failures, random.random()))
            continue
        return {**summarise(report, services.usage()), "supervisors_lost": failures}


def _start_fleet(supervisor: Any, stop: threading.Event) -> None:
    """Return once the fleet runs, or as soon as it is to stop."""
    started = supervisor.start.remote()
    while not stop.is_set():
        ready, _ = ray.wait([started], timeout=POLL_S)
        if ready:
            found = ray.get(started)
            symbols, pending = found["symbols"], found["pending"]
            log.info("watching %d symbols: %s", len(symbols), ", ".join(symbols))
            for symbol, reason in pending.items():
                log.warning("%s is pending: %s", symbol, reason)
            return


def _create_supervisor(settings: Settings, services: Services) -> Any:
    options: dict[str, Any] = {
        "name": names.SUPERVISOR,
        "namespace": names.NAMESPACE,
        "num_cpus": 0.01,
        "max_concurrency": 32,
    }
    if told := fleet_environment(settings_environment(settings)):
        options["runtime_env"] = {"env_vars": told}
    taken = ConfigError(
        "A stream job already owns the fleet of this cluster; "
        "stop it first (ray job list, ray job stop ID)."
    )
    if _supervisor_lives():
        raise taken
    give_up = time.monotonic() + NAME_TIMEOUT_S
    while _names_taken() and time.monotonic() < give_up:
        time.sleep(POLL_S)  # a fleet that has lost its supervisor, or its job, is about to go
    try:
        return SupervisorActor.options(**stay_here(options)).remote(
            settings, services.dsn, services.venue_url, services.run_directory
        )
    except ValueError as error:
        raise taken from error


def _names_taken() -> bool:
    named = ray.util.list_named_actors(all_namespaces=True)
    return any(item["namespace"] == names.NAMESPACE for item in named)


def _supervisor_lives() -> bool:
    try:
        ray.get(names.supervisor().progress.remote(), timeout=NAME_TIMEOUT_S)
    except (LookupError, RayError):
        return False
    return True


def _wait(supervisor: Any, stop: threading.Event, end: float) -> None:
    """Report now and then until it is time to stop; raises if the supervisor dies."""
    next_report = time.monotonic() + REPORT_EVERY_S
    while not stop.wait(min(POLL_S, max(end - time.monotonic(), 0))):
        if time.monotonic() >= end:
            return
        if time.monotonic() >= next_report:
            next_report += REPORT_EVERY_S
            try:
                stats = ray.get(supervisor.stats.remote(), timeout=REPORT_EVERY_S)
            except (RayTaskError, GetTimeoutError) as error:  # the supervisor's, not its death
                log.warning("the board does not answer: %s", str(error).splitlines()[-1])
                continue
            log.info(
                "%s symbols, %s stale, %s messages, %s gaps, %s dropped, %s rows, p99 %s ms",
                *(stats.get(name) for name in REPORTED),
            )


def _drained(supervisor: Any, settings: Settings) -> dict[str, Any]:
    """Have the fleet drain, and say how far it is; returns everyone's report."""
    log.info("draining")
    report = supervisor.drain.remote()
    give_up = time.monotonic() + settings.fleet.longest_drain_s
    while not ray.wait([report], timeout=TELL_DRAIN_S)[0]:
        if time.monotonic() > give_up:
            raise AlphaPlusError(
                f"The fleet has not drained within {settings.fleet.longest_drain_s:g} s. Rows that "
                "were accepted are safe in the spool and will be written at the next start."
            )
        log.info("draining: %s", ray.get(supervisor.progress.remote(), timeout=NAME_TIMEOUT_S))
    found: dict[str, Any] = ray.get(report)
    left = sum(store["rows_pending"] for store in found["stores"])
    if left:
        log.warning(
            "%d rows remain in the spool %s and will be written at the next start; "
            "fleet.drain_limit_s bounds how long they are waited for",
            left,
            settings.storage.data_dir / SPOOL,
        )
    return found


def summarise(report: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """Make one flat object of everyone's reports, of symbols that left meanwhile too."""
    symbols = [*report["symbols"], *report.get("left", [])]
    states = [state for item in symbols for state in item["states"]]
    total = np.concatenate(states) if states else np.zeros(0, dtype=STATE)
    latencies = _merged(item["latencies"] for item in symbols)
    starting = _merged(item["starting_latencies"] for item in symbols)
    of_book = _merged(item["book_latencies"] for item in symbols)
    counts = {name: int(total[name].sum()) for name in COUNTERS}
    feeds, stores = report["feeds"], report["stores"]
    fleet = [*symbols, *feeds, *stores, report["portfolio"], report.get("supervisor", {})]
    times = os.times()
    return {
        "symbols": len(report["symbols"]),
        "symbols_left": len(symbols) - len(report["symbols"]),
        "messages": counts["messages"],
        "level_updates": counts["level_updates"],
        "trades": counts["trades"],
        "gaps": counts["gaps"],
        "resyncs": counts["resyncs"],
        "bad_frames": sum(feed["bad_frames"] for feed in feeds),
        "dropped": counts["dropped"] + sum(feed["dropped_events"] for feed in feeds),
        "rows_sent": sum(item["rows_sent"] for item in (*symbols, *feeds)),
        "rows_accepted": sum(store["rows_accepted"] for store in stores),
        "rows_written": sum(store["rows_written"] for store in stores),
        "rows_duplicate": sum(store["rows_duplicate"] for store in stores),
        "rows_dead": sum(store["rows_dead"] for store in stores),
        "rows_left": sum(store["rows_pending"] for store in stores),
        "rows_unaccepted": sum(item.get("rows_unacked", 0) for item in (*symbols, *feeds)),
        "messages_measured": len(latencies),
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
        "book_hash": {item["symbol"]: item["book_hash"] for item in report["symbols"]},
        "cpu_s_by_role": {
            "feeds": round(sum(item["cpu_s"] for item in feeds), 2),
            "symbols": round(sum(item["cpu_s"] for item in symbols), 2),
            "store": round(sum(store["cpu_s"] for store in stores), 2),
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
