"""What each position adds to the risk of the whole (Euler parts; Tasche 1999).

    component VaR_i = w_i (Sigma w)_i / sigma_p x z,   component ES_i = mean loss of i in the tail

Components sum to the total. Marginal is component / w_i, incremental the total minus the total
without i, valued anew.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import TailRisk, tail_risk, tail_weights
from alphaplus.risk.ewma import normal_factors

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Euler parts of one total, in its unit."""

    total: float
    component: Floats
    """(n,): sums to the total."""
    marginal: Floats
    """(n,): component / exposure; nan where nothing is held."""


def normal_components(
    exposures: npt.ArrayLike, covariance: npt.ArrayLike, level: float
) -> Components:
    """Return the parts of the normal value at risk of signed `exposures` (n,), quote currency.

    `covariance` (n, n) is of returns. A book without risk has parts of 0. Raises RiskError if
    the covariance gives a negative variance: repair it first (`covariance.repair_covariance`).
    """
    held, matrix = _matching(exposures, covariance)
    quantile, _ = normal_factors(level)
    pulls = matrix @ held
    variance = float(held @ pulls)
    scale = float(np.abs(held) @ np.abs(matrix) @ np.abs(held))
    if variance < -1e-12 * scale:
        raise RiskError("Expected a covariance without negative eigenvalues, was one with some.")
    if variance <= 1e-15 * scale:  # hedged but for rounding
        return _parts(0.0, np.zeros(len(held)), held)
    deviation = variance**0.5
    return _parts(deviation * quantile, held * pulls / deviation * quantile, held)


def shortfall_components(
    pnl: npt.ArrayLike, level: float, *, exposures: npt.ArrayLike | None = None
) -> Components:
    """Return the parts of the expected shortfall of scenario gains `pnl` (scenarios, n).

    Marginals divide by `exposures` (n,), quote currency; without them they are nan.
    """
    losses = _losses(pnl)
    weights = tail_weights(losses.sum(axis=1), level)
    component = weights @ losses
    held = np.zeros(losses.shape[1]) if exposures is None else np.asarray(exposures, np.float64)
    return _parts(float(component.sum()), component, held)


def value_at_risk_components(
    pnl: npt.ArrayLike, level: float, *, exposures: npt.ArrayLike | None = None
) -> Components:
    """Return each position's loss in the scenario that is the value at risk, (n,).

    One scenario makes this a noisy estimate; the shortfall's parts are steadier.
    """
    losses = _losses(pnl)
    total = losses.sum(axis=1)
    limit = tail_risk(total, level).value_at_risk
    at = int(np.argmin(np.abs(total - limit)))
    held = np.zeros(losses.shape[1]) if exposures is None else np.asarray(exposures, np.float64)
    return _parts(float(total[at]), losses[at], held)


def incremental_risk(pnl: npt.ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return value at risk and shortfall of the whole minus those without each position, (n,)."""
    losses = _losses(pnl)
    total = losses.sum(axis=1)
    whole = tail_risk(total, level)
    without: list[TailRisk] = [tail_risk(total - loss, level) for loss in losses.T]
    return (
        np.array([whole.value_at_risk - rest.value_at_risk for rest in without]),
        np.array([whole.expected_shortfall - rest.expected_shortfall for rest in without]),
    )


def _losses(pnl: npt.ArrayLike) -> Floats:
    gains = np.asarray(pnl, dtype=np.float64)
    if gains.ndim != 2 or not gains.size or not np.isfinite(gains).all():
        raise RiskError(f"Expected finite gains (scenarios, n), was shape {gains.shape}.")
    return -gains


def _matching(exposures: npt.ArrayLike, covariance: npt.ArrayLike) -> tuple[Floats, Floats]:
    held = np.asarray(exposures, dtype=np.float64)
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (len(held), len(held)):
        raise RiskError(f"Expected a covariance of {len(held)} assets, was {matrix.shape}.")
    if not (np.isfinite(held).all() and np.isfinite(matrix).all()):
        raise RiskError("Expected finite exposures and covariance, was nan or infinite.")
    return held, matrix


def _parts(total: float, component: Floats, held: Floats) -> Components:
    marginal = np.full(len(component), np.nan)
    np.divide(component, held, out=marginal, where=held != 0)
    return Components(total=total, component=component, marginal=marginal)
