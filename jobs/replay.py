"""Replay recordings through decoder, book, audit and measures, on all nodes of the cluster.

    python -m jobs.replay FILE FOLDER --json
    ray job submit --working-dir . --entrypoint-num-cpus 0.1 -- python -m jobs.replay FOLDER

Every recording is a task of its own, so a folder takes as long as its largest one where there
are nodes enough. All nodes must see the files at the same path. Nothing is written: it can be
stopped at any time, and then says what is done. Progress goes to standard error.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayTaskError

from actors import names
from alphaplus.errors import CaptureError, ConfigError
from alphaplus.feeds.capture import PARQUET_SUFFIX, RAW_SUFFIX
from alphaplus.feeds.replay import ReplayReport, replay
from alphaplus.kernels import ensure_compiled
from jobs.arguments import finish

TELL_EVERY_S: Final = 1.0
REPORT_EVERY_S: Final = 5.0
TOTALS: Final = (
    "messages", "level_updates", "trades", "gaps", "resyncs", "crossed", "bad_frames",
)  # fmt: skip


@dataclass(slots=True)
class Progress:
    """How far each recording has come; `ProgressActor` is the same as a Ray actor."""

    _shares: dict[str, float] = field(default_factory=dict)

    def tell(self, path: str, done: int, of: int) -> None:
        """Take how many frames of how many are done."""
        self._shares[path] = done / of if of else 1.0

    def shares(self) -> dict[str, float]:
        """Return the share of each recording that has begun, 0 to 1."""
        return dict(self._shares)


ProgressActor: Any = ray.remote(Progress)


def replay_one(path: str, batch: int, board: Any) -> ReplayReport:
    """Replay one recording where this runs, and tell the board how far it is, now and then."""
    due = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal due
        if time.monotonic() >= due or done == of:
            due = time.monotonic() + TELL_EVERY_S
            board.tell.remote(path, done, of)

    ensure_compiled()
    return replay(path, batch=batch, progress=tell)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the job; returns the summary."""
    if arguments.batch < 1 or arguments.cpus <= 0:
        raise ConfigError(
            "Expected --batch of 1 or more and --cpus above 0, "
            f"was {arguments.batch} and {arguments.cpus:g}."
        )
    paths = recordings(arguments.paths)
    stop = threading.Event()
    ray.init(namespace=names.NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets its own
        signal.signal(number, lambda *_: stop.set())
    try:
        begun = time.monotonic()
        reports, unusable = replay_all(paths, arguments, stop)
        seconds = time.monotonic() - begun
    finally:
        ray.shutdown()
    if unusable and not reports:
        raise CaptureError(next(iter(unusable.values())))
    summary = summarise(list(reports.values()), seconds)
    unfinished = [path for path in paths if path not in reports and path not in unusable]
    summary |= {"unusable": unusable, "unfinished": unfinished}
    if arguments.json:
        summary["recordings"] = [asdict(report) for report in reports.values()]
    return summary


def recordings(wanted: Sequence[Path]) -> list[str]:
    """Return the files that are named, and the recordings in folders; raises CaptureError."""
    found: dict[str, None] = {}
    for path in wanted:
        if path.is_dir():
            inside = sorted(
                p for p in path.rglob("*") if p.name.endswith((RAW_SUFFIX, PARQUET_SUFFIX))
            )
            if not inside:
                raise CaptureError(
                    f"Expected recordings ({RAW_SUFFIX}, {PARQUET_SUFFIX}) in {path}, was none; "
                    "name the folder that feeds.record_dir says."
                )
            found |= dict.fromkeys(str(p.absolute()) for p in inside)
        elif path.is_file():
            found[str(path.absolute())] = None
        else:
            raise CaptureError(f"The recording {path} does not exist on this node.")
    return list(found)


def summarise(reports: Sequence[ReplayReport], seconds: float) -> dict[str, Any]:
    """Return the totals of all recordings; `messages_per_s` is of the job as a whole."""
    totals = {name: sum(int(getattr(report, name)) for report in reports) for name in TOTALS}
    return {
        "replayed": len(reports),
        **totals,
        "audit": {
            "equal": sum(report.audit.equal for report in reports),
            "different": sum(report.audit.different for report in reports),
        },
        "seconds": round(seconds, 1),
        "messages_per_s": round(totals["messages"] / seconds, 1) if seconds > 0 else 0.0,
        "book_hash": {report.path: report.book_hash for report in reports},
    }


def replay_all(
    paths: Sequence[str], arguments: argparse.Namespace, stop: threading.Event
) -> tuple[dict[str, ReplayReport], dict[str, str]]:
    """Return the reports, and why the others are not usable, by path in the order given."""
    board = ProgressActor.options(num_cpus=0.01).remote()
    task: Any = ray.remote(replay_one).options(num_cpus=arguments.cpus, max_retries=1)
    waiting = {task.remote(path, arguments.batch, board): path for path in paths}
    reports: dict[str, ReplayReport] = {}
    unusable: dict[str, str] = {}
    due = time.monotonic() + REPORT_EVERY_S
    while waiting and not stop.is_set():
        done, _ = ray.wait(list(waiting), timeout=TELL_EVERY_S)
        for item in done:
            path = waiting.pop(item)
            try:
                reports[path] = ray.get(item)
                _say(f"{path}: {reports[path].messages} messages, {reports[path].gaps} gaps")
            except RayTaskError as error:
                if not isinstance(error.cause, CaptureError):
                    raise
                unusable[path] = str(error.cause)
                _say(str(error.cause))
        if waiting and time.monotonic() >= due:
            due += REPORT_EVERY_S
            _say(progress_line(ray.get(board.shares.remote()), list(waiting.values())))
    for item in waiting:
        ray.cancel(item, force=True)
    in_order = {path: reports[path] for path in paths if path in reports}
    return in_order, unusable


def progress_line(shares: Mapping[str, float], waiting: Sequence[str]) -> str:
    """Say how far those have come that are not finished."""
    begun = {path: shares[path] for path in waiting if path in shares}
    parts = [f"{Path(path).name} {share:.0%}" for path, share in begun.items()]
    rest = len(waiting) - len(begun)
    if rest:
        parts.append(f"{rest} waiting for a processor")
    return ", ".join(parts)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    result.add_argument("paths", type=Path, nargs="+", help="recordings, or folders of them")
    result.add_argument("--batch", type=int, default=1000, help="frames per batch")
    result.add_argument("--cpus", type=float, default=1.0, help="cores that a recording takes")
    result.add_argument("--json", action="store_true", help="end with one JSON object")
    return result


if __name__ == "__main__":
    finish(run, _parser().parse_args())
