"""Liquidation-risk score, 0 to 100, of positions at a mark price, with its components.

    d = |ln(mark / liquidation price)|
    p = 2 Phi(-d / (sigma sqrt h))       chance of a touch; the simulated share where larger
    t = Q / (Q + D)                      thinness of the book at the liquidation price
    score = 100 [1 - (1 - p)^(1 + kappa t)]

The form is ours, there is no standard: thinness can raise the score of a level that may be
reached, but not that of one which is out of reach, and a score of 100 means it is due now.
Bands, kappa and alarms are conventions: see `ScoreParameters`.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.hit_probability import Floats, hit_probability
from alphaplus.leverage.parameters import above_zero, at_least_zero

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreParameters:
    """Conventions of the score; raises ConfigError where they contradict each other."""

    horizon_h: float = 24.0
    kappa: float = 1.0
    """How much a thin book adds: at 1, an empty one doubles a small chance."""
    elevated: float = 20.0
    high: float = 50.0
    critical: float = 80.0
    """Scores from which a band begins."""
    warn_distance: float = 0.20
    critical_distance: float = 0.10
    """Distances |mark - liquidation price| / mark below which an alarm is due."""
    warn_margin_ratio: float = 1.0 / 3.0
    """Maintenance margin over equity; OKX warns at a margin level of 300 %."""

    def __post_init__(self) -> None:
        above_zero("horizon_h", self.horizon_h)
        at_least_zero("kappa", self.kappa)
        if not 0 < self.elevated < self.high < self.critical <= 100:
            raise ConfigError(
                "Expected 0 < elevated < high < critical <= 100, "
                f"was {self.elevated}, {self.high} and {self.critical}."
            )
        if not 0 < self.critical_distance < self.warn_distance:
            raise ConfigError(
                "Expected 0 < critical_distance < warn_distance, "
                f"was {self.critical_distance} and {self.warn_distance}."
            )
        if not 0 < self.warn_margin_ratio < 1:
            raise ConfigError(
                f"Expected warn_margin_ratio between 0 and 1, was {self.warn_margin_ratio}."
            )

    def band(self, score: float | None) -> str | None:
        """Return the name of a score's band; None without a score."""
        if score is None:
            return None
        for name in ("critical", "high", "elevated"):
            if score >= getattr(self, name):
                return name
        return "low"

    def distance_alarm(self, distance: float | None) -> str | None:
        """Return `critical`, `warn` or `none` of a distance as a fraction of the mark."""
        if distance is None:
            return None
        if distance < self.critical_distance:
            return "critical"
        return "warn" if distance < self.warn_distance else "none"

    def margin_alarm(self, margin_ratio: float | None) -> str | None:
        """Return `critical`, `warn` or `none` of maintenance margin over equity."""
        if margin_ratio is None:
            return None
        if margin_ratio >= 1:
            return "critical"
        return "warn" if margin_ratio >= self.warn_margin_ratio else "none"


DEFAULT_PARAMETERS: Final = ScoreParameters()


def thinness(quantity_at_level: npt.ArrayLike, depth_at_level: npt.ArrayLike) -> Floats:
    """Return Q / (Q + D), in [0, 1]: 0 where nothing is to be closed, 1 where nothing stands.

    Both in base units and at least 0, else nan.
    """
    q, depth = np.broadcast_arrays(
        np.asarray(quantity_at_level, np.float64), np.asarray(depth_at_level, np.float64)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        thin = np.where(q == 0, np.where(np.isnan(depth), np.nan, 0.0), q / (q + depth))
    return np.asarray(np.where((q >= 0) & (depth >= 0) & np.isfinite(q), thin, np.nan))


def score_of(probability: npt.ArrayLike, thin: npt.ArrayLike, kappa: float = 1.0) -> Floats:
    """Return 100 [1 - (1 - p)^(1 + kappa t)], exact for small p too.

    >>> score_of([0.0, 0.5, 1.0], 1.0).tolist()
    [0.0, 75.0, 100.0]
    """
    p, t = np.asarray(probability, np.float64), np.asarray(thin, np.float64)
    with np.errstate(divide="ignore"):  # p of 1 gives 1 - exp(-inf) = 1
        return np.asarray(-100.0 * np.expm1((1.0 + kappa * t) * np.log1p(-p)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationRisk:
    """The score of one position and what it is made of; None where `missing` says why."""

    score: float | None
    band: str | None
    state: str | None
    """`liquidatable_now`, `no_liquidation_price` or None."""
    hit_probability: float | None
    thinness: float | None
    distance: float | None
    """|mark - liquidation price| / mark."""
    distance_sigmas: float | None
    """|ln(mark / liquidation price)| in units of sigma sqrt(h)."""
    distance_alarm: str | None
    sigma_per_sqrt_hour: float | None
    horizon_h: float
    mark_price: float | None
    liquidation_price: float | None
    quantity_at_level: float | None
    depth_at_level: float | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationRisks:
    """Scores and components of many positions, arrays of one shape; nan where unknown."""

    score: Floats
    hit_probability: Floats
    thinness: Floats
    distance: Floats
    distance_sigmas: Floats
    sigma_per_sqrt_hour: Floats
    mark_price: Floats
    liquidation_price: Floats
    quantity_at_level: Floats
    depth_at_level: Floats
    no_liquidation_price: Flags
    liquidatable_now: Flags
    parameters: ScoreParameters

    def __len__(self) -> int:
        return len(self.score)

    def row(self, index: int) -> LiquidationRisk:
        """Return one position's score with None for what is unknown, and why."""

        def plain(name: str) -> float | None:
            value = float(getattr(self, name)[index])
            return None if math.isnan(value) else value

        state = None
        if self.liquidatable_now[index]:
            state = "liquidatable_now"
        elif self.no_liquidation_price[index]:
            state = "no_liquidation_price"
        needed = ("mark_price", "liquidation_price", "sigma_per_sqrt_hour")
        liquidity = ("quantity_at_level", "depth_at_level")
        score, distance = plain("score"), plain("distance")
        return LiquidationRisk(
            score=score,
            band=self.parameters.band(score),
            state=state,
            hit_probability=plain("hit_probability"),
            thinness=plain("thinness"),
            distance=distance,
            distance_sigmas=plain("distance_sigmas"),
            distance_alarm="none"
            if state == "no_liquidation_price"
            else self.parameters.distance_alarm(distance),
            sigma_per_sqrt_hour=plain("sigma_per_sqrt_hour"),
            horizon_h=self.parameters.horizon_h,
            mark_price=plain("mark_price"),
            liquidation_price=plain("liquidation_price"),
            quantity_at_level=plain("quantity_at_level"),
            depth_at_level=plain("depth_at_level"),
            missing=()
            if state
            else tuple(name for name in (*needed, *liquidity) if plain(name) is None),
        )


def liquidation_risks(
    *,
    side: npt.ArrayLike,
    mark_price: npt.ArrayLike,
    liquidation_price: npt.ArrayLike,
    sigma_per_sqrt_hour: npt.ArrayLike,
    quantity_at_level: npt.ArrayLike,
    depth_at_level: npt.ArrayLike,
    no_liquidation_price: npt.ArrayLike = False,
    liquidatable_now: npt.ArrayLike = False,
    simulated_hit_probability: npt.ArrayLike = np.nan,
    parameters: ScoreParameters = DEFAULT_PARAMETERS,
) -> LiquidationRisks:
    """Score positions, arrays that broadcast to one dimension.

    `side` is +1 long or -1 short; prices in quote currency (0 or less is no price: unknown);
    sigma of the log price per square root of an hour, deseasonalised; Q and D in base units
    (`level_liquidity`). The two states come from the margin engine: `liquidatable_now` scores
    100, `no_liquidation_price` 0, whatever else is unknown. A mark at or beyond the liquidation
    price scores 100 as well. Raises RiskError if a side is neither.
    """
    sides, mark, liquidation, sigma, q, depth, simulated = np.broadcast_arrays(
        np.atleast_1d(np.asarray(side, np.float64)),
        *(
            np.asarray(value, np.float64)
            for value in (
                mark_price,
                liquidation_price,
                sigma_per_sqrt_hour,
                quantity_at_level,
                depth_at_level,
                simulated_hit_probability,
            )
        ),
    )
    if (np.abs(sides) != 1).any():
        raise RiskError("Expected sides of +1 or -1, was another.")
    none = np.broadcast_to(np.asarray(no_liquidation_price, np.bool_), sides.shape)
    told = np.broadcast_to(np.asarray(liquidatable_now, np.bool_), sides.shape)
    mark, liquidation = _positive(mark), np.where(none & ~told, np.nan, _positive(liquidation))
    sigma = np.where(sigma >= 0, sigma, np.nan)
    away = np.maximum(sides * np.log(mark / liquidation), 0.0)
    due = told | (away == 0)
    p = hit_probability(away, sigma, parameters.horizon_h)
    p = np.where(np.isnan(p), np.nan, np.fmax(p, np.clip(simulated, 0.0, 1.0)))
    p = np.where(due, 1.0, np.where(none, 0.0, p))
    thin = thinness(q, depth)
    score = score_of(p, thin, parameters.kappa)
    spread = sigma * math.sqrt(parameters.horizon_h)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigmas = np.where(away == 0, np.where(np.isnan(spread), np.nan, 0.0), away / spread)
    return LiquidationRisks(
        score=np.where(due, 100.0, np.where(none, 0.0, score)),
        hit_probability=p,
        thinness=thin,
        distance=np.where(away > 0, np.abs(mark - liquidation) / mark, away),
        distance_sigmas=sigmas,
        sigma_per_sqrt_hour=sigma,
        mark_price=mark,
        liquidation_price=liquidation,
        quantity_at_level=q,
        depth_at_level=depth,
        no_liquidation_price=none & ~due,
        liquidatable_now=due,
        parameters=parameters,
    )


def account_score(
    shock_down: float | None,
    shock_up: float | None,
    *,
    sigma_per_sqrt_hour: float | None,
    thin: float | None,
    liquidatable_now: bool = False,
    parameters: ScoreParameters = DEFAULT_PARAMETERS,
) -> float | None:
    """Score an account by the smallest common shock that liquidates it; None if unknown.

    The shocks are those of the joint distance, as fractions of all prices (`shock_down` in
    (-1, 0], `shock_up` at least 0; infinite where that way is safe), sigma that of the shock,
    `thin` the thinness of what would be closed. Neither the largest nor the mean score of the
    legs says this: hedged legs are each near their price while the account is far from its own.

    >>> account_score(-0.2, 9.0, sigma_per_sqrt_hour=0.01, thin=0.0).__round__(6)
    0.000524
    """
    if liquidatable_now:
        return 100.0
    if shock_down is None or shock_up is None:
        return None
    distance = min(-math.log1p(shock_down) if shock_down > -1 else math.inf, math.log1p(shock_up))
    if math.isinf(distance):
        return 0.0
    if sigma_per_sqrt_hour is None or thin is None:
        return None
    p = hit_probability(distance, sigma_per_sqrt_hour, parameters.horizon_h)
    score: Any = score_of(p, thin, parameters.kappa)
    return None if math.isnan(score) else float(score)


def _positive(price: Floats) -> Floats:
    return np.asarray(np.where((price > 0) & np.isfinite(price), price, np.nan))
