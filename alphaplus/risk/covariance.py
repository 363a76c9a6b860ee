"""Covariance of returns: shrunk or exponentially weighted, and repaired where it is none.

Returns are (T, n), best filtered ones (divided by their volatility forecast); give the forecasts
back with `rescaled`. Ledoit-Wolf (2004) and oracle approximating shrinkage (Chen et al. 2010) are
scikit-learn's, imported where they are asked for.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.ewma import DAILY_DECAY

Floats = npt.NDArray[np.float64]
Method = Literal["ledoit_wolf", "oas", "ewma", "sample"]

TOLERANCE: Final = 1e-12
"""Eigenvalues of the correlation below minus this count as negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariance:
    """A covariance matrix (n, n) in the unit of the returns squared."""

    matrix: Floats
    method: str
    n_obs: int
    repaired: bool = False
    """Whether negative eigenvalues were clipped."""
    least_eigenvalue: float | None = None
    """Of the correlation, before a repair; None if it was not looked at."""


def estimate_covariance(
    returns: npt.ArrayLike, *, method: Method = "ledoit_wolf", decay: float = DAILY_DECAY
) -> Covariance:
    """Return the covariance of `returns` (T, n) around a mean of 0, without negative eigenvalues.

    Times with a nan in any column are left out. Raises RiskError for fewer than two times or an
    infinite return.
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 2 or np.isinf(values).any():
        raise RiskError(f"Expected returns (T, n) without infinities, was shape {values.shape}.")
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) < 2:
        raise RiskError(f"Expected at least 2 times with every return, was {len(values)}.")
    if method == "ewma":
        matrix = ewma_covariance(values, decay)
    elif method == "sample":
        matrix = values.T @ values / len(values)
    else:
        matrix = _shrunk(values, method)
    return repair_covariance(matrix, method=method, n_obs=len(values))


def ewma_covariance(returns: npt.ArrayLike, decay: float = DAILY_DECAY) -> Floats:
    """Return sum of decay^k r r' over k periods ago, weights summing to 1, for (T, n) returns."""
    values = np.asarray(returns, dtype=np.float64)
    if not 0 < decay < 1:
        raise RiskError(f"Expected decay between 0 and 1, was {decay}.")
    weights = decay ** np.arange(len(values) - 1, -1, -1, dtype=np.float64)
    weights /= weights.sum()
    found: Floats = (values * weights[:, None]).T @ values
    return found


def repair_covariance(
    matrix: npt.ArrayLike, *, method: str = "given", n_obs: int = 0
) -> Covariance:
    """Clip negative eigenvalues and restore the variances; says so in the result.

    Works on the correlation, so that units do not matter; an asset that does not move stays at
    0. Raises RiskError for a matrix that is not square, finite and symmetric, or with a variance
    below 0.
    """
    given = np.asarray(matrix, dtype=np.float64)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not np.isfinite(given).all():
        raise RiskError(f"Expected a finite square matrix, was shape {given.shape}.")
    variances = np.diag(given)
    if (variances < 0).any() or not np.allclose(given, given.T, rtol=1e-9, atol=0):
        raise RiskError("Expected a symmetric matrix with variances of 0 or more.")
    deviations = np.sqrt(variances)
    safe = np.where(deviations > 0, deviations, 1.0)
    correlation = (given + given.T) / 2 / np.outer(safe, safe)
    values, vectors = np.linalg.eigh(correlation)
    least = float(values[0])
    if least >= -TOLERANCE:
        return Covariance(matrix=given, method=method, n_obs=n_obs, least_eigenvalue=least)
    clipped = (vectors * np.maximum(values, 0.0)) @ vectors.T
    norm = np.sqrt(np.where(np.diag(clipped) > 0, np.diag(clipped), 1.0))
    clipped = clipped / np.outer(norm, norm) * np.outer(deviations, deviations)
    clipped = (clipped + clipped.T) / 2
    np.fill_diagonal(clipped, variances)
    return Covariance(
        matrix=clipped, method=method, n_obs=n_obs, repaired=True, least_eigenvalue=least
    )


def rescaled(covariance: Covariance, deviations: npt.ArrayLike) -> Covariance:
    """Return the correlation of `covariance` with these deviations (n,), such as forecasts."""
    wanted = np.asarray(deviations, dtype=np.float64)
    if wanted.shape != covariance.matrix.shape[:1] or not (wanted >= 0).all():
        raise RiskError("Expected one deviation of 0 or more for each asset.")
    had = np.sqrt(np.diag(covariance.matrix))
    ratio = np.divide(wanted, had, out=np.zeros_like(had), where=had > 0)
    return Covariance(
        matrix=covariance.matrix * np.outer(ratio, ratio),
        method=covariance.method,
        n_obs=covariance.n_obs,
        repaired=covariance.repaired,
        least_eigenvalue=covariance.least_eigenvalue,
    )


def _shrunk(values: Floats, method: str) -> Floats:
    from sklearn.covariance import ledoit_wolf, oas

    if method not in {"ledoit_wolf", "oas"}:
        raise RiskError(f"Expected ledoit_wolf, oas, ewma or sample, was {method!r}.")
    if values.shape[1] == 1:  # nothing to shrink toward
        return np.array([[float(np.mean(values**2))]])
    estimate = ledoit_wolf if method == "ledoit_wolf" else oas
    return np.asarray(estimate(values, assume_centered=True)[0], dtype=np.float64)
