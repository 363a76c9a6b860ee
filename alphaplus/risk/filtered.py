"""Filtered historical simulation, the default model of value at risk.

    u_t = r_t / f_t          returns without the hour of the week (`seasonality`)
    z_t = u_t / s_t          residuals of an EWMA or GARCH(1,1)-t variance forecast
    r*  = f s* z*            z* drawn from the past z, s* updated along the path

Hull and White (1998); Barone-Adesi, Giannopoulos and Vosper (1999). Residuals are drawn as
vectors of one time over all symbols, so that their dependence is kept. Returns are log returns;
positions are valued anew at the simulated prices (`returns.revaluation_pnl`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.jit import kernel
from alphaplus.risk.ewma import fitted_variances
from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.garch_filter import garch_variances
from alphaplus.risk.returns import ReturnSeries
from alphaplus.risk.seasonality import Seasonality, hour_of_week, rolling_seasonality

Floats = npt.NDArray[np.float64]
Kind = Literal["ewma", "garch"]

PATHS: Final = 10_000
WINDOW: Final = 8_760
"""Residuals that are drawn from: the newest of them, a year of hours."""
FEWEST: Final = 500
"""Residuals without which nothing is simulated."""
REFIT: Final = 720
"""Returns between two GARCH fits: a month of hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredReturns:
    """One symbol's returns, filtered; nothing at t uses data from t on."""

    series: ReturnSeries
    seasonality: Seasonality
    variances: Floats
    """(n + 1,): forecast variance of each deseasonalised return, and of the next."""
    parameters: Floats
    """(n + 1, 3): omega, alpha, beta in force; EWMA is 0, 1 - lambda, lambda."""
    kind: Kind

    @property
    def scales(self) -> Floats:
        """(n,): forecast standard deviation of each return, with its hour."""
        found: Floats = np.sqrt(self.variances[:-1]) * self.seasonality.factors
        return found

    @property
    def residuals(self) -> Floats:
        """(n,): z; nan before the filter started and where a return is missing."""
        found: Floats = self.series.values / self.scales
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReturns:
    """Log returns of simulated paths, (paths, symbols) each."""

    terminal: Floats
    """From now to the horizon."""
    lowest: Floats
    """The least on the way, at most 0: looked at after each step."""
    highest: Floats
    residuals: int
    """Times that were drawn from."""


def filter_returns(
    series: ReturnSeries, *, kind: Kind = "ewma", deseasonalise: bool = True, refit: int = REFIT
) -> FilteredReturns:
    """Filter one symbol's log returns; nan returns are passed over.

    Raises RiskError for an empty or infinite series, or one in which the price never moved.
    """
    values = series.values
    if np.isinf(values).any():
        raise RiskError("Expected finite returns or nan, was infinite.")
    if not np.any(np.nan_to_num(values)):
        raise RiskError("Expected a price that moves, was the same throughout.")
    seasonality = rolling_seasonality(series)
    if not deseasonalise:
        seasonality = Seasonality(
            table=np.ones_like(seasonality.table),
            row_of=seasonality.row_of,
            hours=seasonality.hours,
        )
    plain = values / seasonality.factors
    if kind == "garch":
        variances, parameters = garch_variances(plain, refit=refit)
    else:
        variances, decays = fitted_variances(plain)
        parameters = np.column_stack([0 * decays, 1 - decays, decays])
    return FilteredReturns(
        series=series,
        seasonality=seasonality,
        variances=variances,
        parameters=parameters,
        kind=kind,
    )


def simulate_returns(
    filtered: Sequence[FilteredReturns],
    *,
    steps: int,
    paths: int = PATHS,
    seed: int = 0,
    window: int = WINDOW,
    origin: int | None = None,
) -> SimulatedReturns:
    """Simulate `steps` periods ahead of all symbols at once, deterministic by `seed`.

    `origin` (default: the end) is the number of returns that are known; all series must have
    the same times. Only times at which every symbol has a residual are drawn. Raises RiskError
    with fewer than `FEWEST` of those, or if a filter has no forecast yet.
    """
    if not filtered or steps < 1 or paths < 1:
        raise RiskError(
            f"Expected symbols, steps and paths, was {len(filtered)}, {steps}, {paths}."
        )
    series = filtered[0].series
    end = len(series) if origin is None else origin
    pool = _pool(filtered, end, window)
    states = np.array([[item.variances[end], *item.parameters[end]] for item in filtered])
    if not np.isfinite(states).all():
        raise RiskError("Expected a volatility forecast for every symbol, was none yet.")
    for row, item in enumerate(filtered):
        if item.kind == "ewma":  # residuals of mean square above 1 must not drive it upward
            states[row, 2] /= np.mean(pool[row] ** 2)
    # the step to come begins one step after the last known one
    times = series.times[end - 1] + series.step_ns * np.arange(1, steps + 1, dtype=np.int64)
    hours = hour_of_week(times)
    factors = np.array(
        [item.seasonality.table[item.seasonality.row_of[end], hours] for item in filtered]
    )
    draws = draw_indices(pool.shape[1], steps=steps, paths=paths, seed=seed)
    out = np.empty((3, paths, len(filtered)))
    _simulate(pool, draws, states, factors, out)
    return SimulatedReturns(terminal=out[0], lowest=out[1], highest=out[2], residuals=pool.shape[1])


def step_scenarios(filtered: Sequence[FilteredReturns], *, window: int = WINDOW) -> Floats:
    """Return the log returns of one period ahead, one scenario for each past time, (T, symbols).

    For one step nothing need be drawn. Raises RiskError as `simulate_returns`.
    """
    series = filtered[0].series
    pool = _pool(filtered, len(series), window)
    hour = hour_of_week(series.times[-1] + series.step_ns)
    scales = np.array(
        [np.sqrt(item.variances[-1]) * item.seasonality.latest[hour] for item in filtered]
    )
    if not np.isfinite(scales).all():
        raise RiskError("Expected a volatility forecast for every symbol, was none yet.")
    found: Floats = pool.T * scales
    return found


def _pool(filtered: Sequence[FilteredReturns], end: int, window: int) -> Floats:
    """Return the newest residuals that all symbols have, (symbols, times)."""
    times = filtered[0].series.times
    if any(not np.array_equal(item.series.times, times) for item in filtered[1:]):
        raise RiskError("Expected the same times for all symbols, were different.")
    begin = max(0, end - window)
    pool = np.array([item.residuals[begin:end] for item in filtered])
    pool = np.ascontiguousarray(pool[:, np.isfinite(pool).all(axis=0)])
    if pool.shape[1] < FEWEST:
        raise RiskError(f"Expected at least {FEWEST} residuals to draw from, was {pool.shape[1]}.")
    return pool


def draw_indices(count: int, *, steps: int, paths: int, seed: int) -> npt.NDArray[np.int32]:
    """Return which of `count` residuals each step of each path takes, (paths, steps)."""
    source: Any = np.random.default_rng(seed)
    found: npt.NDArray[np.int32] = source.integers(0, count, (paths, steps), dtype=np.int32)
    return found


def steps_per(horizon_ns: int, step_ns: int) -> int:
    """Return how many periods make up a horizon; raises RiskError if it is no whole number."""
    if horizon_ns <= 0 or horizon_ns % step_ns:
        raise RiskError(
            f"Expected a horizon of whole periods of {step_ns / HOUR_NS:g} h, "
            f"was {horizon_ns / HOUR_NS:g} h."
        )
    return horizon_ns // step_ns


@kernel
def _simulate(
    pool: Floats,
    draws: npt.NDArray[np.int32],
    states: Floats,
    factors: Floats,
    out: Floats,
) -> None:
    """Fill terminal, lowest and highest log return of each path and symbol.

    `states` holds the variance to start with, omega, alpha and beta of each symbol.
    """
    paths, steps = draws.shape
    for i in range(len(states)):
        omega = states[i, 1]
        alpha = states[i, 2]
        beta = states[i, 3]
        for path in range(paths):
            variance = states[i, 0]
            total = 0.0
            low = 0.0
            high = 0.0
            for step in range(steps):
                plain = np.sqrt(variance) * pool[i, draws[path, step]]
                total += factors[i, step] * plain
                low = min(low, total)
                high = max(high, total)
                variance = omega + alpha * plain * plain + beta * variance
            out[0, path, i] = total
            out[1, path, i] = low
            out[2, path, i] = high
