"""The processes of a running system: what each is, and what it costs, from /proc alone.

CPU and counts come from small files, so that looking costs next to nothing; proportional set
size makes the kernel walk all pages, so it is read on its own and rarely.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
RAY: Final = "ray system"
ROLES: Final = {
    "SymbolHost": "symbols",
    "Feed": "feeds",
    "Store": "store",
    "PortfolioRisk": "portfolio",
    "Supervisor": "supervisor",
    "ServeReplica": "serve",
    "ServeController": "serve",
    "ProxyActor": "serve",
}
"""By the class of an actor."""
PROGRAMS: Final = {
    "alphaplus::template": "template",
    "alphaplus.venue": "venue",
    "postgres": "database",
    "jobs.serve_api": "serve",
    "jobs.stream": "job",
    "alphaplus.cli": "job",
}
"""The others, by what their command lines hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One process at a moment."""

    role: str
    title: str
    cpu_s: float
    """User and system time so far, without that of children."""
    rss: int
    """Resident bytes, shared pages counted whole."""
    threads: int


def role_of(title: str) -> str:
    """Return what a process is in the system, by its command line.

    Ray names the process of an actor for what it does: `ray::SymbolHost`, `ray::SymbolHost.ask`,
    and `ray::symbols:0:SymbolHost.__init__` while it is being made.

    >>> role_of("ray::SymbolHost.start"), role_of("ray::IDLE")
    ('symbols', 'ray system')
    """
    if title.startswith("ray::"):
        words = title.removeprefix("ray::").partition(".")[0].split(":")
        return next((ROLES[word] for word in words if word in ROLES), RAY)
    return next((role for word, role in PROGRAMS.items() if word in title), RAY)


def family(root: int, marker: str) -> dict[int, Usage]:
    """Return all processes below `root`, itself included, by process id.

    So are those that hold `marker` in their command line or environment, and what is below
    them: a process that was cut loose from its parent still belongs to who started it.
    """
    parents: dict[int, int] = {}
    stats: dict[int, list[str]] = {}
    for entry in os.scandir(PROC):
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            pid = int(entry.name)
            stats[pid], parents[pid] = fields, int(fields[1])
    roots = {root, *(pid for pid in parents if parents[pid] == 1 and _holds(pid, marker))}
    found = {}
    for pid in descendants(parents, roots):
        title = _title(pid)
        fields = stats[pid]
        if title is not None:
            found[pid] = Usage(
                role=role_of(title),
                title=title,
                cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
                rss=int(fields[21]) * PAGE_BYTES,
                threads=int(fields[17]),
            )
    return found


def descendants(parents: Mapping[int, int], roots: Iterable[int]) -> set[int]:
    """Return `roots`, as far as they live, and all below them; `parents` by process id.

    >>> sorted(descendants({2: 1, 3: 2, 4: 3, 9: 1}, [2]))
    [2, 3, 4]
    """
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in parents]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def cores_by_role(
    before: Mapping[int, Usage], after: Mapping[int, Usage], seconds: float
) -> dict[str, float]:
    """Return CPU seconds per second of each role between two looks.

    A process that ended between them is not counted; one that began counts from zero.
    """
    total: dict[str, float] = defaultdict(float)
    for pid, usage in after.items():
        begun = before.get(pid)
        total[usage.role] += usage.cpu_s - (begun.cpu_s if begun else 0.0)
    return {role: round(cpu_s / seconds, 4) for role, cpu_s in sorted(total.items())}


def proportional_bytes(pid: int) -> int | None:
    """Return the proportional set size of a process; None if it is gone or may not be read."""
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_bytes()
    except OSError:
        return None
    _, found, rest = text.partition(b"\nPss:")
    return int(rest.split()[0]) * 1024 if found else None


def open_files(pid: int) -> int | None:
    """Return how many file handles a process has open; None if it is gone."""
    try:
        return len(os.listdir(PROC / str(pid) / "fd"))
    except OSError:
        return None


def _stat(pid: int) -> list[str] | None:
    """Return the fields after the name: state, parent and so on; None if it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _title(pid: int) -> str | None:
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def _holds(pid: int, marker: str) -> bool:
    """Tell whether a process names the marker on its command line or in its environment."""
    try:
        place, wanted = PROC / str(pid), marker.encode()
        return any(wanted in (place / file).read_bytes() for file in ("cmdline", "environ"))
    except OSError:
        return False
