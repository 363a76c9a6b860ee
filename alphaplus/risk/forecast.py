"""From histories to published figures: scenarios of all symbols at once, and what they say.

A symbol that cannot be modelled is named with its reason and has no scenarios; whoever holds it
has no value at risk, rather than one that leaves it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.figures import RiskFigure, Scaling, figure_name, horizon_name
from alphaplus.risk.filtered import (
    FEWEST,
    PATHS,
    WINDOW,
    FilteredReturns,
    Kind,
    filter_returns,
    simulate_returns,
    step_scenarios,
    steps_per,
)
from alphaplus.risk.returns import ReturnSeries

Floats = npt.NDArray[np.float64]

FIGURES: Final[tuple[tuple[str, float], ...]] = (("var", 0.95), ("var", 0.99), ("es", 0.975))
"""What is published for every horizon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenarios:
    """Log returns over one horizon, the same scenarios for all symbols."""

    symbols: tuple[str, ...]
    returns: Floats
    """(scenarios, symbols)."""
    horizon_ns: int
    method: str
    scaling: Scaling
    n_obs: int
    """Past times that the scenarios were made from."""
    as_of: int
    """End of the newest period, ns UTC."""
    missing: Mapping[str, str]
    """Symbols that have no scenarios, and why."""


def filtered_scenarios(
    histories: Mapping[str, ReturnSeries],
    horizon_ns: int,
    *,
    kind: Kind = "ewma",
    paths: int = PATHS,
    seed: int = 0,
    window: int = WINDOW,
) -> Scenarios:
    """Return scenarios of the default model over `horizon_ns` for all symbols together.

    One period ahead every past time is a scenario; further ahead `paths` are simulated. Raises
    RiskError if no symbol can be modelled or the histories have different steps.
    """
    usable, missing = filtered_histories(histories, kind=kind)
    method = "fhs" if kind == "ewma" else f"fhs_{kind}"
    return scenarios_of(
        usable, horizon_ns, method, paths=paths, seed=seed, window=window, missing=missing
    )


def filtered_histories(
    histories: Mapping[str, ReturnSeries], *, kind: Kind = "ewma"
) -> tuple[dict[str, FilteredReturns], dict[str, str]]:
    """Return the filtered returns of all symbols on one grid, and why others have none.

    Raises RiskError if no symbol can be modelled or the histories have different steps.
    """
    aligned = align(histories)
    usable: dict[str, FilteredReturns] = {}
    missing: dict[str, str] = {}
    for symbol, series in aligned.items():
        if np.isnan(series.values[-1]):
            missing[symbol] = "history ends before that of the others"
            continue
        try:
            item = filter_returns(series, kind=kind)
        except RiskError as error:
            missing[symbol] = str(error)
            continue
        known = int(np.isfinite(item.residuals).sum())
        if known < FEWEST:
            missing[symbol] = f"{known} of {FEWEST} filtered returns"
        else:
            usable[symbol] = item
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise RiskError(f"Expected a symbol with enough history, was none ({reasons}).")
    return usable, missing


def scenarios_of(
    usable: Mapping[str, FilteredReturns],
    horizon_ns: int,
    method: str,
    *,
    paths: int = PATHS,
    seed: int = 0,
    window: int = WINDOW,
    missing: Mapping[str, str] | None = None,
) -> Scenarios:
    """Return the scenarios that filtered returns on one grid give over `horizon_ns`."""
    filtered = list(usable.values())
    series = filtered[0].series
    steps = steps_per(horizon_ns, series.step_ns)
    if steps == 1:
        returns = step_scenarios(filtered, window=window)
        n_obs = len(returns)
    else:
        simulated = simulate_returns(filtered, steps=steps, paths=paths, seed=seed, window=window)
        returns, n_obs = simulated.terminal, simulated.residuals
    return Scenarios(
        symbols=tuple(usable),
        returns=returns,
        horizon_ns=horizon_ns,
        method=method,
        scaling="none" if steps == 1 else "bootstrap",
        n_obs=n_obs,
        as_of=int(series.times[-1]) + series.step_ns,
        missing=missing or {},
    )


def align(histories: Mapping[str, ReturnSeries]) -> dict[str, ReturnSeries]:
    """Put histories onto one grid from the first to the last period of any; nan where unknown."""
    steps = {series.step_ns for series in histories.values()}
    if len(steps) != 1 or not all(len(series) for series in histories.values()):
        raise RiskError(f"Expected histories of one step, were {len(steps)} or empty.")
    step = steps.pop()
    first = min(int(series.times[0]) for series in histories.values())
    last = max(int(series.times[-1]) for series in histories.values())
    times = first + step * np.arange((last - first) // step + 1, dtype=np.int64)
    found = {}
    for symbol, series in histories.items():
        places, off = np.divmod(series.times - first, step)
        if off.any():
            raise RiskError(f"Expected {symbol} on the grid of the others, was off it.")
        values = np.full(len(times), np.nan)
        values[places] = series.values
        found[symbol] = ReturnSeries(times=times, values=values, step_ns=step)
    return found


def scenario_figures(
    losses: npt.ArrayLike | None,
    *,
    horizon_ns: int,
    method: str,
    n_obs: int,
    as_of: int | None,
    scaling: Scaling = "none",
    missing: Sequence[str] = (),
) -> dict[str, RiskFigure]:
    """Return var_95, var_99 and es_975 of scenario losses, with the horizon in their names.

    `losses` (scenarios,) in quote currency or as fractions. With anything missing all are None.
    """
    absent = tuple(missing) if losses is not None or missing else ("scenarios",)
    found = {}
    for measure, level in FIGURES:
        value: float | None = None
        flags: tuple[str, ...] = ()
        if losses is not None and not absent:
            risk = tail_risk(losses, level)
            value = risk.value_at_risk if measure == "var" else risk.expected_shortfall
            flags = ("insufficient_tail",) if risk.insufficient_tail else ()
        name = figure_name(measure, level, horizon_ns)
        found[name] = RiskFigure(
            name=name,
            value=value,
            method=method,
            n_obs=n_obs,
            as_of=as_of,
            scaling=scaling,
            missing=absent,
            flags=flags,
        )
    return found


def scaled_by_root_of_time(figure: RiskFigure, horizon_ns: int, factor: float) -> RiskFigure:
    """Return a figure for a horizon `factor` times as long, marked as scaled by sqrt(time).

    Only honest for returns without memory in their size; the simulation is not scaled so.
    """
    if not factor > 0:
        raise RiskError(f"Expected a factor above 0, was {factor}.")
    stem = figure.name.rpartition("_")[0]
    return RiskFigure(
        name=f"{stem}_{horizon_name(horizon_ns)}",
        value=None if figure.value is None else figure.value * factor**0.5,
        method=figure.method,
        n_obs=figure.n_obs,
        as_of=figure.as_of,
        scaling="sqrt_time",
        missing=figure.missing,
        flags=figure.flags,
    )
