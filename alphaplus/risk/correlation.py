"""How alike the assets move, and what happens to the risk if they move more alike.

All take a covariance or correlation matrix [n, n] of returns, whoever estimated it (EWMA,
shrunk); they do not look at returns.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.covariance import Covariance, repair_covariance

Floats = npt.NDArray[np.float64]

STRESS: Final = 0.5
"""How far a stressed correlation goes from where it is to the adverse extreme, in [0, 1]."""


def correlation_of(covariance: Floats) -> tuple[Floats, Floats]:
    """Return the volatilities (n,) and the correlation [n, n], its diagonal exactly 1.

    An asset that does not move is uncorrelated. Raises RiskError unless the matrix is finite,
    symmetric and its diagonal 0 or more.
    """
    matrix = np.asarray(covariance, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise RiskError(f"Expected a finite square covariance, was {matrix.shape}.")
    variance = matrix.diagonal()
    if (variance < 0).any() or not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0):
        raise RiskError("Expected a symmetric covariance with variances of 0 or more.")
    sigma = np.sqrt(variance)
    scale = np.where(sigma > 0, 1.0 / np.where(sigma > 0, sigma, 1.0), 0.0)
    correlation = np.clip(matrix * np.outer(scale, scale), -1.0, 1.0)
    correlation = (correlation + correlation.T) / 2
    np.fill_diagonal(correlation, 1.0)
    return sigma, correlation


def average_correlation(correlation: Floats) -> float | None:
    """Return the mean off-diagonal correlation, in [-1, 1]; None for fewer than two assets."""
    n = len(correlation)
    if n < 2:
        return None
    return float((correlation.sum() - np.trace(correlation)) / (n * (n - 1)))


def weighted_average_correlation(correlation: Floats, weights: Floats) -> float | None:
    """Return the mean correlation of pairs weighted by |w_i w_j|; None for fewer than two held.

    With exposures for weights it says how alike the assets are that are held, whatever the side.
    """
    sizes = np.abs(weights)
    total = float(sizes.sum() ** 2 - np.square(sizes).sum())
    if np.count_nonzero(sizes) < 2 or not total > 0:
        return None
    inner = correlation - np.diag(correlation.diagonal())
    return float(sizes @ inner @ sizes / total)


def absorption_ratio(eigenvalues: Floats, count: int) -> float | None:
    """Return the share of variance in the `count` largest eigenvectors, in (0, 1].

    Kritzman, Li, Page and Rigobon (2011). `eigenvalues` (n,) are those of the covariance, in
    any order; None if there is no variance.
    """
    values = np.sort(np.clip(eigenvalues, 0.0, None))[::-1]
    total = float(values.sum())
    return float(values[:count].sum() / total) if total > 0 else None


def stressed_correlation(
    correlation: Floats, exposures: Floats, stress: float | Floats = STRESS
) -> Covariance:
    """Return the correlation with each pair moved toward the extreme that hurts, and repaired.

    The extreme is +1 for two exposures of one sign and -1 for opposite ones; a pair with a
    flat exposure stays. `stress` is the share of the way, one for all pairs or [n, n]. The one
    share for all is a mixture of two positive matrices, so only a share by pair, or a matrix
    that was not positive before, needs the repair.
    """
    share = np.asarray(stress, np.float64)
    if not ((share >= 0) & (share <= 1)).all():
        raise RiskError("Expected stress from 0 to 1, was beyond.")
    signs = np.sign(exposures)
    extreme = np.outer(signs, signs)
    moved = np.where(extreme == 0, correlation, correlation + share * (extreme - correlation))
    np.fill_diagonal(moved, 1.0)
    return repair_covariance(moved, method="stressed")


def portfolio_sigma(exposures: Floats, sigma: Floats, correlation: Floats) -> float:
    """Return the standard deviation of the profit, in the unit of `exposures`."""
    risks = exposures * sigma
    return float(np.sqrt(max(0.0, float(risks @ correlation @ risks))))
