"""Scenarios of all markets by each model of value at risk, on one grid of past returns.

==============  ====================================================================
`fhs`           filtered historical simulation, EWMA (the default)
`fhs_garch`     the same with GARCH(1,1)-t
`historical`    past hours, and past days that do not overlap
`ewma_normal`   normal draws with EWMA variance and correlation: thin tails, to compare
`evt`           `fhs` with Pareto tails fitted to the residuals
==============  ====================================================================
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.covariance import ewma_covariance, repair_covariance
from alphaplus.risk.ewma import START, fitted_variances
from alphaplus.risk.filtered import FEWEST, WINDOW, FilteredReturns, steps_per
from alphaplus.risk.forecast import Scenarios, scenarios_of
from alphaplus.risk.returns import ReturnSeries, non_overlapping
from alphaplus.risk.smoothed_tails import smoothed_tails

Floats = npt.NDArray[np.float64]
Model = Literal["fhs", "fhs_garch", "historical", "ewma_normal", "evt"]

MODELS: Final[tuple[Model, ...]] = get_args(Model)
FEWEST_DAYS: Final = 100
"""Blocks of many periods without which their quantiles are nothing."""


def model_scenarios(
    model: Model,
    filtered: Mapping[str, FilteredReturns],
    horizon_ns: int,
    *,
    paths: int,
    seed: int,
) -> Scenarios:
    """Return the scenarios of a model over a horizon; raises RiskError if history is too short."""
    if model == "historical":
        return _historical(filtered, horizon_ns)
    if model == "ewma_normal":
        return _normal(filtered, horizon_ns, paths, seed)
    if model == "evt":
        filtered = {key: smoothed_tails(item) for key, item in filtered.items()}
    return scenarios_of(filtered, horizon_ns, model, paths=paths, seed=seed)


def _historical(filtered: Mapping[str, FilteredReturns], horizon_ns: int) -> Scenarios:
    returns, end = _past(filtered, horizon_ns)
    return Scenarios(
        symbols=tuple(filtered),
        returns=returns,
        horizon_ns=horizon_ns,
        method="historical",
        scaling="none",
        n_obs=len(returns),
        as_of=end,
        missing={},
    )


def _normal(
    filtered: Mapping[str, FilteredReturns], horizon_ns: int, paths: int, seed: int
) -> Scenarios:
    returns, end = _past(filtered, horizon_ns)
    variances, decays = zip(*(fitted_variances(column) for column in returns.T), strict=True)
    sigma = np.sqrt([column[-1] for column in variances])
    if not np.isfinite(sigma).all():
        raise RiskError(f"Expected more than {START} returns that move, were fewer.")
    decay = float(np.median([column[-1] for column in decays]))
    scaled = repair_covariance(ewma_covariance(returns, decay)).matrix
    spread = np.sqrt(np.diag(scaled))
    if not (spread > 0).all():
        raise RiskError("Expected prices that move, was one that does not.")
    values, vectors = np.linalg.eigh(scaled / np.outer(spread, spread))
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    draws = np.random.default_rng(seed).standard_normal((paths, len(sigma)))
    return Scenarios(
        symbols=tuple(filtered),
        returns=draws @ root * sigma,
        horizon_ns=horizon_ns,
        method="ewma_normal",
        scaling="none",
        n_obs=len(returns),
        as_of=end,
        missing={},
    )


def _past(filtered: Mapping[str, FilteredReturns], horizon_ns: int) -> tuple[Floats, int]:
    """Return the past log returns over a horizon that all have, newest last, and their end."""
    series = [_periods(item.series, horizon_ns) for item in filtered.values()]
    returns = np.column_stack([item.values for item in series])
    returns = returns[np.isfinite(returns).all(axis=1)][-WINDOW:]
    single = horizon_ns == next(iter(filtered.values())).series.step_ns
    least = FEWEST if single else FEWEST_DAYS
    if len(returns) < least:
        raise RiskError(f"Expected {least} past returns over the horizon, was {len(returns)}.")
    return returns, int(series[0].times[-1]) + series[0].step_ns


def _periods(series: ReturnSeries, horizon_ns: int) -> ReturnSeries:
    steps = steps_per(horizon_ns, series.step_ns)
    return series if steps == 1 else non_overlapping(series, steps)
