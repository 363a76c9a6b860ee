"""Value at risk with the cost of getting out: liquidity is added, never subtracted.

    constant spread   LVaR = VaR + 0.5 V s
    random spread     LVaR = VaR + 0.5 V (mean_s + a sd_s)        (Bangia et al. 1999)
    depth-aware       LVaR = VaR + cost of the visible book + cost beyond it  (`impact`)

Spreads are fractions of the mid.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.impact import Depth, exit_costs

Floats = npt.NDArray[np.float64]

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
    value_at_risk: float, depth: Depth, notional: Floats, prices: Floats, *, survival: float = 1.0
) -> LiquidityAdjusted:
    """Add the cost against the prices of closing each signed notional (symbols,) at once.

    Raises RiskError where a price is unknown, or volatility and volume beyond the ladder.
    """
    costs = exit_costs(depth, notional, prices, survival=survival)
    if not np.isfinite(costs).all():
        raise RiskError("Expected prices, and daily volume above 0 to go beyond the book.")
    return _added(value_at_risk, float(costs.sum()))


def _added(value_at_risk: float, cost: float) -> LiquidityAdjusted:
    if not (math.isfinite(value_at_risk) and math.isfinite(cost)):
        raise RiskError(f"Expected finite numbers, was {value_at_risk} and {cost}.")
    return LiquidityAdjusted(value_at_risk=value_at_risk, liquidity_cost=cost)


def _at_least_zero(name: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise RiskError(f"Expected {name} of 0 or more, was {value}.")
    return value
