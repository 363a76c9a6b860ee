"""Exponentially weighted variance by time, per second.

For a log mid return r over dt seconds and a half-life H:

    s2 <- s2 2^(-dt/H) + (1 - 2^(-dt/H)) r^2 / dt

which for dt -> 0 adds ln 2 / H r^2. Weights go by time and not by number, so that an interval in
which nothing moved may be cut anywhere (RiskMetrics 1996, in continuous time).
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.mid_grid import MidGrid, RunArray, step_ns
from alphaplus.analysis.streaming import SECOND, above_zero, all_above_zero
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.volatility import annual_volatility
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]

_ENOUGH = 0.5 - 1e-9
"""Weight of the returns seen: one half-life of them."""


def ewma_variance(
    returns: npt.ArrayLike,
    seconds: npt.ArrayLike,
    half_life_s: float,
    *,
    start: float | None = None,
) -> float | None:
    """Return the variance per second after the last return.

    `seconds` is how long each return took (0 is allowed), or one number for all. `start` is
    the variance per second before the first; without it the result rests on the returns alone
    (divided by the weight that they have), and is None if there are none. Over a return that
    is nan, what was known before only grows older.
    """
    half_life = above_zero("half_life_s", half_life_s)
    values = np.ascontiguousarray(returns, dtype=np.float64)
    lengths = np.ascontiguousarray(np.broadcast_to(seconds, values.shape), dtype=np.float64)
    cell = np.array([half_life, start or 0.0, 0.0 if start is None else 1.0])
    _follow(cell, values, lengths)
    return float(cell[1] / cell[2]) if cell[2] > 0 else None


class EwmaVolatility(Measure):
    """Decayed variance of the best quotes' mid returns on a grid of exchange time.

    It starts without a memory: the sum is divided by the weight of the returns seen, and None
    until these cover one half-life.
    """

    name: ClassVar[str] = "ewma_volatility"

    def __init__(
        self,
        instrument: Instrument,
        *,
        grid_s: float = 1.0,
        half_lives_s: Sequence[float] = (60.0, 600.0),
    ) -> None:
        self.instrument = instrument
        self._half_lives = all_above_zero("half_lives_s", half_lives_s)
        step = step_ns(grid_s)
        self._step_s = step / SECOND
        self._grid = MidGrid(step)
        self._cells = np.array([[half_life, 0.0, 0.0] for half_life in self._half_lives])
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the best quotes of a tape."""
        self._now = max(self._now, tape.ts_event)
        if len(tape.quotes):
            runs = self._grid.take(tape.quotes)
            if len(runs):
                _add(self._cells, runs, self._step_s)

    def interrupt(self) -> None:
        """Skip the grid points from now to the next quote, and the returns across them."""
        _add(self._cells, self._grid.interrupt(self._now), self._step_s)

    def values(self) -> dict[str, Any]:
        """Return the variance per second, and the volatility a year, for each half-life."""
        found: dict[str, Any] = {}
        for half_life, total, weight in self._read():
            variance = total / weight if weight >= _ENOUGH else None
            annual = None if variance is None else annual_volatility(variance, 1.0)
            found[f"variance_per_s_{half_life:g}s"] = variance
            found[f"volatility_annual_{half_life:g}s"] = annual
        return found

    def missing(self) -> dict[str, str]:
        """Say how much of each half-life the returns cover."""
        wanted = {}
        for half_life, _, weight in self._read():
            if weight < _ENOUGH:
                covered = -half_life * math.log2(1 - weight)
                phrase = f"{max(covered, 0.0):.0f} of {half_life:g} s of returns"
                wanted[f"variance_per_s_{half_life:g}s"] = phrase
                wanted[f"volatility_annual_{half_life:g}s"] = phrase
        return wanted

    def _read(self) -> list[list[float]]:
        """Return half-life, sum and weight of each as at the newest time; the grid stays."""
        cells = self._cells
        runs = self._grid.until(self._now)
        if len(runs):
            cells = cells.copy()
            _add(cells, runs, self._step_s)
        rows: list[list[float]] = cells.tolist()
        return rows


@kernel
def _step(cell: Floats, log_return: float, seconds: float) -> None:
    """Add one return to a cell of half-life, sum, weight."""
    rate = np.log(2.0) / cell[0]
    decay = np.exp(-rate * seconds)
    gain = -np.expm1(-rate * seconds)
    if np.isnan(log_return):
        cell[1] *= decay
        cell[2] *= decay
        return
    density = gain / seconds if seconds > 0 else rate
    cell[1] = cell[1] * decay + density * log_return * log_return
    cell[2] = cell[2] * decay + gain


@kernel
def _follow(cell: Floats, returns: Floats, seconds: Floats) -> None:
    for i in range(len(returns)):
        _step(cell, returns[i], max(0.0, seconds[i]))


@kernel
def _add(cells: Floats, runs: RunArray, step_s: float) -> None:
    """Add runs; those of more than one interval hold no move, so one step does for them."""
    for i in range(len(runs)):
        for c in range(len(cells)):
            _step(cells[c], runs[i].log_return, runs[i].intervals * step_s)
