"""Drawdown of an equity curve: how far it is below its highest value so far.

The conditional drawdown at risk is the expected shortfall of the drawdowns (Chekhlov, Uryasev
and Zabarankin 2005).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import TailRisk, finite_losses, tail_risk

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """Fractions of the peak, 0 or more; above 1 where equity is below 0."""

    now: float
    worst: float


def drawdowns(equity: Floats) -> Floats:
    """Return the drawdown at each point of an equity curve (n,), a fraction of the peak so far.

    Raises RiskError unless all is finite and starts above 0, as there is no peak to fall from.

    >>> drawdowns(np.array([100.0, 80.0, 120.0])).tolist()
    [0.0, 0.2, 0.0]
    """
    if not len(equity) or not np.isfinite(equity).all() or not equity[0] > 0:
        raise RiskError("Expected a finite equity curve that starts above 0, was not so.")
    return np.asarray(1.0 - equity / np.maximum.accumulate(equity))


def drawdown_of(equity: Floats) -> Drawdown:
    """Return the drawdown at the end of the curve and the worst of it."""
    falls = drawdowns(equity)
    return Drawdown(now=float(falls[-1]), worst=float(falls.max()))


def returns_of(equity: Floats) -> Floats:
    """Return the simple returns (n - 1,) of an equity curve above 0."""
    if not (np.isfinite(equity) & (equity > 0)).all():
        raise RiskError("Expected an equity curve above 0, was not so.")
    return np.asarray(equity[1:] / equity[:-1] - 1.0)


def compounded_drawdowns(returns: npt.ArrayLike) -> Floats:
    """Return the drawdown after each simple return as a fraction of the peak, in [0, 1].

    The curve starts at its first value, as in skfolio. Raises RiskError for returns below -1,
    as no equity is left to compound.
    """
    values = finite_losses(returns)
    if (values < -1).any():
        raise RiskError(f"Expected returns of -1 or more, was {values.min()}.")
    curve = np.asarray(np.cumprod(1 + values), np.float64)
    if curve[0] == 0:  # nothing was ever there to fall from: all is lost
        return np.ones(len(curve))
    return drawdowns(curve)


def drawdown_at_risk(returns: npt.ArrayLike, level: float) -> TailRisk:
    """Return the quantile of the drawdowns and their shortfall (CDaR), fractions of the peak."""
    return tail_risk(compounded_drawdowns(returns), level)
