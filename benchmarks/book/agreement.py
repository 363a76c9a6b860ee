"""Did a contender keep the same book as ours?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RELATIVE_QUANTITY = 1e-9
"""Fixed-point books turn a quantity into the nearest of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the book is ours: of `messages`, in how many; and the levels at the end.

    Levels count between `low` and `high`, outside of which the contender keeps none.
    """

    messages: int
    equal_tops: int
    equal_top_20: int
    levels: int
    different_levels: int
    low: float
    high: float | None

    @property
    def agrees(self) -> bool:
        """Whether every touch, every top 20 and every level in its range is equal."""
        equal = self.equal_tops == self.equal_top_20 == self.messages
        return equal and self.different_levels == 0


def compare(ours: Path, theirs: Path, tick: float) -> Agreement:
    """Compare two written records."""
    with np.load(ours) as file:
        our = dict(file)
    with np.load(theirs) as file:
        their = dict(file)
    same = _same(our["best"], their["best"], tick)
    low, high = (float(end) for end in their["range"])
    levels = different = 0
    for side in ("bids", "asks"):
        expected = _between(our[side], low, high)
        found = _between(their[side], low, high)
        levels += len(expected)
        different += _different(expected, found, tick)
    return Agreement(
        messages=len(same),
        equal_tops=int(same[:, :, 0].all(axis=1).sum()),
        equal_top_20=int(same.all(axis=(1, 2)).sum()),
        levels=levels,
        different_levels=different,
        low=low,
        high=high if np.isfinite(high) else None,
    )


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any], tick: float) -> npt.NDArray[np.bool_]:
    """Say which levels [..., (price, quantity)] are equal; absent ones equal each other."""
    prices = np.rint(one[..., 0] / tick) == np.rint(other[..., 0] / tick)
    quantities = np.isclose(one[..., 1], other[..., 1], rtol=RELATIVE_QUANTITY, atol=0)
    absent = (one[..., 1] == 0) & (other[..., 1] == 0)
    same: npt.NDArray[np.bool_] = (prices & quantities) | absent
    return same


def _between(levels: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[Any]:
    within: npt.NDArray[Any] = levels[(levels[:, 0] >= low) & (levels[:, 0] <= high)]
    return within


def _different(expected: npt.NDArray[Any], found: npt.NDArray[Any], tick: float) -> int:
    """Count the prices at which two sides differ."""
    sides = [
        dict(zip(np.rint(side[:, 0] / tick), side[:, 1], strict=True)) for side in (expected, found)
    ]
    return sum(
        not np.isclose(
            sides[0].get(key, 0.0), sides[1].get(key, 0.0), rtol=RELATIVE_QUANTITY, atol=0
        )
        for key in sides[0].keys() | sides[1].keys()
    )
