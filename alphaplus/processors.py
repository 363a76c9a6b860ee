"""How many processors this process may use: those it is held to, and what a container allows."""

import math
import os
from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")


def processors(cgroup: Path = CGROUP) -> int:
    """Return a whole number, at least 1; a container's part of a processor counts as one."""
    affinity = getattr(os, "sched_getaffinity", None)
    present = (os.cpu_count() or 1) if affinity is None else len(affinity(0))
    quota = _quota(cgroup)
    return present if quota is None else max(min(present, math.ceil(quota)), 1)


def _quota(cgroup: Path) -> float | None:
    """Return processor seconds per second that the container may take, None if it is not bounded.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max), scheduler/sched-bwc.rst (v1).
    """
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        limit, period = (_word(cgroup / f"cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    if not (limit.isdigit() and period.isdigit()):  # "max", -1, or no such file
        return None
    return int(limit) / int(period) if int(period) else None


def _word(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
