"""The effective number of bets: how many uncorrelated sources the risk is spread over.

Meucci, Santangelo and Deguest (2014): of all uncorrelated factors, the minimum-torsion ones are
closest to the assets. The number of bets is exp(-sum p ln p) of the shares of variance p.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-10
MOST_STEPS: Final = 200
_SINGULAR: Final = 1e-10
"""Smallest eigenvalue of a correlation that still can be inverted to any use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Torsion:
    """Minimum-torsion factors of a covariance; a portfolio's shares take two products."""

    factors: Floats
    """Covariance of the factors with the assets, [factors, assets]."""
    loadings: Floats
    """Turns exposures to assets into exposures to factors, [factors, assets]."""


def minimum_torsion(sigma: Floats, correlation: Floats) -> Torsion | None:
    """Return the factors; None for a singular correlation or an asset that does not move.

    `sigma` (n,) and `correlation` [n, n] as of `correlation_of`. The factor variances are found
    by the fixed-point iteration of the paper's appendix.
    """
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < _SINGULAR or not (sigma > 0).all():
        return None
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    scale = np.ones(len(sigma))
    rotation = np.eye(len(sigma))
    for _ in range(MOST_STEPS):
        inner, basis = np.linalg.eigh(scale[:, None] * correlation * scale)
        rotation = (basis / np.sqrt(inner)) @ basis.T @ (scale[:, None] * root)
        before, scale = scale, np.einsum("ij,ji->i", rotation, root)
        if np.abs(scale - before).max() <= TOLERANCE:
            break
    torsion = scale[:, None] * rotation @ inverse_root
    inverse = root @ rotation.T / scale
    loadings = inverse.T * sigma / sigma[:, None]
    factors = sigma[:, None] * torsion @ correlation * sigma
    return Torsion(factors=factors, loadings=loadings)


def variance_shares(torsion: Torsion, exposures: Floats) -> Floats | None:
    """Return each factor's share of the variance (n,), with sum 1; None if there is none."""
    shares = (torsion.loadings @ exposures) * (torsion.factors @ exposures)
    total = float(shares.sum())
    return np.maximum(shares / total, 0.0) if total > 0 else None


def effective_bets(torsion: Torsion, exposures: Floats) -> float | None:
    """Return the number of bets of `exposures` (n,), from 1 to n; None without any risk."""
    shares = variance_shares(torsion, exposures)
    if shares is None:
        return None
    taken = shares[shares > 0]
    bets = float(np.exp(-(taken * np.log(taken)).sum()))
    return min(max(bets, 1.0), float(len(shares)))
