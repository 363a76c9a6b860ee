"""A cost model: what each role takes is linear in symbols, messages, levels and rows.

Coefficients are least squares under the condition that none is negative (Lawson and Hanson
1974, `scipy.optimize.nnls`), as nothing becomes cheaper by more work. A quantity that the points
do not tell apart from the others is left out, and so are its costs: they are in the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from benchmarks.capacity.points import Observation

QUANTITIES: Final = ("one", "symbols", "messages", "levels", "rows")
CORES: Final[Mapping[str, tuple[str, ...]]] = {
    "symbols": ("symbols", "messages", "levels"),
    "feeds": ("messages", "levels"),
    "store": ("rows", "one"),
    "database": ("rows", "one"),
    "portfolio": ("symbols", "one"),
    "supervisor": ("symbols", "one"),
    "serve": ("one", "symbols"),
    "job": ("one",),
    "template": ("one",),
    "ray system": ("one", "symbols"),
    "venue": ("messages", "levels"),
}
"""What the CPU of a role may depend on, the most important first."""
MEMORY: Final[Mapping[str, tuple[str, ...]]] = {
    "symbols": ("symbols",),
    **{
        role: ("one", "symbols")
        for role in (
            "feeds",
            "store",
            "database",
            "portfolio",
            "supervisor",
            "serve",
            "job",
            "template",
            "ray system",
        )
    },
    "venue": ("one",),
}
_TOLD_APART: Final = 0.1
"""Smallest singular value, of columns of length one, at which they count as told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one role takes: coefficients by quantity, per unit (cores or MB)."""

    role: str
    coefficients: Mapping[str, float]

    def at(self, amounts: Mapping[str, float]) -> float:
        """Return what it takes at these amounts."""
        return sum(value * amounts[name] for name, value in self.coefficients.items())


def amounts_of(point: Observation) -> dict[str, float]:
    """Return the quantities of a point by name."""
    return {
        "one": 1.0,
        "symbols": float(point.symbols),
        "messages": point.messages_per_s,
        "levels": point.levels_per_s,
        "rows": point.rows_per_s,
    }


def fit(
    points: Sequence[Observation],
    of: Mapping[str, Sequence[str]],
    measured: Sequence[Mapping[str, float]],
) -> dict[str, Cost]:
    """Return the costs by role; `measured` has each role's at each point, absent is 0."""
    costs = {}
    for role, names in of.items():
        values = np.array([at.get(role, 0.0) for at in measured])
        kept: list[str] = []
        for name in names:
            if _are_told_apart(_columns(points, [*kept, name])):
                kept.append(name)
        found, _ = nnls(_columns(points, kept), values)
        costs[role] = Cost(role=role, coefficients=dict(zip(kept, found.tolist(), strict=True)))
    return costs


def fit_cores(points: Sequence[Observation]) -> dict[str, Cost]:
    """Return the cores that each role takes."""
    return fit(points, CORES, [point.cores_by_role for point in points])


def fit_memory(points: Sequence[Observation]) -> dict[str, Cost]:
    """Return the MB that each role takes."""
    return fit(points, MEMORY, [point.mb_by_role for point in points])


def residuals(points: Sequence[Observation], costs: Mapping[str, Cost]) -> list[dict[str, float]]:
    """Return measured and modelled cores of all roles at each point, and by how much it errs."""
    found = []
    for point in points:
        modelled = sum(cost.at(amounts_of(point)) for cost in costs.values())
        found.append(
            {
                "symbols": point.symbols,
                "messages_per_s": point.messages_per_s,
                "measured_cores": round(point.cores, 3),
                "modelled_cores": round(modelled, 3),
                "error": round(modelled / point.cores - 1, 4),
            }
        )
    return found


def _columns(points: Sequence[Observation], names: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([[amounts_of(point)[name] for name in names] for point in points])


def _are_told_apart(columns: npt.NDArray[np.float64]) -> bool:
    if columns.shape[0] < columns.shape[1]:
        return False
    lengths = np.linalg.norm(columns, axis=0)
    if not lengths.all():
        return False
    return float(np.linalg.svd(columns / lengths, compute_uv=False)[-1]) > _TOLD_APART
