"""Drawdowns of a compounded equity curve, and their conditional value at risk.

Chekhlov, Uryasev and Zabarankin (2005): the expected shortfall of the drawdowns.
"""

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import TailRisk, finite_losses, tail_risk

Floats = npt.NDArray[np.float64]


def compounded_drawdowns(returns: npt.ArrayLike) -> Floats:
    """Return the drawdown after each simple return as a fraction of the peak, in [0, 1].

    The curve starts at its first value, as in skfolio. Raises RiskError for returns below -1,
    as no equity is left to compound.
    """
    values = finite_losses(returns)
    if (values < -1).any():
        raise RiskError(f"Expected returns of -1 or more, was {values.min()}.")
    curve = np.cumprod(1 + values)
    peak = np.maximum.accumulate(curve)
    falls = np.ones(len(curve))  # where the first return was -1 there is no peak to fall from
    np.divide(peak - curve, peak, out=falls, where=peak > 0)
    return falls


def drawdown_at_risk(returns: npt.ArrayLike, level: float) -> TailRisk:
    """Return the quantile of the drawdowns and their shortfall (CDaR), fractions of the peak."""
    return tail_risk(compounded_drawdowns(returns), level)
