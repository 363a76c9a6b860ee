"""Forecasts of each model at every past time, from the data before it, with what then happened.

Losses are fractions of the notional at the start of the horizon: of a long position
1 - p'/p, of a short one p'/p - 1. Horizons do not overlap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk._rolling_kernels import roll_tail
from alphaplus.risk.estimators import GUARD, check_level, tail_count, tail_risk
from alphaplus.risk.evt import FEWEST_EXCEEDANCES, TAIL_SHARE, ParetoTail, fit_pareto_tail
from alphaplus.risk.ewma import ewma_variances, fitted_variances, normal_factors
from alphaplus.risk.figures import DAY_NS
from alphaplus.risk.filtered import FEWEST, PATHS, WINDOW, FilteredReturns, simulate_returns
from alphaplus.risk.returns import ReturnSeries
from alphaplus.risk.shortfall_backtest import TailDraws, normal_draws

Floats = npt.NDArray[np.float64]
Side = Literal["long", "short"]

SIDES: Final[tuple[Side, ...]] = ("long", "short")
TAIL_POINTS: Final = 500
"""Losses that stand for a Pareto tail where it is simulated from."""
REFRESH: Final = 24
"""Forecasts between two fits of a Pareto tail, and between two stored tails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """One model's forecasts for one side, where both forecast and outcome exist (T,)."""

    model: str
    side: Side
    level: float
    horizon_ns: int
    times: npt.NDArray[np.int64]
    losses: Floats
    value_at_risk: Floats
    expected_shortfall: Floats
    tails: TailDraws

    def __len__(self) -> int:
        return len(self.times)


def realised_losses(log_returns: Floats, side: Side) -> Floats:
    """Return the loss of each log return as a fraction of the notional before it."""
    found: Floats = -np.expm1(log_returns) if side == "long" else np.expm1(log_returns)
    return found


def historical_forecasts(
    series: ReturnSeries,
    level: float,
    side: Side,
    *,
    window: int = WINDOW,
    fewest: int = FEWEST,
) -> Forecasts:
    """Forecast by the quantile of the last `window` returns, from `fewest` returns on."""
    ones = np.ones(len(series))
    return _sampled(
        "historical",
        series=series,
        sample=series.values,
        scales=ones,
        level=level,
        side=side,
        window=window,
        fewest=fewest,
    )


def filtered_forecasts(
    filtered: FilteredReturns,
    level: float,
    side: Side,
    *,
    window: int = WINDOW,
    fewest: int = FEWEST,
) -> Forecasts:
    """Forecast one step by filtered historical simulation: every past residual is a scenario."""
    return _sampled(
        _name(filtered),
        series=filtered.series,
        sample=filtered.residuals,
        scales=filtered.scales,
        level=level,
        side=side,
        window=window,
        fewest=fewest,
    )


def simulated_forecasts(
    filtered: FilteredReturns,
    horizon_ns: int,
    levels: Sequence[float],
    *,
    paths: int = PATHS,
    seed: int = 0,
    window: int = WINDOW,
) -> list[Forecasts]:
    """Forecast many steps by simulated paths from each multiple of the horizon (days: 00:00 UTC).

    Returns one for each level and side; origins without enough residuals are left out.
    """
    series = filtered.series
    steps = horizon_ns // series.step_ns
    if steps < 2 or horizon_ns % series.step_ns:
        raise RiskError(f"Expected a horizon of several whole periods, was {horizon_ns} ns.")
    known = np.concatenate([[0], np.cumsum(np.isfinite(filtered.residuals[:-1]))])
    starts = np.flatnonzero(series.times % horizon_ns == 0)
    starts = starts[
        (starts + steps <= len(series)) & (known[np.minimum(starts, len(known) - 1)] >= FEWEST)
    ]
    outcomes = np.array([series.values[i : i + steps].sum() for i in starts])
    starts = starts[np.isfinite(outcomes)] if len(starts) else starts
    outcomes = outcomes[np.isfinite(outcomes)]
    keys = [(level, side) for level in levels for side in SIDES]
    found: dict[tuple[float, Side], list[tuple[float, float, Floats]]] = {key: [] for key in keys}
    for start in starts:
        simulated = simulate_returns(
            [filtered], steps=steps, paths=paths, seed=seed + int(start), window=window,
            origin=int(start),
        ).terminal[:, 0]  # fmt: skip
        for level, side in keys:
            losses = realised_losses(simulated, side)
            risk = tail_risk(losses, level)
            k = tail_count(paths, level)[0]
            worst = np.partition(losses, paths - k)[paths - k + 1 :]
            found[level, side].append((risk.value_at_risk, risk.expected_shortfall, worst))
    return [
        Forecasts(
            model=_name(filtered),
            side=side,
            level=level,
            horizon_ns=horizon_ns,
            times=series.times[starts],
            losses=realised_losses(outcomes, side),
            value_at_risk=np.array([row[0] for row in rows]),
            expected_shortfall=np.array([row[1] for row in rows]),
            tails=TailDraws(
                ratios=np.array([row[2] / row[1] for row in rows]).reshape(
                    len(rows), tail_count(paths, level)[0] - 1
                ),
                rows=np.arange(len(rows)),
                probabilities=np.full(len(rows), (tail_count(paths, level)[0] - 1) / paths),
            ),
        )
        for (level, side), rows in found.items()
    ]


def normal_forecasts(
    series: ReturnSeries, level: float, side: Side, *, fewest: int = FEWEST
) -> Forecasts:
    """Forecast by a normal with EWMA variance: 0.94 for days and longer, else fitted.

    On simple returns, with mean 0.
    """
    losses = realised_losses(series.values, side)
    deviations = np.sqrt(_variances(series, losses)[:-1])
    deviations[: min(fewest, len(deviations))] = np.nan
    quantile, shortfall = normal_factors(check_level(level))
    known = np.isfinite(deviations) & np.isfinite(losses)
    return Forecasts(
        model="ewma_normal",
        side=side,
        level=level,
        horizon_ns=series.step_ns,
        times=series.times[known],
        losses=losses[known],
        value_at_risk=deviations[known] * quantile,
        expected_shortfall=deviations[known] * shortfall,
        tails=normal_draws(int(known.sum()), level),
    )


def pareto_forecasts(
    series: ReturnSeries,
    levels: Sequence[float],
    side: Side,
    *,
    window: int = WINDOW,
    scales: Floats | None = None,
    refresh: int = REFRESH,
) -> list[Forecasts]:
    """Forecast each level by a Pareto tail of past residuals, fitted every `refresh` returns.

    `scales` (n,) are forecast deviations (those of `FilteredReturns`; default EWMA). On simple
    returns. Starts when the tail holds enough exceedances.
    """
    losses = realised_losses(series.values, side)
    deviations = np.sqrt(_variances(series, losses)[:-1]) if scales is None else scales
    residuals = losses / deviations
    enough = math.ceil(FEWEST_EXCEEDANCES / TAIL_SHARE)
    tails: dict[int, ParetoTail] = {}
    for begin in range(0, len(losses), refresh):
        past = residuals[max(0, begin - window) : begin]
        past = past[np.isfinite(past)]
        tail = fit_pareto_tail(past) if len(past) >= enough else None
        if tail is not None:
            tails[begin] = tail
    return [
        _pareto(series, losses, deviations, tails, level=level, side=side, refresh=refresh)
        for level in levels
    ]


def _pareto(
    series: ReturnSeries,
    losses: Floats,
    deviations: Floats,
    tails: dict[int, ParetoTail],
    *,
    level: float,
    side: Side,
    refresh: int,
) -> Forecasts:
    var, shortfall = np.full(len(losses), np.nan), np.full(len(losses), np.nan)
    rows: list[Floats] = []
    row_of = np.zeros(len(losses), dtype=np.int64)
    for begin, tail in tails.items():
        risk = tail.tail_risk(level)
        if risk is None:
            continue
        block = slice(begin, begin + refresh)
        var[block] = deviations[block] * risk.value_at_risk
        shortfall[block] = deviations[block] * risk.expected_shortfall
        row_of[block] = len(rows)
        rows.append(_pareto_ratios(tail, level))
    known = np.isfinite(var) & np.isfinite(losses)
    return Forecasts(
        model="evt",
        side=side,
        level=level,
        horizon_ns=series.step_ns,
        times=series.times[known],
        losses=losses[known],
        value_at_risk=var[known],
        expected_shortfall=shortfall[known],
        tails=TailDraws(
            ratios=np.array(rows).reshape(len(rows), TAIL_POINTS),
            rows=row_of[known],
            probabilities=np.full(int(known.sum()), 1 - level),
        ),
    )


def _variances(series: ReturnSeries, losses: Floats) -> Floats:
    return ewma_variances(losses) if series.step_ns >= DAY_NS else fitted_variances(losses)[0]


def _name(filtered: FilteredReturns) -> str:
    return "fhs" if filtered.kind == "ewma" else f"fhs_{filtered.kind}"


def _pareto_ratios(tail: ParetoTail, level: float, points: int = TAIL_POINTS) -> Floats:
    """Return equally probable losses beyond VaR over ES; their mean is 1, as it must be."""
    chances = (1 - level) * (np.arange(points) + 0.5) / points
    excess = -np.log(tail.n_obs / tail.exceedances * chances)
    if abs(tail.shape) > GUARD:
        excess = np.expm1(tail.shape * excess) / tail.shape
    found: Floats = tail.threshold + tail.scale * excess
    found /= found.mean()
    return found


def _sampled(
    model: str,
    *,
    series: ReturnSeries,
    sample: Floats,
    scales: Floats,
    level: float,
    side: Side,
    window: int,
    fewest: int,
) -> Forecasts:
    check_level(level)
    if not 1 <= fewest <= window:
        raise RiskError(f"Expected fewest from 1 to the window {window}, was {fewest}.")
    count = len(series)
    out = np.full((3, count), np.nan)
    width = max(1, tail_count(min(window, max(count, 1)), level)[0])
    ratios = np.full((count // REFRESH + 1, width), np.nan)
    sign = -1.0 if side == "long" else 1.0
    roll_tail(sign * sample, scales, window, fewest, level, sign, GUARD, REFRESH, out, ratios)
    losses = realised_losses(series.values, side)
    known = np.isfinite(out[0]) & np.isfinite(losses)
    return Forecasts(
        model=model,
        side=side,
        level=level,
        horizon_ns=series.step_ns,
        times=series.times[known],
        losses=losses[known],
        value_at_risk=out[0][known],
        expected_shortfall=out[1][known],
        tails=TailDraws(
            ratios=ratios,
            rows=(np.arange(count) // REFRESH)[known],
            probabilities=out[2][known],
        ),
    )
