"""Leverage advice for a market, a position and a portfolio: the caps' inputs put together.

A market is advised for an equity; beside other positions its portfolio cap keeps them as they
are. Volatility is that of the scores, the adverse move the ES 97.5 % of a day, so a day is the
time that is taken to react.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.market_risk import book_prices
from alphaplus.errors import MissingTier
from alphaplus.leverage.dynamic_leverage import LeverageAdvice, LeverageCaps, LeverageParameters
from alphaplus.leverage.dynamic_leverage import advise as advice_of
from alphaplus.leverage.leverage_caps import (
    Rate,
    blended,
    maintenance_rate,
    margin_survival_cap,
    venue_cap,
    volatility_cap,
)
from alphaplus.leverage.liquidity_cap import (
    BookWalk,
    LiquidityLimits,
    liquidity_cap,
    liquidity_notional,
)
from alphaplus.leverage.portfolio_cap import portfolio_cap, symbol_in_portfolio_cap
from alphaplus.leverage.profiles import profile_of
from alphaplus.leverage.tiers import TierTable
from alphaplus.portfolio.models import MarketModels

Floats = npt.NDArray[np.float64]

HOURS_A_YEAR: Final = 8760.0
FUNDINGS_A_DAY: Final = 3.0
"""Payments in a day at the rate of the next one: an eight-hour interval is assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceSettings:
    """Conventions of the advice."""

    volatility_target: float = 1.0
    """Volatility of equity that is aimed at, a fraction a year."""
    shortfall_budget: float = 0.20
    """Largest sum of component ES 97.5 % over a day, a fraction of equity."""
    correlation_stress: float = 0.5
    limits: LiquidityLimits = field(default_factory=LiquidityLimits)
    parameters: LeverageParameters = field(default_factory=LeverageParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What is known of one market and the side that a position would have (+1 long)."""

    key: str
    side: int
    sigma_per_sqrt_hour: float | None
    shortfall_1d: float | None
    """ES 97.5 % of the adverse side, a fraction of the price."""
    walk: BookWalk | None
    """The side of the book that an exit takes."""
    daily_volume: float | None
    liquidity_score: float | None
    """Of that side of the book."""
    funding_rate: float | None
    taker_fee: float
    tiers: TierTable | None
    no_tiers: str | None = None

    @property
    def funding_1d(self) -> float | None:
        """Funding expected to be paid in a day, a fraction of notional; below 0: received."""
        rate = self.funding_rate
        return None if rate is None else self.side * rate * FUNDINGS_A_DAY

    def as_dict(self) -> dict[str, Any]:
        """Return the inputs as plain values."""
        return {
            "side": "long" if self.side > 0 else "short",
            "sigma_per_sqrt_hour": self.sigma_per_sqrt_hour,
            "es_975_1d": self.shortfall_1d,
            "daily_volume": self.daily_volume,
            "liquidity_score": self.liquidity_score,
            "book_notional": None if self.walk is None else self.walk.total,
            "funding_1d": self.funding_1d,
            "taker_fee": self.taker_fee,
            "maximum_leverage": None if self.tiers is None else self.tiers.tiers[0].max_leverage,
            "tiers_hash": None if self.tiers is None else self.tiers.hash,
            "no_tiers": self.no_tiers,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What is held beside the market that is advised."""

    keys: tuple[str, ...] = ()
    notionals: tuple[float, ...] = ()
    """Signed, quote currency."""


def market_facts(
    row: np.void,
    side: int,
    *,
    key: str,
    sigma: float | None,
    models: MarketModels,
    daily_volume: float | None,
    funding_rate: float | None,
    tiers: TierTable | MissingTier,
) -> MarketFacts:
    """Return the facts of a market from its `MARKET_RISK` row and what else is known."""
    book, mid = book_prices(row), float(row["mid"])
    at = 0 if side > 0 else 1
    score = float(row["liquidity_score_bid" if side > 0 else "liquidity_score_ask"])
    return MarketFacts(
        key=key,
        side=side,
        sigma_per_sqrt_hour=sigma,
        shortfall_1d=models.shortfalls.get((key, side)),
        walk=None if book is None else BookWalk.of(book[at][0], book[at][1], mid),
        daily_volume=daily_volume,
        liquidity_score=score if math.isfinite(score) else None,
        funding_rate=funding_rate,
        taker_fee=profile_of(key.partition(":")[0], "cross").fee_rate,
        tiers=tiers if isinstance(tiers, TierTable) else None,
        no_tiers=str(tiers) if isinstance(tiers, MissingTier) else None,
    )


class Adviser:
    """Computes caps under one set of settings and models."""

    def __init__(self, settings: AdviceSettings, models: MarketModels) -> None:
        self._settings = settings
        self._models = models

    def market(
        self,
        facts: MarketFacts,
        equity: float | None,
        *,
        drawdown: float | None,
        others: Others | None = None,
    ) -> LeverageAdvice:
        """Return the advice for one market and side, `others` being held beside it."""
        settings, walk = self._settings, facts.walk
        sigma = facts.sigma_per_sqrt_hour
        notional = liquidity_notional(
            walk, facts.daily_volume, liquidity_score=facts.liquidity_score, limits=settings.limits
        )
        caps = LeverageCaps(
            volatility_target=volatility_cap(
                settings.volatility_target, None if sigma is None else _annual(sigma)
            ),
            margin_survival=margin_survival_cap(
                equity=equity,
                expected_shortfall=facts.shortfall_1d,
                impact=None if walk is None else walk.cost,
                maintenance_rate=None if facts.tiers is None else maintenance_rate(facts.tiers),
                fee=facts.taker_fee,
                funding=facts.funding_1d,
            ),
            liquidity=liquidity_cap([notional], [1.0], equity),
            portfolio=self._beside(facts, others or Others(), equity),
            venue_maximum=_venue(facts.tiers, equity),
        )
        return advice_of(caps, drawdown, settings.parameters)

    def portfolio(
        self,
        held: Sequence[tuple[MarketFacts, float]],
        equity: float | None,
        *,
        drawdown: float | None,
        shortfall_1d: float | None,
    ) -> LeverageAdvice:
        """Return the advice for a whole portfolio of markets and signed notionals.

        `shortfall_1d` is its ES 97.5 % over a day in quote currency.
        """
        settings = self._settings
        notionals = np.array([notional for _, notional in held], np.float64)
        gross = float(np.abs(notionals).sum())
        weights = notionals / gross if gross > 0 else notionals
        rates = [_rates(facts) for facts, _ in held]
        whole = all(rate is not None for rate in rates) and gross > 0
        pairs = [rate for rate in rates if rate is not None]
        fundings = [facts.funding_1d for facts, _ in held]
        paid = None if None in fundings else float(np.abs(weights) @ np.array(fundings, float))
        exits = [
            liquidity_notional(
                f.walk, f.daily_volume, liquidity_score=f.liquidity_score, limits=settings.limits
            )
            for f, _ in held
        ]
        caps = LeverageCaps(
            volatility_target=self._portfolio_volatility(held, weights),
            margin_survival=margin_survival_cap(
                equity=equity,
                expected_shortfall=None
                if shortfall_1d is None or not gross
                else shortfall_1d / gross,
                impact=blended([pair[0] for pair in pairs], weights.tolist()) if whole else None,
                maintenance_rate=blended([pair[1] for pair in pairs], weights.tolist())
                if whole
                else None,
                fee=max((facts.taker_fee for facts, _ in held), default=0.0),
                funding=paid,
            ),
            liquidity=liquidity_cap(exits, weights.tolist(), equity),
            portfolio=self._portfolio_budget(held, weights),
            venue_maximum=_venues(held, weights, equity),
        )
        return advice_of(caps, drawdown, settings.parameters)

    def _beside(self, facts: MarketFacts, others: Others, equity: float | None) -> float | None:
        if equity is None or not equity > 0:
            return None if equity is None else 0.0
        keys = (facts.key, *others.keys)
        correlation = self._correlation(keys)
        shortfalls = [
            self._models.shortfalls.get((key, 1 if notional > 0 else -1), math.nan)
            for key, notional in zip(others.keys, others.notionals, strict=True)
        ]
        if correlation is None:
            return None
        return symbol_in_portfolio_cap(
            facts.side,
            facts.shortfall_1d,
            np.array(others.notionals, np.float64) / equity,
            shortfalls,
            correlation,
            budget=self._settings.shortfall_budget,
            stress=self._settings.correlation_stress,
        )

    def _portfolio_budget(
        self, held: Sequence[tuple[MarketFacts, float]], weights: Floats
    ) -> float | None:
        correlation = self._correlation([facts.key for facts, _ in held])
        shortfalls = [
            math.nan if facts.shortfall_1d is None else facts.shortfall_1d for facts, _ in held
        ]
        if correlation is None:
            return None
        return portfolio_cap(
            weights,
            shortfalls,
            correlation,
            budget=self._settings.shortfall_budget,
            stress=self._settings.correlation_stress,
        )

    def _portfolio_volatility(
        self, held: Sequence[tuple[MarketFacts, float]], weights: Floats
    ) -> float | None:
        correlation = self._correlation([facts.key for facts, _ in held])
        sigmas = [facts.sigma_per_sqrt_hour for facts, _ in held]
        if correlation is None or None in sigmas:
            return None
        risks = weights * np.array(sigmas, np.float64)
        variance = max(float(risks @ correlation @ risks), 0.0)
        return volatility_cap(self._settings.volatility_target, _annual(math.sqrt(variance)))

    def _correlation(self, keys: Sequence[str]) -> Floats | None:
        """Return the correlation of markets in this order, None if one is not modelled."""
        models = self._models
        if len(keys) == 1:
            return np.ones((1, 1))
        if models.covariance is None or any(key not in models.markets for key in keys):
            return None
        places = [models.markets.index(key) for key in keys]
        matrix = models.covariance.matrix[np.ix_(places, places)]
        sigma = np.sqrt(np.diag(matrix))
        scale = np.divide(1.0, sigma, out=np.zeros_like(sigma), where=sigma > 0)
        found = np.clip(matrix * np.outer(scale, scale), -1.0, 1.0)
        np.fill_diagonal(found, 1.0)
        return np.asarray(found)


def binding_cap(advice: LeverageAdvice) -> str | None:
    """Return the name of what binds; a drawdown that leaves nothing goes first."""
    if advice.throttle == 0:
        return "drawdown"
    return None if advice.binding is None else advice.binding.value


def _annual(sigma_per_sqrt_hour: float) -> float:
    return sigma_per_sqrt_hour * math.sqrt(HOURS_A_YEAR)


def _rates(facts: MarketFacts) -> tuple[Rate, Rate] | None:
    if facts.walk is None or facts.tiers is None:
        return None
    return facts.walk.cost, maintenance_rate(facts.tiers)


def _venue(tiers: TierTable | None, equity: float | None) -> float | None:
    if tiers is None:
        return None
    rows = tiers.rows
    return venue_cap(rows["floor"], rows["cap"], rows["max_leverage"], equity)


def _venues(
    held: Sequence[tuple[MarketFacts, float]], weights: Floats, equity: float | None
) -> float | None:
    """Return the leverage at which the first market reaches what its tiers allow."""
    least = math.inf
    for (facts, _), weight in zip(held, np.abs(weights), strict=True):
        if weight == 0:
            continue
        cap = _venue(facts.tiers, equity)
        if cap is None:
            return None
        least = min(least, cap / float(weight))
    return least
