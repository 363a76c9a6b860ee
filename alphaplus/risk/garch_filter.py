"""GARCH(1,1) with Student errors as a volatility filter, refitted on past returns only.

    s2_{t+1} = omega + alpha r_t^2 + beta s2_t,   r_t = s_t z_t,  z ~ t(nu) of variance 1

(Bollerslev 1987), by the `arch` library. The mean is taken as 0, as in the other filters.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]

FEWEST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchParameters:
    """A fitted GARCH(1,1)-t in the unit of its returns squared; nu is the degrees of freedom."""

    omega: float
    alpha: float
    beta: float
    nu: float
    converged: bool


def fit_garch_t(returns: npt.ArrayLike) -> GarchParameters:
    """Fit GARCH(1,1)-t with mean 0 by maximum likelihood; nan returns are left out.

    Raises RiskError for fewer than `FEWEST` finite returns or if all are equal.
    """
    from arch.univariate import GARCH, StudentsT, ZeroMean

    values = np.asarray(returns, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < FEWEST:
        raise RiskError(f"Expected at least {FEWEST} finite returns, was {len(values)}.")
    unit = float(np.sqrt(np.mean(values**2)))
    if not unit > 0 or np.ptp(values) == 0:
        raise RiskError("Expected returns that differ, was one value throughout.")
    model = ZeroMean(values / unit, rescale=False)
    model.volatility, model.distribution = GARCH(1, 0, 1), StudentsT()
    result = model.fit(disp="off", show_warning=False)
    omega, alpha, beta, nu = (
        float(result.params[name]) for name in ("omega", "alpha[1]", "beta[1]", "nu")
    )
    return GarchParameters(
        omega=omega * unit**2,
        alpha=alpha,
        beta=beta,
        nu=nu,
        converged=int(result.convergence_flag) == 0,
    )


def garch_variances(
    returns: npt.ArrayLike, *, refit: int, fewest: int = FEWEST
) -> tuple[Floats, Floats]:
    """Return variance forecasts (n + 1,) and the parameters in force (n + 1, 3) for each.

    The first fit takes the first `fewest` returns, then one follows every `refit` returns on all
    before it; a fit that does not converge leaves the last one in force. Parameters are omega,
    alpha, beta. Element t uses returns before t only; before the first fit all is nan.
    """
    values = np.ascontiguousarray(returns, dtype=np.float64)
    variances = np.full(len(values) + 1, np.nan)
    parameters = np.full((len(values) + 1, 3), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    if refit < 1 or fewest < FEWEST:
        raise RiskError(f"Expected refit above 0 and fewest of {FEWEST} or more.")
    if len(known) < fewest:
        return variances, parameters
    first = int(known[fewest - 1]) + 1
    for begin in range(first, len(values) + 1, refit):
        fit = fit_garch_t(values[:begin])
        if fit.converged:
            parameters[begin:] = fit.omega, fit.alpha, fit.beta
        _follow(values, parameters, begin, min(begin + refit, len(values) + 1), variances)
    return variances, parameters


@kernel
def _follow(returns: Floats, parameters: Floats, begin: int, end: int, variances: Floats) -> None:
    """Run the newest parameters from the start of the data, and keep forecasts from `begin`."""
    omega, alpha, beta = parameters[begin]
    if np.isnan(omega):
        return
    variance = 0.0
    known = 0
    for t in range(begin):
        if not np.isnan(returns[t]):
            variance += returns[t] ** 2
            known += 1
    variance /= known
    for t in range(end):
        if t >= begin:
            variances[t] = variance
        if t < len(returns) and not np.isnan(returns[t]):
            variance = omega + alpha * returns[t] ** 2 + beta * variance
