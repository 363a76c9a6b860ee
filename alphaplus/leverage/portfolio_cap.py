"""The portfolio cap on leverage: component expected shortfalls within a budget.

Returns follow `leverage_caps`: at least 0, infinite where nothing binds, None where unknown.
"""

import math

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.parameters import known


def stressed_correlation(correlation: npt.ArrayLike, signs: npt.ArrayLike, stress: float) -> Floats:
    """Return the correlation of losses, each pair moved by `stress` of its way to 1.

    Two positions lose together if they have equal signs and correlation 1, or opposite signs and
    -1; so the result is s_i s_j rho_ij moved toward 1, which keeps a positive semidefinite
    matrix so. `signs` are +1 long, -1 short (0: none). Raises RiskError unless the matrix is a
    square symmetric one in [-1, 1] with a diagonal of 1 and `stress` is in [0, 1].
    """
    rho, s = np.asarray(correlation, np.float64), np.sign(np.asarray(signs, np.float64))
    if rho.shape != (len(s), len(s)) or not np.allclose(rho, rho.T, atol=1e-9):
        raise RiskError(f"Expected a symmetric correlation of {len(s)} symbols, was {rho.shape}.")
    if not (np.abs(rho) <= 1 + 1e-9).all() or not np.allclose(np.diag(rho), 1.0, atol=1e-9):
        raise RiskError("Expected correlations in [-1, 1] with 1 on the diagonal, was another.")
    if not 0 <= stress <= 1:
        raise RiskError(f"Expected stress in [0, 1], was {stress}.")
    moved = (1.0 - stress) * rho * np.outer(s, s) + stress
    np.fill_diagonal(moved, 1.0)
    return np.asarray(moved)


def portfolio_cap(
    weights: npt.ArrayLike,
    expected_shortfalls: npt.ArrayLike,
    correlation: npt.ArrayLike,
    *,
    budget: float,
    stress: float = 0.5,
) -> float | None:
    """Return the gross leverage at which the component ES of all positions reach the budget.

    `weights` are signed shares of gross notional, the expected shortfalls fractions of each
    price (at least 0), `budget` a fraction of equity. With stressed correlations the components
    add up to sqrt(v' R v), v = |w| ES (elliptical returns). None if an input is nan.
    """
    w, es = np.asarray(weights, np.float64), np.asarray(expected_shortfalls, np.float64)
    rho = np.asarray(correlation, np.float64)
    if np.isnan(w).any() or np.isnan(es).any() or np.isnan(rho).any():
        return None
    gross = float(np.abs(w).sum())
    if gross == 0:
        return math.inf
    v = np.abs(w) / gross * np.maximum(es, 0.0)
    total = _quadratic(v, stressed_correlation(rho, w, stress), v)
    return budget / math.sqrt(total) if total > 0 else math.inf


def symbol_in_portfolio_cap(
    side: int,
    expected_shortfall: float | None,
    others: npt.ArrayLike,
    others_expected_shortfalls: npt.ArrayLike,
    correlation: npt.ArrayLike,
    *,
    budget: float,
    stress: float = 0.5,
) -> float | None:
    """Return the leverage of one symbol that fills the budget, all other positions fixed.

    `others` are signed notionals over equity, `correlation` has the symbol first and the others
    after it. 0 where the others alone exceed the budget and this one cannot bring them back.
    """
    held = np.asarray(others, np.float64)
    es = np.asarray(others_expected_shortfalls, np.float64)
    rho = np.asarray(correlation, np.float64)
    if expected_shortfall is None or not known(expected_shortfall):
        return None
    if np.isnan(held).any() or np.isnan(es).any() or np.isnan(rho).any():
        return None
    stressed = stressed_correlation(rho, np.concatenate(([side], held)), stress)
    v = np.abs(held) * np.maximum(es, 0.0)
    a = max(expected_shortfall, 0.0)
    cross = a * float(stressed[0, 1:] @ v)
    rest = _quadratic(v, stressed[1:, 1:], v) - budget**2
    if a == 0:
        return math.inf if rest <= 0 else 0.0
    root = cross**2 - a**2 * rest
    return max((-cross + math.sqrt(root)) / a**2, 0.0) if root >= 0 else 0.0


def _quadratic(left: Floats, matrix: Floats, right: Floats) -> float:
    total = float(left @ matrix @ right)
    if total < -1e-12:
        raise RiskError(f"Expected a positive semidefinite correlation, was one with {total}.")
    return max(total, 0.0)
