"""The liquidity cap on leverage: how much of a market can be left at once, at what cost.

Returns follow `leverage_caps`: at least 0, infinite where nothing binds, None where unknown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.parameters import known, share


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWalk:
    """What it costs to take one side of a book: cumulated from the best price outward."""

    costs: Floats
    """Distance of each level from the mid as a fraction of it, ascending, at least 0."""
    cumulated: Floats
    """Notional through each level: quantity times the mid, quote currency."""
    paid: Floats
    """Sum of notional times cost through each level."""

    @classmethod
    def of(cls, prices: npt.ArrayLike, quantities: npt.ArrayLike, mid: float) -> "BookWalk":
        """Make one from a side's levels (base units) in any order; raises RiskError on nan."""
        p, q = np.asarray(prices, np.float64), np.asarray(quantities, np.float64)
        if p.shape != q.shape or not (p > 0).all() or not (q >= 0).all() or not mid > 0:
            raise RiskError(
                "Expected as many prices above 0 as quantities of at least 0 and a mid above 0, "
                f"was {p.shape}, {q.shape} and {mid}."
            )
        costs = np.abs(p / mid - 1.0)
        order = np.argsort(costs, kind="stable")
        notionals = q[order] * mid
        return cls(
            costs=costs[order],
            cumulated=np.cumsum(notionals),
            paid=np.cumsum(notionals * costs[order]),
        )

    def cost(self, notional: float) -> float:
        """Return the mean cost of taking `notional`, a fraction; infinite beyond the book.

        >>> BookWalk.of([99.0, 98.0], [1.0, 1.0], 100.0).cost(200.0).__round__(12)
        0.015
        """
        if not len(self.costs) or notional > self.cumulated[-1]:
            return math.inf
        if notional <= 0:
            return float(self.costs[0])
        k = int(np.searchsorted(self.cumulated, notional, "left"))
        taken = float(self.cumulated[k - 1]) if k else 0.0
        paid = float(self.paid[k - 1]) if k else 0.0
        return (paid + (notional - taken) * float(self.costs[k])) / notional

    def largest_within(self, budget: float) -> float:
        """Return the largest notional whose mean cost is at most `budget`, within the book."""
        excess = self.paid - budget * self.cumulated
        over = np.flatnonzero((excess > 0) & (self.costs > budget))  # rounding alone is no excess
        if not len(over):
            return self.total
        first = int(over[0])  # costs ascend: from here on the mean only rises
        before = -float(excess[first - 1]) if first else 0.0
        taken = float(self.cumulated[first - 1]) if first else 0.0
        more = max(before, 0.0) / (float(self.costs[first]) - budget)
        return min(taken + more, float(self.cumulated[first]))

    def depth(self, within: float) -> float:
        """Return the notional that stands within a fraction of the mid."""
        k = int(np.searchsorted(self.costs, within, "right"))
        return float(self.cumulated[k - 1]) if k else 0.0

    @property
    def total(self) -> float:
        """The notional of the whole side."""
        return float(self.cumulated[-1]) if len(self.cumulated) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityLimits:
    """How much of a market a position may be; raises ConfigError on shares outside (0, 1]."""

    cost_budget: float = 0.0010
    """Mean cost of leaving at once, a fraction of the mid."""
    depth_within: float = 0.0050
    depth_share: float = 0.5
    """Of the depth within `depth_within`."""
    volume_share: float = 0.01
    """Of the average daily volume."""
    score_reference: float = 0.5
    """Liquidity score from which the whole limit holds; below it the limit falls in proportion."""

    def __post_init__(self) -> None:
        for name in ("cost_budget", "depth_within", "depth_share", "volume_share"):
            share(name, getattr(self, name))
        share("score_reference", self.score_reference)


def liquidity_notional(
    walk: BookWalk | None,
    daily_volume: float | None,
    *,
    liquidity_score: float | None = 1.0,
    limits: LiquidityLimits | None = None,
) -> float | None:
    """Return the largest notional that a market lets go: the least of the three limits.

    `walk` is the side that the exit takes (bids for a long), `daily_volume` in quote currency,
    the liquidity score in [0, 1]. None if one of them is.
    """
    if walk is None or daily_volume is None or liquidity_score is None:
        return None
    if not (known(daily_volume) and known(liquidity_score)):
        return None
    limits = limits or LiquidityLimits()
    least = min(
        walk.largest_within(limits.cost_budget),
        limits.depth_share * walk.depth(limits.depth_within),
        limits.volume_share * max(daily_volume, 0.0),
    )
    return least * min(max(liquidity_score, 0.0) / limits.score_reference, 1.0)


def liquidity_cap(
    notionals: Sequence[float | None],
    weights: Sequence[float],
    equity: float | None,
) -> float | None:
    """Return the leverage at which the first of several markets reaches its largest notional.

    `weights` are each position's share of gross notional (one symbol: `[1.0]`). None if a market
    that is used, or the equity, is unknown.
    """
    if equity is None or not known(equity):
        return None
    used = [(n, abs(w)) for n, w in zip(notionals, weights, strict=True) if w != 0]
    caps = []
    for notional, weight in used:
        if notional is None or not known(notional):
            return None
        caps.append(notional / weight / equity if equity > 0 else 0.0)
    return min(caps, default=math.inf)
