"""Peaks over threshold: a generalised Pareto tail beyond a high quantile (McNeil and Frey 2000).

    VaR_q = u + (b / xi) [((n / Nu) (1 - q))^-xi - 1],   ES = (VaR + b - xi u) / (1 - xi)

with n losses, Nu of them above u, scale b and shape xi < 1; for xi -> 0 the exponential limit.
Fitted by maximum likelihood in one dimension (Davison 1984; Grimshaw 1993).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.jit import kernel
from alphaplus.risk.estimators import TailRisk, check_level, finite_losses

Floats = npt.NDArray[np.float64]

FEWEST_EXCEEDANCES: Final = 50
TAIL_SHARE: Final = 0.10
"""Share of the losses that counts as the tail."""
_EXPONENTIAL: Final = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoTail:
    """A fitted tail, in the unit of the losses."""

    threshold: float
    shape: float
    scale: float
    exceedances: int
    n_obs: int

    def tail_risk(self, level: float) -> TailRisk | None:
        """Return value at risk and shortfall; None at a level inside the threshold or xi >= 1."""
        check_level(level)
        ratio = self.n_obs / self.exceedances * (1 - level)
        if ratio > 1 or self.shape >= 1:
            return None
        if abs(self.shape) < _EXPONENTIAL:
            excess = -self.scale * math.log(ratio)
        else:
            excess = self.scale / self.shape * math.expm1(-self.shape * math.log(ratio))
        quantile = self.threshold + excess
        shortfall = (quantile + self.scale - self.shape * self.threshold) / (1 - self.shape)
        return TailRisk(
            value_at_risk=quantile,
            expected_shortfall=max(quantile, shortfall),
            n_obs=self.n_obs,
        )


def fit_pareto_tail(losses: npt.ArrayLike, *, share: float = TAIL_SHARE) -> ParetoTail | None:
    """Fit the tail beyond the largest `share` of the losses (n,).

    None with fewer than `FEWEST_EXCEEDANCES` losses above the threshold, or if they are equal.
    Raises RiskError for an empty or not finite sample.
    """
    if not 0 < share < 1:
        raise RiskError(f"Expected share between 0 and 1, was {share}.")
    values = finite_losses(losses)
    rank = math.ceil(share * len(values) - 1e-9)
    if rank >= len(values):
        return None
    threshold = float(np.partition(values, len(values) - rank - 1)[len(values) - rank - 1])
    excesses = values[values > threshold] - threshold
    if len(excesses) < FEWEST_EXCEEDANCES or np.ptp(excesses) == 0:
        return None
    shape, scale = fit_pareto(excesses)
    return ParetoTail(
        threshold=threshold,
        shape=shape,
        scale=scale,
        exceedances=len(excesses),
        n_obs=len(values),
    )


def fit_pareto(excesses: npt.ArrayLike) -> tuple[float, float]:
    """Return shape and scale of the generalised Pareto law of `excesses` above 0 (n,).

    The shape is sought from -0.5 (below that the likelihood has no regular maximum) upward.
    """
    values = finite_losses(excesses)
    if (values <= 0).any():
        raise RiskError(f"Expected excesses above 0, was {values.min()}.")
    shape, scale = _maximise(np.ascontiguousarray(values))
    return float(shape), float(scale)


@kernel
def _profile(values: Floats, theta: float) -> tuple[float, float]:
    """Return the likelihood per value at theta = xi / b, and the xi that belongs to it."""
    if abs(theta) < 1e-12:
        return -np.log(np.mean(values)) - 1.0, 0.0
    shape = 0.0
    for value in values:
        shape += np.log1p(theta * value)
    shape /= len(values)
    if shape < -0.5 or shape / theta <= 0:
        return -np.inf, shape
    return -np.log(shape / theta) - shape - 1.0, shape


@kernel
def _maximise(values: Floats) -> tuple[float, float]:
    """Search a grid of theta in units of the mean, then narrow down around the best."""
    mean = float(np.mean(values))
    lowest = -(1.0 - 1e-9) / np.max(values)
    points = 61
    grid = np.empty(points)
    for i in range(points):
        if i < 20:
            grid[i] = lowest * (1.0 - i / 20.0) ** 2
        else:
            grid[i] = 10.0 ** (-3.0 + 5.0 * (i - 20) / 40.0) / mean
    best = 0
    most = -np.inf
    for i in range(points):
        found = _profile(values, grid[i])[0]
        if found > most:
            most = found
            best = i
    low = grid[max(best - 1, 0)]
    high = grid[min(best + 1, points - 1)]
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    a = high - golden * (high - low)
    b = low + golden * (high - low)
    at_a = _profile(values, a)[0]
    at_b = _profile(values, b)[0]
    for _ in range(60):
        if at_a >= at_b:
            high = b
            b = a
            at_b = at_a
            a = high - golden * (high - low)
            at_a = _profile(values, a)[0]
        else:
            low = a
            a = b
            at_a = at_b
            b = low + golden * (high - low)
            at_b = _profile(values, b)[0]
    theta = (low + high) / 2.0
    reached, shape = _profile(values, theta)
    if reached < most:
        theta = grid[best]
        shape = _profile(values, theta)[1]
    if abs(theta) < 1e-12 or abs(shape) < 1e-12:
        return 0.0, mean
    return shape, shape / theta
