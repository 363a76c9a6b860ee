"""Measured points: what a fleet of a size cost, read from what `benchmarks.scale` has printed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alphaplus.errors import ConfigError

MEASURED: Final = Path(__file__).with_name("measured.json")
"""The points that docs/scaling.md stands on, with the command that made them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One measured fleet, everything on one machine; a symbol's actor holds one book."""

    symbols: int
    messages_per_s: float
    levels_per_s: float
    rows_per_s: float
    cores_by_role: Mapping[str, float]
    mb_by_role: Mapping[str, float]
    p99_ms: float | None

    @property
    def cores(self) -> float:
        """CPU seconds per second of all roles."""
        return sum(self.cores_by_role.values())


def read_points(path: Path) -> list[Observation]:
    """Return the points of a file; points that failed are left out. Raises ConfigError.

    The file is the checked-in table or the output of `python -m benchmarks.scale --json`, whose
    last line is the object with all points.
    """
    try:
        points = [_observation(p) for p in _whole(path)["points"] if "failed" not in p]
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(points) < 2:
        raise ConfigError(f"Expected at least two measured points in {path}, was {len(points)}.")
    return points


def cpus_of(path: Path) -> int:
    """Return how many processors the machine had that the points were measured on."""
    cpus = _whole(path).get("cpus")
    if not isinstance(cpus, int):
        raise ConfigError(f"Expected {path} to tell cpus, the number of processors, was {cpus!r}.")
    return cpus


def keep(path: Path, made_by: Sequence[str]) -> None:
    """Write the points of a file to the checked-in table."""
    whole = _whole(path)
    table = {"commands": list(made_by), "cpus": whole.get("cpus"), "points": whole["points"]}
    MEASURED.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def commands(path: Path = MEASURED) -> Sequence[str]:
    """Return the commands that made the points of the checked-in table."""
    found: list[str] = json.loads(path.read_text(encoding="utf-8"))["commands"]
    return found


def _observation(point: Mapping[str, Any]) -> Observation:
    return Observation(
        symbols=int(point["symbols"]),
        messages_per_s=float(point["processed_per_s"]),
        levels_per_s=float(point["levels_per_s"]),
        rows_per_s=float(point["rows_per_s"]),
        cores_by_role=dict(point["cores_by_role"]),
        mb_by_role=dict(point["mb_by_role"]),
        p99_ms=point["p99_ms"],
    )


def _whole(path: Path) -> dict[str, Any]:
    """Return a file's object: all of it, or its last line."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        try:
            whole = json.loads(text)
        except json.JSONDecodeError:
            whole = json.loads(text.splitlines()[-1])
    except (OSError, IndexError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(whole, dict):
        raise _unreadable(path, TypeError(f"it holds {type(whole).__name__}"))
    return whole


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"Expected {path} to hold the output of python -m benchmarks.scale --json, "
        f"could not be read ({error!r})."
    )
