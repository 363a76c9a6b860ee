"""Exponentially weighted variance of bars, its decay fitted on the past, and the normal model.

    s2_{t+1} = lambda s2_t + (1 - lambda) r_t^2        (RiskMetrics 1996)
    VaR = s z,  ES = s phi(z) / (1 - level)

The mean is taken as 0. For days lambda is 0.94 by convention; for other bars it is fitted: at
each bar the candidate with the best Gaussian likelihood over the earlier returns is in force.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from alphaplus.errors import RiskError
from alphaplus.jit import kernel
from alphaplus.risk.estimators import TailRisk, check_level

Floats = npt.NDArray[np.float64]

DAILY_DECAY: Final = 0.94
START: Final = 50
"""Returns whose mean square starts the recursion; forecasts among them are nan."""
CANDIDATES: Final[tuple[float, ...]] = (0.85, 0.90, 0.92, 0.94, 0.96, 0.97, 0.98, 0.99, 0.995)


def ewma_variances(returns: npt.ArrayLike, decay: float = DAILY_DECAY) -> Floats:
    """Return the variance forecast of each return and of the next one, (n + 1,).

    Element t uses returns before t only; the first `START` are nan. Returns that are nan leave
    the forecast as it is. Raises RiskError for a decay outside (0, 1).
    """
    return fitted_variances(returns, (decay,))[0]


def fitted_variances(
    returns: npt.ArrayLike, candidates: tuple[float, ...] = CANDIDATES
) -> tuple[Floats, Floats]:
    """Return the variance forecasts (n + 1,) and the decay in force for each (n + 1,).

    Of the candidates that one is used whose sum of ln s2 + r^2 / s2 over the returns before is
    least. Element t of both uses returns before t only.
    """
    decays = np.asarray(candidates, dtype=np.float64)
    if not len(decays) or not ((decays > 0) & (decays < 1)).all():
        raise RiskError(f"Expected decays between 0 and 1, was {candidates}.")
    values = np.ascontiguousarray(returns, dtype=np.float64)
    variances, chosen = np.full(len(values) + 1, np.nan), np.full(len(values) + 1, np.nan)
    _filter(values, decays, START, variances, chosen)
    return variances, chosen


def normal_tail(deviation: float, level: float, *, n_obs: int = 0) -> TailRisk:
    """Return value at risk and shortfall of a normal loss with mean 0 (in the deviation's unit)."""
    if not (math.isfinite(deviation) and deviation >= 0):
        raise RiskError(f"Expected a deviation of 0 or more, was {deviation}.")
    quantile, shortfall = normal_factors(level)
    return TailRisk(
        value_at_risk=deviation * quantile, expected_shortfall=deviation * shortfall, n_obs=n_obs
    )


def normal_factors(level: float) -> tuple[float, float]:
    """Return z and phi(z) / (1 - level)."""
    score = float(ndtri(check_level(level)))
    return score, math.exp(-score * score / 2) / math.sqrt(2 * math.pi) / (1 - level)


@kernel
def _filter(returns: Floats, decays: Floats, start: int, variances: Floats, chosen: Floats) -> None:
    count = len(decays)
    running = np.zeros(count)
    losses = np.zeros(count)
    known = 0
    square = 0.0
    best = 0
    for t in range(len(returns) + 1):
        if known >= start and running[best] > 0:
            variances[t] = running[best]
            chosen[t] = decays[best]
        if t == len(returns):
            break
        value = returns[t]
        if np.isnan(value):
            continue
        known += 1
        if known <= start or running[0] <= 0:
            square += value * value
            running[:] = square / known
            continue
        for c in range(count):
            losses[c] += np.log(running[c]) + value * value / running[c]
            running[c] = decays[c] * running[c] + (1.0 - decays[c]) * value * value
            if losses[c] < losses[best]:
                best = c
