"""Does anything grow? Samples over a run, their later half beside the earlier one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

WARM_UP: Final = 0.2
"""Share of the run that is not judged: windows fill, kernels load, histories come."""
ENOUGH: Final = 6
"""Samples that are judged at the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much the later half may lie above the earlier one: both are allowed, the larger one."""

    share: float
    least: float


BOUNDS: Final = {
    "mb": Bound(share=0.05, least=5.0),
    "files": Bound(share=0.0, least=2.0),
    "threads": Bound(share=0.0, least=2.0),
    "p99_ms": Bound(share=0.25, least=3.0),
    "backlog_events": Bound(share=0.5, least=1000.0),
    "rows_waiting": Bound(share=0.5, least=20_000.0),
}
"""By the name of what is measured: `mb` is resident memory of a role, all its processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One series."""

    first_half: float
    """Median of the earlier half of what is judged."""
    last_half: float
    slope_per_day: float
    """Slope in the later half, per simulated 24 hours, by Theil and Sen."""
    allowed: float
    grows: bool


def judge(hours: Sequence[float], values: Sequence[float], bound: Bound) -> Judgement | None:
    """Compare the halves of a series over simulated hours; None with too few samples.

    It grows if the later half's median is above the earlier one's by more than the bound, and
    its slope is above 0: a step that was over before is no growth.
    """
    start = int(len(values) * WARM_UP)
    times, kept = hours[start:], values[start:]
    if len(kept) < ENOUGH:
        return None
    half = len(kept) // 2
    first, last = median(kept[:half]), median(kept[half:])
    slope = theil_sen(times[half:], kept[half:])
    allowed = max(bound.share * first, bound.least)
    return Judgement(
        first_half=round(first, 2),
        last_half=round(last, 2),
        slope_per_day=round(slope * 24, 3),
        allowed=round(allowed, 2),
        grows=last - first > allowed and slope > 0,
    )


def theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the median slope between all pairs of points (Sen 1968); 0 with fewer than two.

    >>> theil_sen([0, 1, 2, 3], [0, 2, 4, 100])
    2.0
    """
    slopes = [
        (y[j] - y[i]) / (x[j] - x[i])
        for i in range(len(x))
        for j in range(i + 1, len(x))
        if x[j] != x[i]
    ]
    return float(median(slopes)) if slopes else 0.0


def judge_all(
    hours: Sequence[float], series: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, Any]]:
    """Judge series by name, `role/quantity` or `quantity`, but those of too few samples."""
    found = {}
    for name, values in series.items():
        judgement = judge(hours, values, BOUNDS[name.rpartition("/")[2]])
        if judgement is not None:
            found[name] = {field: getattr(judgement, field) for field in Judgement.__slots__}
    return found
