"""The sheet that portfolio metrics are written on: a number, or None and what is missing."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from alphaplus.risk.figures import RiskFigure, Scaling
from alphaplus.risk.revaluation import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSeries:
    """One metric of many: by symbol, position or scenario; nan where it is unknown for one."""

    name: str
    by: str
    values: Floats | None
    method: str
    n_obs: int
    as_of: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskReport:
    """Every metric of a portfolio at one moment, by name."""

    as_of: int
    mark_age_ns: int | None
    """Age of the oldest mark that is used; None if none is, or times are not known."""
    figures: Mapping[str, RiskFigure]
    series: Mapping[str, RiskSeries]

    def value(self, name: str) -> float | None:
        """Return the number of a figure."""
        return self.figures[name].value

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON: None for what is unknown, never nan."""
        return {
            "as_of": self.as_of,
            "mark_age_ns": self.mark_age_ns,
            "figures": {
                name: {
                    "value": item.value,
                    "method": item.method,
                    "n_obs": item.n_obs,
                    "as_of": item.as_of,
                    "scaling": item.scaling,
                    "missing": list(item.missing),
                    "flags": list(item.flags),
                }
                for name, item in self.figures.items()
            },
            "series": {
                name: {
                    "by": item.by,
                    "values": None if item.values is None else _plain(item.values),
                    "method": item.method,
                    "n_obs": item.n_obs,
                    "as_of": item.as_of,
                    "missing": list(item.missing),
                }
                for name, item in self.series.items()
            },
        }


@dataclass(slots=True)
class Sheet:
    """Collects figures; each names the inputs it needs, and is None if one of them has a gap."""

    as_of: int
    gaps: Mapping[str, tuple[str, ...]]
    figures: dict[str, RiskFigure] = field(default_factory=dict)
    series: dict[str, RiskSeries] = field(default_factory=dict)

    def missing(self, needs: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is missing of `needs`, each phrase once."""
        if self.gaps.keys().isdisjoint(needs):
            return ()
        return tuple(dict.fromkeys(p for need in needs for p in self.gaps.get(need, ())))

    def put(
        self,
        name: str,
        needs: tuple[str, ...],
        value: float | Callable[[], float | None] | None,
        *,
        method: str = "revaluation",
        n_obs: int = 0,
        unknown: str = "positions",
        flags: tuple[str, ...] = (),
        scaling: Scaling = "none",
    ) -> float | None:
        """Note a figure and return it; where there is no number, `unknown` is missing.

        A callable is asked for the number only if none of `needs` has a gap.
        """
        missing = self.missing(needs)
        found = None if missing else value() if callable(value) else value
        if not missing and (found is None or not math.isfinite(found)):
            found, missing = None, (unknown,)
        self.figures[name] = RiskFigure(
            name=name,
            value=found,
            method=method,
            n_obs=n_obs,
            as_of=self.as_of,
            scaling=scaling,
            missing=missing,
            flags=flags,
        )
        return found

    def put_series(
        self,
        name: str,
        by: str,
        needs: tuple[str, ...],
        values: Floats | Callable[[], Floats | None] | None,
        *,
        method: str = "revaluation",
        n_obs: int = 0,
        unknown: str = "positions",
    ) -> None:
        """Note a metric of many likewise."""
        missing = self.missing(needs)
        found = None if missing else values() if callable(values) else values
        if found is None and not missing:
            missing = (unknown,)
        self.series[name] = RiskSeries(
            name=name,
            by=by,
            values=found,
            method=method,
            n_obs=n_obs,
            as_of=self.as_of,
            missing=missing,
        )


def _plain(values: Floats) -> list[float | None]:
    known = np.isfinite(values)
    return [float(v) if ok else None for v, ok in zip(values, known, strict=True)]
