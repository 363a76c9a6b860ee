"""GARCH(1,1) with a constant mean and Gaussian errors, by the `arch` library.

    r_t = mu + e_t,  s2_t = omega + alpha e_{t-1}^2 + beta s2_{t-1}   (Bollerslev 1986)

Before the first return e^2 and s2 are the mean squared residual, as in the benchmark of
Fiorentini, Calzolari and Panattoni (1996). `arch` takes a second to import, so only a fit does.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError

Floats = npt.NDArray[np.float64]

_FEWEST: Final = 100
_TOLERANCE: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchFit:
    """A fitted GARCH(1,1), in the units of the returns that it was fitted on."""

    mu: float
    omega: float
    alpha: float
    beta: float
    log_likelihood: float
    has_converged: bool
    """Whether the optimizer says that it arrived; if not, take no number from here."""
    variances: Floats
    """The conditional variance of each return."""
    next_variance: float
    """That of the return to come."""

    @property
    def persistence(self) -> float:
        """alpha + beta: what is left of a shock after one period."""
        return self.alpha + self.beta

    @property
    def long_run_variance(self) -> float | None:
        """omega / (1 - alpha - beta); None if shocks do not die out."""
        return self.omega / (1 - self.persistence) if self.persistence < 1 else None

    def forecast(self, periods: int) -> Floats:
        """Return the variances of the next `periods` returns."""
        if periods < 1:
            raise ConfigError(f"Expected periods above 0, was {periods}.")
        found = np.empty(periods)
        variance = self.next_variance
        for i in range(periods):
            found[i] = variance
            variance = self.omega + self.persistence * variance
        return found


def fit_garch(returns: npt.ArrayLike) -> GarchFit:
    """Fit GARCH(1,1) to returns of equal periods in a row, oldest first, in any unit.

    Raises ConfigError for fewer than 100 returns, or any that is not finite, or if all are equal.
    """
    from arch.univariate import ConstantMean, Normal

    values = np.asarray(returns, dtype=np.float64)
    if len(values) < _FEWEST or not np.isfinite(values).all():
        raise ConfigError(f"Expected at least {_FEWEST} finite returns, was {len(values)}.")
    unit = float(values.std())  # returns of 1e-5 leave the optimizer without a slope
    if unit == 0:
        raise ConfigError("Expected returns that differ, was one value throughout.")
    scaled = values / unit
    model = ConstantMean(scaled, rescale=False, distribution=Normal())
    model.volatility = _volatility_process()
    result = model.fit(disp="off", show_warning=False, tol=_TOLERANCE)
    mean = float(result.params["mu"])
    omega, alpha, beta = (float(result.params[name]) for name in ("omega", "alpha[1]", "beta[1]"))
    variances = np.asarray(result.conditional_volatility, dtype=np.float64) ** 2
    last = float((scaled[-1] - mean) ** 2)
    return GarchFit(
        mu=mean * unit,
        omega=omega * unit**2,
        alpha=alpha,
        beta=beta,
        log_likelihood=float(result.loglikelihood) - len(values) * float(np.log(unit)),
        has_converged=int(result.convergence_flag) == 0,
        variances=variances * unit**2,
        next_variance=(omega + alpha * last + beta * float(variances[-1])) * unit**2,
    )


def _volatility_process() -> Any:
    """Return GARCH(1,1) that begins at the mean squared residual of the mean being tried.

    The library's own start is a decayed average, and stays that of its first guess.
    """
    from arch.univariate import GARCH

    class Process(GARCH):  # type: ignore[misc,unused-ignore]
        def compute_variance(
            self, parameters: Any, resids: Any, sigma2: Any, backcast: Any, var_bounds: Any
        ) -> Any:
            start = float(np.mean(resids**2))
            return super().compute_variance(parameters, resids, sigma2, start, var_bounds)

    return Process(1, 0, 1)
