"""Cornish-Fisher value at risk: off by default, as it holds only for mild skew and tails.

    z* = z + (z^2 - 1) S / 6 + (z^3 - 3z) K / 24 - (2z^3 - 5z) S^2 / 36      (K: excess kurtosis)

is a quantile function only where it rises with z (Maillard 2012): at S = 0 for 0 <= K <= 8, and
never beyond |S| = 6 (sqrt 2 - 1). Hourly returns of perpetuals lie far outside.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from alphaplus.risk.estimators import check_level, finite_losses

MOST_SKEW: Final = 6 * (math.sqrt(2) - 1)


def is_monotone(skew: float, excess_kurtosis: float) -> bool:
    """Say whether the expansion rises everywhere: its derivative, a quadratic, has no root."""
    cubic = excess_kurtosis / 24 - skew**2 / 18
    a, b = 3 * cubic, skew / 3
    c = 1 - 3 * excess_kurtosis / 24 + 5 * skew**2 / 36
    if a == 0:
        return b == 0 and c > 0
    return a > 0 and b * b - 4 * a * c <= 1e-12


def cornish_fisher_value_at_risk(losses: npt.ArrayLike, level: float) -> float | None:
    """Return the value at risk of `losses` (n,) by the expansion; None where it is invalid.

    Moments have divisor n. Raises RiskError for an empty or not finite sample.
    """
    values = finite_losses(losses)
    check_level(level)
    mean, deviation = float(values.mean()), float(values.std())
    if deviation == 0:
        return mean
    scores = (values - mean) / deviation
    skew, kurtosis = float(np.mean(scores**3)), float(np.mean(scores**4)) - 3
    if not is_monotone(skew, kurtosis):
        return None
    return mean + deviation * expansion(float(ndtri(level)), skew, kurtosis)


def expansion(score: float, skew: float, excess_kurtosis: float) -> float:
    """Return z* of a normal score z."""
    return (
        score
        + (score**2 - 1) * skew / 6
        + (score**3 - 3 * score) * excess_kurtosis / 24
        - (2 * score**3 - 5 * score) * skew**2 / 36
    )
