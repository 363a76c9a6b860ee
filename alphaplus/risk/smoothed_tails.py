"""Residuals whose both tails follow a fitted Pareto law, for scenarios beyond what was seen.

The ranks stay, so that symbols keep their dependence; only the sizes of the outer tenth on each
side become the quantiles of the law at the ranks' mid-points (McNeil, Frey and Embrechts 2015,
sec. 5.2, with the empirical body in between).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.evt import FEWEST_EXCEEDANCES, fit_pareto_tail
from alphaplus.risk.filtered import FilteredReturns

Floats = npt.NDArray[np.float64]


def smoothed_tails(filtered: FilteredReturns) -> FilteredReturns:
    """Return the filtered returns with both tails of the residuals smoothed.

    Raises RiskError if a tail has too few residuals, or no mean.
    """
    residuals = filtered.residuals.copy()
    known = np.isfinite(residuals)
    body = residuals[known]
    body = _upper(-_upper(-body))
    residuals[known] = body
    series = replace(filtered.series, values=residuals * filtered.scales)
    return replace(filtered, series=series)


def _upper(values: Floats) -> Floats:
    """Return values with those of the upper tail on the fitted law, in their order."""
    tail = fit_pareto_tail(values)
    if tail is None or tail.shape >= 1:
        raise RiskError(
            f"Expected {FEWEST_EXCEEDANCES} different residuals in each tail, were fewer."
        )
    beyond = np.flatnonzero(values > tail.threshold)
    order = beyond[np.argsort(-values[beyond], kind="stable")]
    found = values.copy()
    for rank, place in enumerate(order):
        risk = tail.tail_risk(1.0 - (rank + 0.5) / len(values))
        if risk is not None:
            found[place] = risk.value_at_risk
    return found
