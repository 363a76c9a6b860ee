"""What a running system holds at a moment, by role."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.scale.processes import Usage, open_files

JUDGED: Final = (
    "symbols", "template", "feeds", "store", "portfolio", "supervisor", "serve", "venue", "job",
)  # fmt: skip
"""Roles that may not grow. The database fills its shared buffers, and Ray's own processes are
not ours; both are told beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One moment."""

    hour: float
    """Simulated hours since the first sample, by the books' newest events."""
    at_s: float
    processes: Mapping[str, int]
    """Processes by role."""
    mb: Mapping[str, float]
    """Resident memory by role, shared pages counted with each process."""
    files: Mapping[str, int]
    """Open file handles by role."""
    threads: Mapping[str, int]
    p99_ms: float | None
    """Worst market's, of the last five seconds."""
    backlog_events: int
    rows_waiting: int
    messages: int


def sample(
    at_s: float,
    begins_ns: int,
    processes: Mapping[int, Usage],
    fleet: Mapping[str, Any],
    load: Mapping[str, Any],
) -> Sample:
    """Put together what was seen at a moment; a process that ended meanwhile has no files."""
    mb: dict[str, float] = defaultdict(float)
    files: dict[str, int] = defaultdict(int)
    threads: dict[str, int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for pid, usage in processes.items():
        count[usage.role] += 1
        mb[usage.role] += usage.rss / 1e6
        files[usage.role] += open_files(pid) or 0
        threads[usage.role] += usage.threads
    late = [m["p99_ms"] for m in load["markets"] if m["p99_ms"] is not None]
    return Sample(
        hour=(fleet["ts_event"] - begins_ns) / 3.6e12,
        at_s=round(at_s, 1),
        processes=dict(count),
        mb={role: round(value, 1) for role, value in mb.items()},
        files=dict(files),
        threads=dict(threads),
        p99_ms=max(late, default=None),
        backlog_events=sum(m["backlog_events"] or 0 for m in load["markets"]),
        rows_waiting=fleet["rows_pending"],
        messages=fleet["messages"],
    )


def series(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Return what is judged, by name, one value per sample."""
    found: dict[str, list[float]] = {}
    for role in JUDGED:
        if all(role in item.mb for item in samples):
            for quantity in ("mb", "files", "threads"):
                found[f"{role}/{quantity}"] = [
                    float(getattr(item, quantity)[role]) for item in samples
                ]
    for quantity in ("p99_ms", "backlog_events", "rows_waiting"):
        values = [getattr(item, quantity) for item in samples]
        if None not in values:
            found[quantity] = [float(value) for value in values]
    return found
