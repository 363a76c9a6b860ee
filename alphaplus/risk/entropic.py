"""Entropic value at risk: the tightest Chernoff bound of the quantile (Ahmadi-Javid 2012).

EVaR = min over t > 0 of t [ln mean exp(L / t) - ln(1 - level)]
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from alphaplus.risk.estimators import check_level, finite_losses


def entropic_value_at_risk(losses: npt.ArrayLike, level: float) -> float:
    """Return the entropic value at risk of `losses` (n,), in their unit.

    It is at least the expected shortfall and at most the largest loss. Raises RiskError for an
    empty or not finite sample.
    """
    values = finite_losses(losses)
    log_tail = math.log(1 - check_level(level))
    spread = float(values.max() - values.min())
    if spread == 0:
        return float(values[0])
    log_count = math.log(len(values))

    def bound(log_t: float) -> float:
        t = math.exp(log_t)
        return t * (float(logsumexp(values / t)) - log_count - log_tail)

    centre = math.log(spread)
    found = minimize_scalar(
        bound, bounds=(centre - 12, centre + 12), method="bounded", options={"xatol": 1e-10}
    )
    # at a level beyond the sample the minimum lies at t = 0, where the bound is the maximum
    return min(float(found.fun), float(np.max(values)))
