"""The tail of a portfolio: value at risk and expected shortfall, and whose part they are."""

import numpy as np

from alphaplus.risk._tail_kernels import quantile_without_each
from alphaplus.risk.estimators import GUARD, tail_count
from alphaplus.risk.portfolio_holdings import Holdings
from alphaplus.risk.portfolio_report import Sheet
from alphaplus.risk.revaluation import Floats


def put_tail(sheet: Sheet, holdings: Holdings, horizon: str, equity: float | None) -> None:
    """Note value at risk and shortfall over a horizon, and of a day what they are made of."""
    inputs, values = holdings.inputs, holdings.values
    gains = holdings.models.gains.get(horizon)
    if horizon not in inputs.scenarios and horizon not in sheet.gaps:
        sheet.gaps = {**sheet.gaps, horizon: (f"{horizon} scenarios",)}
    count = 0 if gains is None else gains.positions.shape[1]
    n_obs = inputs.observations.get(horizon, count) if count else 0
    method, needs = inputs.scenario_method, (horizon, "marks")
    losses = ordered = np.zeros(0)
    if gains is not None and "marks" not in sheet.gaps:
        losses = -gains.total(values.notional, values.coins)
        ordered = np.sort(losses)[::-1]
    for measure, level in (("var_95", 0.95), ("var_99", 0.99), ("es_975", 0.975)):
        short = count and (1 - level) * count < 1 - GUARD
        found = _ordered_tail(ordered, level) if len(ordered) else (0.0, 0.0)
        value = found[measure.startswith("es")]
        name = f"{measure}_{horizon}"
        flags = ("insufficient_tail",) if short else ()
        sheet.put(name, needs, value, method=method, n_obs=n_obs, flags=flags)
        sheet.put(
            f"{name}_pct",
            (*needs, "wallet_balance"),
            value / equity if equity is not None and equity > 0 else None,
            method=method,
            n_obs=n_obs,
            unknown="equity above 0",
            flags=flags,
        )
    if horizon == "1d":
        _put_parts(sheet, holdings, losses, ordered)


def _put_parts(sheet: Sheet, holdings: Holdings, losses: Floats, ordered: Floats) -> None:
    values, scenarios = holdings.values, len(losses)
    n_obs = holdings.inputs.observations.get("1d", scenarios)
    gains = holdings.models.gains.get("1d")
    needs = ("1d", "marks")

    def shortfall() -> Floats | None:
        if gains is None:
            return None
        weights = _tail_weights(losses, ordered, 0.975)
        tail = np.flatnonzero(weights)
        found = -values.notional * (gains.positions[:, tail] @ weights[tail])
        if values.coins.any():
            found = found - values.coins * (gains.coins[:, tail] @ weights[tail])
        return found

    def incremental() -> Floats | None:
        if gains is None:
            return None
        rank = tail_count(scenarios, 0.99)[0]
        without = np.empty(len(values.notional))
        quantile_without_each(
            losses,
            np.argsort(-losses),
            values.notional,
            gains.positions,
            values.coins,
            gains.coins,
            gains.most(values.notional, values.coins),
            rank,
            without,
        )
        return np.asarray(ordered[rank - 1] - without)

    method = holdings.inputs.scenario_method
    sheet.put_series("component_es_975_1d", "symbol", needs, shortfall, method=method, n_obs=n_obs)
    sheet.put_series(
        "incremental_var_99_1d", "symbol", needs, incremental, method=method, n_obs=n_obs
    )


def _ordered_tail(ordered: Floats, level: float) -> tuple[float, float]:
    """Return value at risk and shortfall of losses in descending order, as `tail_risk` does."""
    rank, tail = tail_count(len(ordered), level)
    quantile = float(ordered[rank - 1])
    if tail < 1 - GUARD:
        return quantile, quantile
    beyond = float(ordered[: rank - 1].sum())
    return quantile, max(quantile, (beyond + (tail - (rank - 1)) * quantile) / tail)


def _tail_weights(losses: Floats, ordered: Floats, level: float) -> Floats:
    """Return each scenario's weight in the shortfall; scenarios of one loss share theirs.

    So permuting the scenarios changes no component.
    """
    rank, tail = tail_count(len(losses), level)
    quantile = ordered[rank - 1]
    beyond, at = losses > quantile, losses == quantile
    weights = np.zeros(len(losses))
    if tail < 1 - GUARD:
        weights[at] = 1.0 / np.count_nonzero(at)
        return weights
    weights[beyond] = 1.0 / tail
    weights[at] = (1.0 - np.count_nonzero(beyond) / tail) / np.count_nonzero(at)
    return weights
