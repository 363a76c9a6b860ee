"""What price histories say of all markets: scenarios, covariance, betas, paths to a level.

Built once per history (it may take a second: not on a thread that others wait for) and then
only read. A market that cannot be modelled is named with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.account import pair_of
from alphaplus.leverage.hit_probability import SimulatedExtremes, simulate_extremes
from alphaplus.portfolio.histories import HistorySet
from alphaplus.portfolio.replayed_days import ReplayedDays, replayed_days
from alphaplus.portfolio.scenario_models import Model, model_scenarios
from alphaplus.risk.covariance import Covariance, estimate_covariance, rescaled
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.figures import DAY_NS, HOUR_NS
from alphaplus.risk.filtered import FEWEST, PATHS, WINDOW, FilteredReturns
from alphaplus.risk.forecast import Scenarios, filtered_histories
from alphaplus.risk.history_files import CandleHistory
from alphaplus.risk.returns import ReturnSeries, close_returns

Floats = npt.NDArray[np.float64]

HORIZONS: Final = {"1d": DAY_NS, "1h": HOUR_NS}
SHORTFALL_LEVEL: Final = 0.975
REFERENCE: Final = "BTC"
"""The base asset that betas are measured to."""
TOUCH_HOURS: Final = 24
"""Horizon of the simulated running extremes."""
_LATE_NS: Final = 24 * HOUR_NS
"""A history that ends later than this after another's is cut to it; earlier ones have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketModels:
    """All markets under one model; what is by market lacks those that are in `missing`."""

    model: Model
    scenarios: Mapping[str, Scenarios]
    """Log returns by horizon, `1d` and `1h`; a horizon is absent if `gaps` says why."""
    covariance: Covariance | None
    """Of daily simple returns, of the markets in `markets`."""
    markets: tuple[str, ...]
    betas: Mapping[str, float]
    """To the reference asset on the same exchange, else on any."""
    sigmas: Mapping[str, float]
    """Forecast volatility per square root of an hour, deseasonalised."""
    extremes: Mapping[str, SimulatedExtremes]
    """Of paths of `TOUCH_HOURS` hours at a volatility of 1 per square root of an hour."""
    shortfalls: Mapping[tuple[str, int], float]
    """ES 97.5 % over a day by market and side (+1 long), fractions of the price."""
    missing: Mapping[str, str]
    """Markets that are not modelled, and why."""
    replays: ReplayedDays | None = None
    """Days of the past to be replayed; None without a whole one."""
    gaps: Mapping[str, str] = field(default_factory=dict)
    """Horizons without scenarios, and why."""
    as_of: int | None = None
    """End of the newest period, ns UTC."""

    def reason(self, market: str) -> str | None:
        """Return why a market is not modelled, None if it is."""
        if market in self.markets:
            return None
        return f"history of {market}: {self.missing.get(market, 'none has been loaded')}"


def no_models(model: Model) -> MarketModels:
    """Return models of nothing, before any history came."""
    return MarketModels(
        model=model,
        scenarios={},
        covariance=None,
        markets=(),
        betas={},
        sigmas={},
        extremes={},
        shortfalls={},
        missing={},
    )


def build_models(
    history: HistorySet, model: Model = "fhs", *, paths: int = PATHS, seed: int = 0
) -> MarketModels:
    """Return what a model says of all markets of a history; never raises for a bad one."""
    series, missing = _series(history)
    try:
        kind = "garch" if model == "fhs_garch" else "ewma"
        filtered, left_out = filtered_histories(series, kind=kind)  # type: ignore[arg-type]
    except RiskError as error:
        reasons = {key: str(error) for key in series} | missing
        return replace(no_models(model), missing=reasons)
    missing |= left_out
    filtered = _with_common_times(filtered, missing)
    found, gaps = {}, {}
    for name, horizon in HORIZONS.items():
        try:
            found[name] = model_scenarios(model, filtered, horizon, paths=paths, seed=seed)
        except RiskError as error:
            gaps[name] = f"{name} scenarios by {model}: {error}"
    return MarketModels(
        model=model,
        scenarios=found,
        covariance=_covariance(filtered, found.get("1d")),
        markets=tuple(filtered),
        betas=_betas(filtered),
        sigmas=_sigmas(filtered, history.step_ns),
        extremes=_extremes(filtered, history, paths, seed),
        shortfalls=_shortfalls(found.get("1d")),
        missing=missing,
        replays=replayed_days({key: item.series for key, item in filtered.items()}),
        gaps=gaps,
        as_of=_end(next(iter(filtered.values())).series),
    )


def _series(history: HistorySet) -> tuple[dict[str, ReturnSeries], dict[str, str]]:
    """Return the returns of each market up to the last period that all have."""
    found: dict[str, ReturnSeries] = {}
    missing: dict[str, str] = {}
    for key, candles in history.candles.items():
        if len(candles) < FEWEST:
            missing[key] = f"{len(candles)} of {FEWEST} candles"
            continue
        try:
            found[key] = close_returns(candles.times, candles.close, history.step_ns)
        except RiskError as error:
            missing[key] = str(error)
    if not found:
        return found, missing
    newest = max(_end(item) for item in found.values())
    alive = {key: item for key, item in found.items() if newest - _end(item) <= _LATE_NS}
    for key in found.keys() - alive.keys():
        missing[key] = "ended, as that of a delisted market does"
    common = min(_end(item) for item in alive.values())
    return {key: _until(item, common) for key, item in alive.items()}, missing


def _end(series: ReturnSeries) -> int:
    return int(series.times[-1]) + series.step_ns


def _until(series: ReturnSeries, end: int) -> ReturnSeries:
    count = int(np.searchsorted(series.times + series.step_ns, end, "right"))
    return ReturnSeries(
        times=series.times[:count], values=series.values[:count], step_ns=series.step_ns
    )


def _with_common_times(
    filtered: dict[str, FilteredReturns], missing: dict[str, str]
) -> dict[str, FilteredReturns]:
    """Leave out the shortest histories until the others have enough times in common."""
    kept = dict(filtered)
    while len(kept) > 1:
        known = {key: np.isfinite(item.residuals[-WINDOW:]) for key, item in kept.items()}
        if int(np.logical_and.reduce(list(known.values())).sum()) >= FEWEST:
            break
        shortest = min(kept, key=lambda key: int(known[key].sum()))
        missing[shortest] = f"fewer than {FEWEST} times in common with the others"
        del kept[shortest]
    return kept


def _matrix(filtered: Mapping[str, FilteredReturns], *, residuals: bool) -> Floats:
    """Return the newest residuals or returns [times, markets] of times that all have."""
    columns = [item.residuals if residuals else item.series.values for item in filtered.values()]
    values = np.column_stack(columns)[-WINDOW:]
    return np.asarray(values[np.isfinite(values).all(axis=1)])


def _covariance(
    filtered: Mapping[str, FilteredReturns], daily: Scenarios | None
) -> Covariance | None:
    """Return the shrunk correlation of the residuals with the deviations of the scenarios."""
    if daily is None:
        return None
    deviations = np.sqrt(np.square(np.expm1(daily.returns)).mean(axis=0))
    return rescaled(estimate_covariance(_matrix(filtered, residuals=True)), deviations)


def _betas(filtered: Mapping[str, FilteredReturns]) -> dict[str, float]:
    keys = list(filtered)
    values = _matrix(filtered, residuals=False)
    references = [key for key in keys if _base(key) == REFERENCE]
    found = {}
    for at, key in enumerate(keys):
        own = [name for name in references if name.partition(":")[0] == key.partition(":")[0]]
        name = next(iter(own or references), None)
        if name is None:
            continue
        reference = values[:, keys.index(name)]
        variance = float(reference @ reference)
        if variance > 0:
            found[key] = float(values[:, at] @ reference) / variance
    return found


def _base(key: str) -> str:
    pair = pair_of(key.partition(":")[2])
    return "" if pair is None else pair[0]


def _sigmas(filtered: Mapping[str, FilteredReturns], step_ns: int) -> dict[str, float]:
    hours = step_ns / HOUR_NS
    return {key: float(np.sqrt(item.variances[-1] / hours)) for key, item in filtered.items()}


def _extremes(
    filtered: Mapping[str, FilteredReturns], history: HistorySet, paths: int, seed: int
) -> dict[str, SimulatedExtremes]:
    steps = TOUCH_HOURS * HOUR_NS // history.step_ns
    unit = np.sqrt(history.step_ns / HOUR_NS)
    found = {}
    for key, item in filtered.items():
        bars = _bars(item, history.candles[key])[-WINDOW:]
        if len(bars) < FEWEST or not steps:
            continue
        scale = float(np.sqrt(np.square(bars[:, 0]).mean()))
        if not scale > 0:
            continue
        # divided by its own scale, the variance along a path stays where it starts
        found[key] = simulate_extremes(
            bars / scale,
            sigma=scale * unit,
            steps=steps,
            paths=paths,
            seed=seed,
            decay=float(item.parameters[-1, 2]) if item.kind == "ewma" else 1.0,
        )
    return found


def _bars(item: FilteredReturns, candles: CandleHistory) -> Floats:
    """Return close, high and low against the open of each bar, in units of its forecast."""
    places = np.searchsorted(item.series.times, candles.times)
    places = np.minimum(places, len(item.series) - 1)
    known = item.series.times[places] == candles.times
    prices = np.column_stack([candles.close, candles.high, candles.low])[known]
    scales = item.scales[places[known]]
    with np.errstate(divide="ignore", invalid="ignore"):  # a bad price is nan: left out below
        moved = np.log(prices / candles.open[known][:, None]) / scales[:, None]
    return np.asarray(moved[np.isfinite(moved).all(axis=1)])


def _shortfalls(daily: Scenarios | None) -> dict[tuple[str, int], float]:
    if daily is None:
        return {}
    return {
        (key, side): tail_risk(
            -side * np.expm1(daily.returns[:, at]), SHORTFALL_LEVEL
        ).expected_shortfall
        for at, key in enumerate(daily.symbols)
        for side in (1, -1)
    }
