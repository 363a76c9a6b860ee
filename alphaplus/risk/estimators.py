"""Value at risk and expected shortfall of a sample of losses: the conventions of the project.

Losses are positive; a negative value at risk is a gain at the quantile and is not clipped.
The default reads the order statistics without interpolation (Rockafellar and Uryasev 2002).
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from alphaplus.errors import RiskError

Floats = npt.NDArray[np.float64]
Convention = Literal["order_statistic", "type7", "gaussian_population"]

GUARD: Final = 1e-9
"""In observations: (1 - 0.95) * 100 is 5.000000000000004 in floating point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRisk:
    """Value at risk and expected shortfall of one sample, in the unit of its losses."""

    value_at_risk: float
    expected_shortfall: float
    n_obs: int
    insufficient_tail: bool = False
    """Whether the tail holds less than one observation: both numbers are the largest loss."""


def check_level(level: float) -> float:
    """Return `level` if it is a probability above 0 and below 1, or raise RiskError."""
    if not 0 < level < 1:
        raise RiskError(f"Expected level between 0 and 1, was {level}.")
    return level


def finite_losses(losses: npt.ArrayLike) -> Floats:
    """Return the sample as an array; raises RiskError if it is empty or not finite."""
    values = np.asarray(losses, dtype=np.float64).ravel()
    if not len(values):
        raise RiskError("Expected at least one loss, was none.")
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise RiskError(f"Expected finite losses, was nan or infinite in {bad} of {len(values)}.")
    return values


def tail_risk(
    losses: npt.ArrayLike,
    level: float,
    *,
    weights: npt.ArrayLike | None = None,
    convention: Convention = "order_statistic",
) -> TailRisk:
    """Return value at risk and expected shortfall of `losses` (n,) at `level` such as 0.99.

    With losses sorted descending and a = (1 - level) n, VaR = L(k) for k = max(1, ceil(a)), and
    ES = [sum of L(1..k-1) + (a - k + 1) L(k)] / a; with `weights` (n,) the cumulated weights
    take the place of counts. The other two conventions are for comparison with other programs:
    `type7` interpolates as numpy's percentile does and averages the losses at or beyond it,
    `gaussian_population` takes a normal with the sample's moments (divisor n).

    Raises RiskError for an empty or not finite sample, or weights that are negative or all 0.

    >>> tail_risk([-0.1, 0.5, 0.3, -0.8], 0.95).value_at_risk
    0.5
    """
    check_level(level)
    values = finite_losses(losses)
    if convention != "order_statistic":
        if weights is not None:
            raise RiskError(f"Expected no weights with {convention}, were {len(values)}.")
        return _type7(values, level) if convention == "type7" else _gaussian(values, level)
    if weights is None:
        return _order_statistic(values, level)
    return _weighted(values, level, np.asarray(weights, dtype=np.float64))


def value_at_risk(losses: npt.ArrayLike, level: float) -> float:
    """Return the value at risk of `losses` at `level`, see `tail_risk`."""
    return tail_risk(losses, level).value_at_risk


def expected_shortfall(losses: npt.ArrayLike, level: float) -> float:
    """Return the expected shortfall of `losses` at `level`, see `tail_risk`."""
    return tail_risk(losses, level).expected_shortfall


def tail_count(n_obs: int, level: float) -> tuple[int, float]:
    """Return k, the rank of the value at risk from the largest loss, and a = (1 - level) n."""
    tail = (1 - level) * n_obs
    return max(1, math.ceil(tail - GUARD)), tail


def tail_weights(losses: npt.ArrayLike, level: float) -> Floats:
    """Return the weight (n,) of each loss in the expected shortfall; they sum to 1.

    The scenarios beyond the value at risk weigh 1/a, the one at it what is left.
    """
    values = finite_losses(losses)
    k, tail = tail_count(len(values), check_level(level))
    order = np.argsort(-values, kind="stable")
    found = np.zeros(len(values))
    if tail < 1 - GUARD:
        found[order[0]] = 1.0
        return found
    found[order[: k - 1]] = 1 / tail
    found[order[k - 1]] = (tail - (k - 1)) / tail
    return found


def _order_statistic(values: Floats, level: float) -> TailRisk:
    n_obs = len(values)
    k, tail = tail_count(n_obs, level)
    worst = np.sort(np.partition(values, n_obs - k)[n_obs - k :])[::-1]
    quantile = float(worst[-1])
    if tail < 1 - GUARD:
        return TailRisk(
            value_at_risk=quantile, expected_shortfall=quantile, n_obs=n_obs, insufficient_tail=True
        )
    shortfall = (math.fsum(worst[:-1]) + (tail - (k - 1)) * quantile) / tail
    return _ordered(quantile, shortfall, n_obs)


def _weighted(values: Floats, level: float, weights: Floats) -> TailRisk:
    if weights.shape != values.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise RiskError(f"Expected {len(values)} finite weights of 0 or more.")
    total = float(weights.sum())
    if total <= 0:
        raise RiskError("Expected weights with a sum above 0, was 0.")
    order = np.argsort(-values, kind="stable")
    order = order[weights[order] > 0]
    losses, shares = values[order], weights[order] / total
    n_obs, tail = len(losses), 1 - level
    cumulated = np.cumsum(shares)
    k = min(int(np.searchsorted(cumulated, tail - GUARD / n_obs)), n_obs - 1)
    quantile = float(losses[k])
    if shares[0] > tail + GUARD / n_obs:
        return TailRisk(
            value_at_risk=quantile, expected_shortfall=quantile, n_obs=n_obs, insufficient_tail=True
        )
    before = float(cumulated[k - 1]) if k else 0.0
    shortfall = (float(shares[:k] @ losses[:k]) + (tail - before) * quantile) / tail
    return _ordered(quantile, shortfall, n_obs)


def _type7(values: Floats, level: float) -> TailRisk:
    quantile = float(np.percentile(values, 100 * level))
    quantile = min(quantile, float(values.max()))  # interpolation may round above it
    beyond = values[values >= quantile]
    return _ordered(quantile, float(beyond.mean()), len(values))


def _gaussian(values: Floats, level: float) -> TailRisk:
    mean, deviation = float(values.mean()), float(values.std())
    score = float(ndtri(level))
    density = math.exp(-score * score / 2) / math.sqrt(2 * math.pi)
    return _ordered(mean + score * deviation, mean + deviation * density / (1 - level), len(values))


def _ordered(quantile: float, shortfall: float, n_obs: int) -> TailRisk:
    """Make the result; rounding must not put the shortfall below the value at risk."""
    return TailRisk(
        value_at_risk=quantile, expected_shortfall=max(quantile, shortfall), n_obs=n_obs
    )
