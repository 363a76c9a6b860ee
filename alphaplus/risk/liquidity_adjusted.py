"""Value at risk with the cost of getting out: liquidity is added, never subtracted.

    constant spread   LVaR = VaR + 0.5 V s
    random spread     LVaR = VaR + 0.5 V (mean_s + a sd_s)        (Bangia et al. 1999)
    depth-aware       LVaR = VaR + cost of the visible book + cost beyond it

where the price beyond the book moves by dP/P = Y sigma_D sqrt(Q / V_D), Y near 1 (Donier and
Bonart 2015; Almgren et al. 2005 find the exponent 3/5 for temporary impact). Spreads are
fractions of the mid.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError

Floats = npt.NDArray[np.float64]

IMPACT: Final = 1.0
"""Y of the square-root law."""
EXPONENT: Final = 0.5
TAIL_FACTOR: Final = 3.0
"""Deviations of the spread that its tail is taken to reach: 2 to 4.5 by its distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityAdjusted:
    """Value at risk and what is added to it, quote currency."""

    value_at_risk: float
    liquidity_cost: float

    @property
    def total(self) -> float:
        """The liquidity-adjusted value at risk."""
        return self.value_at_risk + self.liquidity_cost


def constant_spread(value_at_risk: float, notional: float, spread: float) -> LiquidityAdjusted:
    """Add half of a known spread on the notional.

    >>> constant_spread(100 * 0.02 * 1.65, 100, 0.01).total
    3.8
    """
    return _added(value_at_risk, 0.5 * abs(notional) * _at_least_zero("spread", spread))


def random_spread(
    value_at_risk: float,
    notional: float,
    mean_spread: float,
    spread_sd: float,
    *,
    factor: float = TAIL_FACTOR,
) -> LiquidityAdjusted:
    """Add half of a spread at the end of its own tail."""
    worst = _at_least_zero("mean_spread", mean_spread) + _at_least_zero("factor", factor) * (
        _at_least_zero("spread_sd", spread_sd)
    )
    return _added(value_at_risk, 0.5 * abs(notional) * worst)


def depth_aware(
    value_at_risk: float,
    quantity: float,
    mid: float,
    level_prices: npt.ArrayLike,
    level_quantities: npt.ArrayLike,
    *,
    daily_volatility: float,
    daily_volume: float,
    impact: float = IMPACT,
    exponent: float = EXPONENT,
) -> LiquidityAdjusted:
    """Add the cost against the mid of closing `quantity` (base units, 0 or more) at once.

    The levels (best first, of the side that is hit) fill what they hold. The rest starts at the
    last level's price and moves it by the square-root law, `daily_volatility` a fraction and
    `daily_volume` in base units; its mean price is 1 / (1 + exponent) of the way.
    """
    left = _at_least_zero("quantity", quantity)
    prices = np.asarray(level_prices, dtype=np.float64)
    sizes = np.asarray(level_quantities, dtype=np.float64)
    if prices.shape != sizes.shape or not (prices > 0).all() or not (sizes >= 0).all():
        raise RiskError("Expected as many prices above 0 as quantities of 0 or more.")
    if not mid > 0:
        raise RiskError(f"Expected a mid above 0, was {mid}.")
    begins = np.cumsum(sizes) - sizes
    taken = np.clip(left - begins, 0.0, sizes)
    cost = math.fsum(taken * np.abs(prices - mid))
    rest = max(0.0, left - float(taken.sum()))
    if rest > 1e-12 * left:
        if not (daily_volume > 0 and daily_volatility >= 0):
            raise RiskError("Expected daily_volume above 0 to go beyond the book.")
        reached = abs(float(prices[-1]) - mid) if len(prices) else 0.0
        move = impact * daily_volatility * (rest / daily_volume) ** exponent
        cost += rest * (reached + mid * move / (1 + exponent))
    return _added(value_at_risk, cost)


def _added(value_at_risk: float, cost: float) -> LiquidityAdjusted:
    if not (math.isfinite(value_at_risk) and math.isfinite(cost)):
        raise RiskError(f"Expected finite numbers, was {value_at_risk} and {cost}.")
    return LiquidityAdjusted(value_at_risk=value_at_risk, liquidity_cost=cost)


def _at_least_zero(name: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise RiskError(f"Expected {name} of 0 or more, was {value}.")
    return value
