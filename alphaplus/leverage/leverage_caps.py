"""The caps on leverage: volatility target, margin survival, liquidity, portfolio, venue.

Leverage is gross notional over equity, not the leverage set at the venue. Each function returns
the largest leverage that its limit allows: a number of at least 0, infinite where the limit does
not bind at all, None where an input is unknown (None or nan). All rates are fractions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.parameters import at_least_zero, known, share

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


def stressed_correlation(correlation: npt.ArrayLike, signs: npt.ArrayLike, stress: float) -> Floats:
    """Return the correlation of losses, each pair moved by `stress` of its way to 1.

    Two positions lose together if they have equal signs and correlation 1, or opposite signs and
    -1; so the result is s_i s_j rho_ij moved toward 1, which keeps a positive semidefinite
    matrix so. `signs` are +1 long, -1 short (0: none). Raises RiskError unless the matrix is a
    square symmetric one in [-1, 1] with a diagonal of 1 and `stress` is in [0, 1].
    """
    rho, s = np.asarray(correlation, np.float64), np.sign(np.asarray(signs, np.float64))
    if rho.shape != (len(s), len(s)) or not np.allclose(rho, rho.T, atol=1e-9):
        raise RiskError(f"Expected a symmetric correlation of {len(s)} symbols, was {rho.shape}.")
    if not (np.abs(rho) <= 1 + 1e-9).all() or not np.allclose(np.diag(rho), 1.0, atol=1e-9):
        raise RiskError("Expected correlations in [-1, 1] with 1 on the diagonal, was another.")
    if not 0 <= stress <= 1:
        raise RiskError(f"Expected stress in [0, 1], was {stress}.")
    moved = (1.0 - stress) * rho * np.outer(s, s) + stress
    np.fill_diagonal(moved, 1.0)
    return np.asarray(moved)


def portfolio_cap(
    weights: npt.ArrayLike,
    expected_shortfalls: npt.ArrayLike,
    correlation: npt.ArrayLike,
    *,
    budget: float,
    stress: float = 0.5,
) -> float | None:
    """Return the gross leverage at which the component ES of all positions reach the budget.

    `weights` are signed shares of gross notional, the expected shortfalls fractions of each
    price (at least 0), `budget` a fraction of equity. With stressed correlations the components
    add up to sqrt(v' R v), v = |w| ES (elliptical returns). None if an input is nan.
    """
    w, es = np.asarray(weights, np.float64), np.asarray(expected_shortfalls, np.float64)
    rho = np.asarray(correlation, np.float64)
    if np.isnan(w).any() or np.isnan(es).any() or np.isnan(rho).any():
        return None
    gross = float(np.abs(w).sum())
    if gross == 0:
        return math.inf
    v = np.abs(w) / gross * np.maximum(es, 0.0)
    total = _quadratic(v, stressed_correlation(rho, w, stress), v)
    return budget / math.sqrt(total) if total > 0 else math.inf


def symbol_in_portfolio_cap(
    side: int,
    expected_shortfall: float | None,
    others: npt.ArrayLike,
    others_expected_shortfalls: npt.ArrayLike,
    correlation: npt.ArrayLike,
    *,
    budget: float,
    stress: float = 0.5,
) -> float | None:
    """Return the leverage of one symbol that fills the budget, all other positions fixed.

    `others` are signed notionals over equity, `correlation` has the symbol first and the others
    after it. 0 where the others alone exceed the budget and this one cannot bring them back.
    """
    held = np.asarray(others, np.float64)
    es = np.asarray(others_expected_shortfalls, np.float64)
    rho = np.asarray(correlation, np.float64)
    if expected_shortfall is None or not known(expected_shortfall):
        return None
    if np.isnan(held).any() or np.isnan(es).any() or np.isnan(rho).any():
        return None
    stressed = stressed_correlation(rho, np.concatenate(([side], held)), stress)
    v = np.abs(held) * np.maximum(es, 0.0)
    a = max(expected_shortfall, 0.0)
    cross = a * float(stressed[0, 1:] @ v)
    rest = _quadratic(v, stressed[1:, 1:], v) - budget**2
    if a == 0:
        return math.inf if rest <= 0 else 0.0
    root = cross**2 - a**2 * rest
    return max((-cross + math.sqrt(root)) / a**2, 0.0) if root >= 0 else 0.0


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


def _quadratic(left: Floats, matrix: Floats, right: Floats) -> float:
    total = float(left @ matrix @ right)
    if total < -1e-12:
        raise RiskError(f"Expected a positive semidefinite correlation, was one with {total}.")
    return max(total, 0.0)
