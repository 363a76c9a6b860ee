"""Liquidation-risk scores of an account's positions and of the account as a whole.

Volatility is the larger of the live one and the forecast from history, so that a quiet quarter of
an hour does not hide what the market does in a day. The chance of a touch is the larger of the
closed form and of simulated paths (`alphaplus.leverage.risk_score`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from alphaplus.analysis.market_risk import book_prices, level_prices
from alphaplus.leverage.account_margin import PositionMargin
from alphaplus.leverage.level_liquidity import EMPTY, Ladder, level_liquidity
from alphaplus.leverage.risk_score import (
    LiquidationRisk,
    ScoreParameters,
    account_score,
    liquidation_risks,
)
from alphaplus.portfolio.accounts import Holding
from alphaplus.portfolio.margins import AccountState
from alphaplus.portfolio.models import TOUCH_HOURS, MarketModels

_DUE: Final = ("liquidatable_now", "bankrupt")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketLiquidity:
    """One market's book and estimated levels as ladders, made once per risk row."""

    bids: Ladder | None
    asks: Ladder | None
    long_levels: Ladder | None
    """None while the map of levels is stale: then a position's own quantity alone counts."""
    short_levels: Ladder | None
    sigma: float | None
    """Live volatility of the log mid per square root of an hour."""

    @classmethod
    def of(cls, row: np.void) -> "MarketLiquidity":
        """Read a `MARKET_RISK` row."""
        book, levels = book_prices(row), level_prices(row)
        sigma = float(row["sigma_per_sqrt_hour"])
        return cls(
            bids=None if book is None else Ladder.of(*book[0]),
            asks=None if book is None else Ladder.of(*book[1]),
            long_levels=None if levels is None else Ladder.of(*levels[0]),
            short_levels=None if levels is None else Ladder.of(*levels[1]),
            sigma=sigma if sigma > 0 else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigma:
    """The volatility that a score takes."""

    value: float | None
    """Per square root of an hour."""
    source: str | None
    """`live`, `history`, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionScore:
    """The score of one position with where its inputs came from."""

    risk: LiquidationRisk
    sigma_source: str | None
    simulated_hit_probability: float | None
    notes: tuple[str, ...]
    """What the score could not see, though it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountScore:
    """The score of an account by the smallest common shock that liquidates it."""

    score: float | None
    band: str | None
    sigma_per_sqrt_hour: float | None
    """Of a common shock: the mean over positions by notional, as if all moved together."""
    thinness: float | None
    missing: tuple[str, ...]


def sigma_of(key: str, market: MarketLiquidity, models: MarketModels) -> Sigma:
    """Return the larger of the live volatility and the forecast from history."""
    live, past = market.sigma, models.sigmas.get(key)
    if live is None and past is None:
        return Sigma(value=None, source=None)
    if past is None or (live is not None and live >= past):
        return Sigma(value=live, source="live")
    return Sigma(value=past, source="history")


class Scorer:
    """Scores accounts under one set of markets and models; both are by market."""

    def __init__(
        self,
        markets: Mapping[str, MarketLiquidity],
        models: MarketModels,
        parameters: ScoreParameters,
        *,
        band: float,
    ) -> None:
        """`band` is the fraction of the price around a level, as in `level_liquidity`."""
        self._markets = markets
        self._models = models
        self._parameters = parameters
        self._band = band

    def positions(self, state: AccountState) -> tuple[PositionScore, ...]:
        """Return the scores of an account's positions, in order."""
        rows = zip(state.account.positions, state.margin.positions, state.marks, strict=True)
        return tuple(self._position(*row) for row in rows)

    def account(self, state: AccountState) -> AccountScore:
        """Return the score of an account by its joint distance; 0 for one without positions."""
        missing = list(state.margin.missing)
        weights, sigmas, close, stands = [], [], 0.0, 0.0
        shock = _nearest(state)
        for holding, mark in zip(state.account.positions, state.marks, strict=True):
            market = self._markets[holding.key]
            sigma = sigma_of(holding.key, market, self._models)
            if sigma.value is None:
                missing.append(f"volatility of {holding.key}")
            if mark is None or shock is None:
                continue
            price = mark * (1.0 + shock)
            quantity, depth, _ = self._liquidity(holding, price, holding.side)
            if math.isnan(depth):
                missing.append(f"book of {holding.key}")
            close, stands = close + quantity * price, stands + depth * price
            weights.append(holding.size * (1.0 if holding.instrument.inverse else mark))
            sigmas.append(math.nan if sigma.value is None else sigma.value)
        total = math.fsum(weights)
        common = float(np.dot(weights, sigmas)) / total if total > 0 else math.nan
        thin = close / (close + stands) if close > 0 else 0.0
        score = account_score(
            _bounded(state.down),
            _bounded(state.up),
            sigma_per_sqrt_hour=None if math.isnan(common) else common,
            thin=None if math.isnan(thin) else thin,
            liquidatable_now=bool(state.margin.liquidatable),
            parameters=self._parameters,
        )
        return AccountScore(
            score=score,
            band=self._parameters.band(score),
            sigma_per_sqrt_hour=None if math.isnan(common) else common,
            thinness=None if math.isnan(thin) or not weights else thin,
            missing=() if score is not None else tuple(dict.fromkeys(missing)),
        )

    def _position(
        self, holding: Holding, found: PositionMargin, mark: float | None
    ) -> PositionScore:
        price, market = found.liquidation_price, self._markets[holding.key]
        sigma = sigma_of(holding.key, market, self._models)
        # a leg of a hedge is liquidated with its account: on the side on which the price lies
        side = holding.side if price is None or mark is None else (1 if price < mark else -1)
        due = found.state in _DUE
        quantity, depth, notes = self._liquidity(holding, price, side)
        simulated = math.nan
        extremes = self._models.extremes.get(holding.key)
        if extremes is not None and price and mark and sigma.value and not due:
            if self._parameters.horizon_h == TOUCH_HOURS:
                away = abs(math.log(mark / price)) / sigma.value
                simulated = float(extremes.hit_probability(side, away))
            else:
                notes = (*notes, f"simulated paths are of {TOUCH_HOURS} h only")
        risk = liquidation_risks(
            side=side,
            mark_price=math.nan if mark is None else mark,
            liquidation_price=math.nan if price is None else price,
            sigma_per_sqrt_hour=math.nan if sigma.value is None else sigma.value,
            quantity_at_level=quantity,
            depth_at_level=depth,
            no_liquidation_price=found.state == "no_liquidation_price",
            liquidatable_now=due,
            simulated_hit_probability=simulated,
            parameters=self._parameters,
        ).row(0)
        if risk.missing:
            reasons = (*found.missing, *(() if market.bids else (f"book of {holding.key}",)))
            risk = replace(risk, missing=tuple(dict.fromkeys((*risk.missing, *reasons))))
        return PositionScore(
            risk=risk,
            sigma_source=sigma.source,
            simulated_hit_probability=None if math.isnan(simulated) else simulated,
            notes=notes,
        )

    def _liquidity(
        self, holding: Holding, price: float | None, side: int
    ) -> tuple[float, float, tuple[str, ...]]:
        """Return what is closed at a price and what stands there, base units, and notes."""
        if price is None:
            return math.nan, math.nan, ()
        market = self._markets[holding.key]
        own = holding.size / price if holding.instrument.inverse else holding.size
        notes: tuple[str, ...] = ()
        if market.long_levels is None or market.short_levels is None:
            notes = ("the map of liquidation levels is stale: only the own quantity is counted",)
        met = level_liquidity(
            [side],
            [price],
            [own],
            bids=market.bids or EMPTY,
            asks=market.asks or EMPTY,
            long_levels=market.long_levels or EMPTY,
            short_levels=market.short_levels or EMPTY,
            band=self._band,
        )
        if market.bids is None or market.asks is None:
            return float(met.to_close[0]), math.nan, notes
        if not met.complete[0]:
            notes = (*notes, "the book is not known as far as the liquidation price")
        return float(met.to_close[0]), float(met.depth[0]), notes


def _nearest(state: AccountState) -> float | None:
    """Return the common shock that is nearest, 0 where none is near; None if unknown."""
    if state.down is None or state.up is None:
        return None
    ways: Sequence[float] = [way for way in (state.down, state.up) if math.isfinite(way)]
    return min(ways, key=abs, default=0.0)


def _bounded(shock: float | None) -> float | None:
    """A fall to nothing is one that does not happen."""
    return None if shock is None else max(shock, -1.0)
