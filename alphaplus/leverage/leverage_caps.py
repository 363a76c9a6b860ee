"""The caps on leverage that need no market: volatility target, margin survival, venue.

Leverage is gross notional over equity, not the leverage set at the venue. Each function returns
the largest leverage that its limit allows: a number of at least 0, infinite where the limit does
not bind at all, None where an input is unknown (None or nan). All rates are fractions. The other
two caps are in `liquidity_cap` and `portfolio_cap`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.parameters import at_least_zero, known
from alphaplus.leverage.tiers import TierTable

Rate = Callable[[float], float]
"""Of a notional in quote currency: the cost, or the margin, as a fraction of it."""

_BISECTIONS: Final = 200


def volatility_cap(sigma_target: float, sigma: float | None) -> float | None:
    """Return sigma_target / sigma, both over the same horizon (Moreira, Muir, 2017)."""
    if sigma is None or not known(sigma):
        return None
    if sigma < 0:
        raise RiskError(f"Expected sigma of at least 0, was {sigma}.")
    return sigma_target / sigma if sigma > 0 else math.inf


def margin_survival_cap(
    *,
    equity: float | None,
    expected_shortfall: float | None,
    impact: Rate | None,
    maintenance_rate: Rate | None,
    fee: float = 0.0,
    funding: float | None = 0.0,
    ceiling: float = 1000.0,
) -> float | None:
    """Return the largest L with L (ES + impact(N) + fee + funding + m(N)) <= 1 at N = L equity.

    So an adverse move of the expected shortfall (a fraction of the price, 97.5 %, over the time
    needed to react), and the exit after it, leave more than the maintenance margin. `impact`
    and `maintenance_rate` must not fall with the notional, and may be infinite; funding that is
    received (below 0) counts as none. Found by bisection up to `ceiling`.
    """
    if (
        equity is None
        or expected_shortfall is None
        or funding is None
        or impact is None
        or maintenance_rate is None
        or not (known(equity) and known(expected_shortfall) and known(funding))
    ):
        return None
    if equity <= 0:
        return 0.0
    fixed = max(expected_shortfall, 0.0) + at_least_zero("fee", fee) + max(funding, 0.0)

    def spent(leverage: float) -> float:
        notional = leverage * equity
        return leverage * (fixed + impact(notional) + maintenance_rate(notional))

    if math.isnan(spent(ceiling)):
        return None
    if spent(ceiling) <= 1:
        return ceiling
    low, high = 0.0, ceiling
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if spent(middle) <= 1 else (low, middle)
    return low


def maintenance_rate(tiers: TierTable) -> Rate:
    """Return the mean maintenance rate of a notional by its tiers, for `margin_survival_cap`."""
    lowest = float(tiers.rows["rate"][0])

    def rate(notional: float) -> float:
        return float(tiers.maintenance_margin(notional)) / notional if notional > 0 else lowest

    return rate


def blended(rates: Sequence[Rate], weights: Sequence[float]) -> Rate:
    """Return the rate of a whole portfolio: each market's at its share of gross notional."""
    gross = math.fsum(abs(weight) for weight in weights)
    shares = [abs(weight) / gross if gross > 0 else 0.0 for weight in weights]

    def rate(notional: float) -> float:
        used = zip(rates, shares, strict=True)
        return math.fsum(part * of(part * notional) for of, part in used if part > 0)

    return rate


def venue_cap(
    floors: npt.ArrayLike,
    caps: npt.ArrayLike,
    max_leverages: npt.ArrayLike,
    equity: float | None,
) -> float | None:
    """Return the largest leverage that the tier of its own notional allows.

    Tiers ascend: `floors` and `caps` of the notional, and each tier's maximum leverage. The
    notional at a cap belongs to the lower tier; above the last cap nothing is allowed. None
    without tiers or equity.
    """
    floor, cap, most = (np.asarray(x, np.float64) for x in (floors, caps, max_leverages))
    if equity is None or not known(equity) or not len(cap):
        return None
    if np.isnan(floor).any() or np.isnan(cap).any() or np.isnan(most).any():
        return None
    if equity <= 0:
        return 0.0
    allowed = np.minimum(most, cap / equity)
    return float(allowed[allowed * equity > floor].max(initial=0.0))
