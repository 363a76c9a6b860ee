"""Realized volatility: sums over the log mid returns of a fixed grid, robust to jumps or not.

=========  ===================================================  ==============================
realized   sum r^2                                              Andersen, Bollerslev 1998
bipower    pi/2 n/(n-1) sum |r_i| |r_{i-1}|                     Barndorff-Nielsen, Shephard 2004
minRV      pi/(pi-2) n/(n-1) sum min(|r_i|, |r_{i-1}|)^2        Andersen, Dobrev, Schaumburg 2012
medRV      pi/(6-4 sqrt 3+pi) n/(n-2) sum med(three in a row)^2  the same
=========  ===================================================  ==============================

Mids, not trades: the bounce between bid and ask is no volatility. A return that is nan (see
`mid_grid`) is left out, with the pairs and triples that hold it: n / pairs and n / triples then
stand for n / (n-1) and n / (n-2).
"""

import math
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.mid_grid import MidGrid, RunArray, step_ns
from alphaplus.analysis.streaming import SECOND, above_zero, whole_number
from alphaplus.analysis.tape import Tape
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]

SECONDS_PER_YEAR: Final = 365 * 24 * 3600.0
"""Markets of crypto never close."""

_BIPOWER: Final = math.pi / 2
_MIN: Final = math.pi / (math.pi - 2)
_MED: Final = math.pi / (6 - 4 * math.sqrt(3) + math.pi)
_RETURNS, _PAIRS, _TRIPLES, _SQUARES, _PRODUCTS, _MINIMA, _MEDIANS = range(7)
_SUMS: Final = 7


def realized_variance(returns: npt.ArrayLike) -> float | None:
    """Return the sum of squared log returns; None if none is known.

    >>> realized_variance([0.01, -0.02])
    0.0005
    """
    sums = _sums_of(returns)
    return sums[_SQUARES] if sums[_RETURNS] else None


def bipower_variation(returns: npt.ArrayLike) -> float | None:
    """Return the variance without jumps, from products of neighbours; None without a pair.

    Barndorff-Nielsen and Shephard (2004).
    """
    return _scaled(_sums_of(returns), _BIPOWER, _PAIRS, _PRODUCTS)


def min_rv(returns: npt.ArrayLike) -> float | None:
    """Return the variance without jumps, from the smaller of neighbours; None without a pair.

    Andersen, Dobrev and Schaumburg (2012), equation 4.
    """
    return _scaled(_sums_of(returns), _MIN, _PAIRS, _MINIMA)


def med_rv(returns: npt.ArrayLike) -> float | None:
    """Return the variance without jumps, from medians of three; None without a triple.

    Andersen, Dobrev and Schaumburg (2012), equation 5.
    """
    return _scaled(_sums_of(returns), _MED, _TRIPLES, _MEDIANS)


def jump_share(returns: npt.ArrayLike) -> float | None:
    """Return max(0, RV - BPV) / RV, in [0, 1]; None without a pair or if nothing moved."""
    return _jump_share(_sums_of(returns))


def annual_volatility(variance: float, seconds: float) -> float:
    """Return the standard deviation of a year's log return from a variance over `seconds`.

    A fraction: 0.5 is 50 % a year. One year has 365 days.

    >>> annual_volatility(0.04, 365 * 24 * 3600)
    0.2
    """
    return math.sqrt(variance / seconds * SECONDS_PER_YEAR)


class RealizedVolatility(Measure):
    """Realized, bipower, min and med variance of the best quotes' mid over a rolling window.

    The window is the last `window_s` of exchange time that the grid has completed.
    """

    name: ClassVar[str] = "realized_volatility"

    def __init__(
        self,
        instrument: Instrument,
        *,
        grid_s: float = 1.0,
        window_s: float = 300.0,
        min_returns: int = 60,
    ) -> None:
        """Follow a market; values are None until the window holds `min_returns` returns."""
        step = step_ns(grid_s)
        size = round(above_zero("window_s", window_s) * SECOND / step)
        whole_number("window_s / grid_s", size, 3, 100_000)
        self.instrument = instrument
        self._min_returns = whole_number("min_returns", min_returns, 3, size)
        self._grid_s = step / SECOND
        self._grid = MidGrid(step)
        self._ring = np.full(size, np.nan)
        self._at = np.zeros(1, dtype=np.int64)
        self._sums = np.empty(_SUMS)
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the best quotes of a tape."""
        self._now = max(self._now, tape.ts_event)
        if len(tape.quotes):
            runs = self._grid.take(tape.quotes)
            if len(runs):
                _push(self._ring, self._at, runs)

    def interrupt(self) -> None:
        """Skip the grid points from now to the next quote, and the returns across them."""
        _push(self._ring, self._at, self._grid.interrupt(self._now))

    def values(self) -> dict[str, Any]:
        """Return variances over the window (of log returns), and volatilities a year."""
        sums = self._read()
        count = int(sums[_RETURNS])
        found: dict[str, Any] = {"returns": count, "window_s": len(self._ring) * self._grid_s}
        is_ready = count >= self._min_returns
        realized = sums[_SQUARES] if is_ready else None
        bipower = _scaled(sums, _BIPOWER, _PAIRS, _PRODUCTS) if is_ready else None
        seconds = count * self._grid_s
        return found | {
            "realized_variance": realized,
            "bipower_variation": bipower,
            "min_rv": _scaled(sums, _MIN, _PAIRS, _MINIMA) if is_ready else None,
            "med_rv": _scaled(sums, _MED, _TRIPLES, _MEDIANS) if is_ready else None,
            "jump_share": _jump_share(sums) if is_ready else None,
            "realized_volatility_annual": None
            if realized is None
            else annual_volatility(realized, seconds),
            "bipower_volatility_annual": None
            if bipower is None
            else annual_volatility(bipower, seconds),
        }

    def missing(self) -> dict[str, str]:
        """Say how many returns the window lacks."""
        values = self.values()
        unknown = [name for name, value in values.items() if value is None]
        if values["returns"] < self._min_returns:
            phrase = f"{values['returns']} of {self._min_returns} returns of {self._grid_s:g} s"
        elif values["realized_variance"] == 0:
            phrase = "a mid that moves"
        else:
            phrase = "returns in a row"
        return dict.fromkeys(unknown, phrase)

    def _read(self) -> list[float]:
        """Sum the window as it stands at the newest time, without moving the grid."""
        ring, at = self._ring, self._at
        runs = self._grid.until(self._now)
        if len(runs):
            ring, at = ring.copy(), at.copy()
            _push(ring, at, runs)
        _sum(ring, int(at[0]), self._sums)
        sums: list[float] = self._sums.tolist()
        return sums


def _sums_of(returns: npt.ArrayLike) -> list[float]:
    out = np.empty(_SUMS)
    _sum(np.ascontiguousarray(returns, dtype=np.float64), 0, out)
    sums: list[float] = out.tolist()
    return sums


def _scaled(sums: list[float], factor: float, groups: int, total: int) -> float | None:
    """Scale a sum over pairs or triples to the number of returns; None without any."""
    if not sums[groups]:
        return None
    return factor * sums[_RETURNS] / sums[groups] * sums[total]


def _jump_share(sums: list[float]) -> float | None:
    bipower = _scaled(sums, _BIPOWER, _PAIRS, _PRODUCTS)
    realized = sums[_SQUARES]
    return None if bipower is None or realized == 0 else max(0.0, realized - bipower) / realized


@kernel
def _push(ring: Floats, at: Any, runs: RunArray) -> None:
    """Write runs to the ring, of a long one as much as it holds; `at[0]` is the oldest entry."""
    size = len(ring)
    for i in range(len(runs)):
        for _ in range(min(runs[i].intervals, size)):
            ring[at[0]] = runs[i].log_return
            at[0] = (at[0] + 1) % size


@kernel
def _sum(ring: Floats, begin: int, out: Floats) -> None:
    """Sum over a ring from its oldest entry on; nan entries break pairs and triples."""
    out[:] = 0.0
    size = len(ring)
    before = second = np.nan
    for i in range(size):
        now = abs(ring[(begin + i) % size])
        if not np.isnan(now):
            out[_RETURNS] += 1
            out[_SQUARES] += now * now
            if not np.isnan(before):
                least = min(now, before)
                out[_PAIRS] += 1
                out[_PRODUCTS] += now * before
                out[_MINIMA] += least * least
                if not np.isnan(second):
                    middle = max(least, min(max(now, before), second))
                    out[_TRIPLES] += 1
                    out[_MEDIANS] += middle * middle
        second = before
        before = now
