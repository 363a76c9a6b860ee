"""Do forecasts of value at risk cover what they claim? Tests of the exceedances.

An exceedance is strict: loss > VaR. p = 1 - level, and 0 ln 0 = 0 throughout.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc, chdtrc, xlog1py, xlogy

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import check_level

Flags = npt.NDArray[np.bool_]
Zone = Literal["green", "yellow", "red"]

YELLOW_FROM: Final = 0.95
RED_FROM: Final = 0.9999
BASEL_250_PLUS_FACTORS: Final[tuple[float, ...]] = (
    0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.00,
)  # fmt: skip
"""Add to the multiplier 3 by exceedances among 250 days at 99 %, 10 or more the last.

Basel Committee, "Supervisory framework for the use of backtesting" (January 1996), table 2.
"""
MAR99_MULTIPLIERS: Final[tuple[float, ...]] = (
    1.50, 1.50, 1.50, 1.50, 1.50, 1.70, 1.76, 1.83, 1.88, 1.92, 2.00,
)  # fmt: skip
"""Multipliers by exceedances among 250 days at 99 %: Basel Framework MAR99, table 2 (2023)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """A likelihood-ratio statistic and its p-value; a small p speaks against the model."""

    statistic: float
    p_value: float

    __test__ = False  # no test class, whatever its name begins with

    def accepted(self, significance: float = 0.05) -> bool:
        """Say whether the model is not rejected at this significance."""
        return self.p_value >= significance


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficLight:
    """The Basel zone, P(X <= x) and P(X >= x), the chance to reject a right model."""

    zone: Zone
    cumulative: float
    type_1: float


def exceedances(losses: npt.ArrayLike, forecasts: npt.ArrayLike) -> Flags:
    """Return loss > VaR (n,); raises RiskError for shapes that differ or values not finite."""
    lost = np.asarray(losses, dtype=np.float64)
    limits = np.asarray(forecasts, dtype=np.float64)
    if lost.shape != limits.shape or not (np.isfinite(lost).all() and np.isfinite(limits).all()):
        raise RiskError("Expected finite losses and forecasts of one shape.")
    found: Flags = lost > limits
    return found


def kupiec(n_obs: int, failures: int, level: float) -> TestResult:
    """Test the number of exceedances: proportion of failures (Kupiec 1995), chi2(1)."""
    _check(n_obs, failures)
    p, x = 1 - check_level(level), failures
    share = x / n_obs
    under = xlog1py(n_obs - x, -p) + xlogy(x, p)
    free = xlog1py(n_obs - x, -share) + xlogy(x, share)
    return _chi_square(-2 * float(under - free), 1)


def kupiec_mid_p(n_obs: int, failures: int, level: float) -> float:
    """Return the two-sided mid-p value of the exact binomial test, for few exceedances."""
    _check(n_obs, failures)
    p = 1 - check_level(level)
    at_least = 1.0 if failures == 0 else float(bdtrc(failures - 1, n_obs, p))
    at_most = float(bdtr(failures, n_obs, p))
    exactly = at_least + at_most - 1
    return min(1.0, 2 * (min(at_least, at_most) - exactly / 2))


def kupiec_bounds(n_obs: int, level: float, significance: float = 0.05) -> tuple[int | None, int]:
    """Return the least and the most exceedances that are not rejected.

    The least is None where a right model has none at all with a chance of `significance` or
    more: the chi2 law is off there (255 days at 99 %: 0 has 7.7 %, yet its LR is 5.1).
    """
    accepted = [x for x in range(n_obs + 1) if kupiec(n_obs, x, level).accepted(significance)]
    least = None if level**n_obs >= significance else accepted[0]
    return least, accepted[-1]


def transitions(flags: npt.ArrayLike) -> tuple[int, int, int, int]:
    """Return n00, n01, n10, n11: how often one state followed another."""
    hits = np.asarray(flags, dtype=bool)
    before, after = hits[:-1], hits[1:]
    counts = np.bincount(2 * before + after, minlength=4)
    return int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])


def christoffersen(n00: int, n01: int, n10: int, n11: int) -> TestResult:
    """Test that exceedances do not follow each other (Christoffersen 1998), chi2(1)."""
    if min(n00, n01, n10, n11) < 0:
        raise RiskError("Expected counts of 0 or more, was below.")
    quiet, after_hit = n00 + n01, n10 + n11
    total = quiet + after_hit
    pi01 = n01 / quiet if quiet else 0.0
    pi11 = n11 / after_hit if after_hit else 0.0
    pi = (n01 + n11) / total if total else 0.0
    under = xlog1py(n00 + n10, -pi) + xlogy(n01 + n11, pi)
    free = xlog1py(n00, -pi01) + xlogy(n01, pi01) + xlog1py(n10, -pi11) + xlogy(n11, pi11)
    return _chi_square(-2 * float(under - free), 1)


def conditional_coverage(flags: npt.ArrayLike, level: float) -> TestResult:
    """Test number and independence together: the sum of both statistics, chi2(2)."""
    hits = np.asarray(flags, dtype=bool)
    number = kupiec(len(hits), int(hits.sum()), level).statistic
    return _chi_square(number + christoffersen(*transitions(hits)).statistic, 2)


def traffic_light(n_obs: int, failures: int, level: float) -> TrafficLight:
    """Return the Basel zone of a number of exceedances (Basel Committee 1996)."""
    _check(n_obs, failures)
    p = 1 - check_level(level)
    cumulative = float(bdtr(failures, n_obs, p))
    zone: Zone = (
        "green" if cumulative < YELLOW_FROM else "yellow" if cumulative < RED_FROM else "red"
    )
    type_1 = 1.0 if failures == 0 else float(bdtrc(failures - 1, n_obs, p))
    return TrafficLight(zone=zone, cumulative=cumulative, type_1=type_1)


def duration_test(flags: npt.ArrayLike) -> TestResult | None:
    """Test that times between exceedances have no memory (Christoffersen and Pelletier 2004).

    Durations follow a Weibull law with shape b; b = 1 is no memory, chi2(1). The first and the
    last duration are censored. None with fewer than two exceedances.
    """
    hits = np.asarray(flags, dtype=bool)
    at = np.flatnonzero(hits)
    if len(at) < 2:
        return None
    lengths = np.diff(at).astype(np.float64)
    censored = np.array([at[0] + 1.0 if not hits[0] else 0.0, float(len(hits) - 1 - at[-1])])
    durations = np.concatenate([lengths, censored[censored > 0]])
    free = _weibull_maximum(durations, lengths)
    return _chi_square(2 * (free - _weibull(durations, lengths, 1.0)), 1)


def _weibull(durations: npt.NDArray[np.float64], ended: npt.NDArray[np.float64], b: float) -> float:
    """Return the log likelihood at shape b, the rate being the best for it."""
    count = len(ended)
    power = float(np.sum(durations**b))
    log_rate = math.log(count / power)  # a^b
    return count * (log_rate + math.log(b)) + (b - 1) * float(np.log(ended).sum()) - count


def _weibull_maximum(durations: npt.NDArray[np.float64], ended: npt.NDArray[np.float64]) -> float:
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_b: -_weibull(durations, ended, math.exp(log_b)),
        bounds=(math.log(0.05), math.log(20.0)),
        method="bounded",
    )
    return max(-float(found.fun), _weibull(durations, ended, 1.0))


def _chi_square(statistic: float, freedom: int) -> TestResult:
    value = max(0.0, statistic)  # rounding may leave it just below
    return TestResult(statistic=value, p_value=float(chdtrc(freedom, value)))


def _check(n_obs: int, failures: int) -> None:
    if not 0 <= failures <= n_obs or n_obs < 1:
        raise RiskError(f"Expected failures from 0 to n_obs above 0, was {failures} of {n_obs}.")
