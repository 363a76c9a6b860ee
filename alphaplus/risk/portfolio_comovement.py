"""What of a portfolio's risk comes from its symbols moving together."""

import numpy as np
from scipy.special import ndtri

from alphaplus.risk.correlation import weighted_average_correlation
from alphaplus.risk.effective_bets import effective_bets
from alphaplus.risk.portfolio_holdings import Holdings
from alphaplus.risk.portfolio_models import Comovement
from alphaplus.risk.portfolio_report import Sheet
from alphaplus.risk.revaluation import Floats


def put_comovement(sheet: Sheet, holdings: Holdings) -> None:
    """Note Euler shares, correlations, absorption, bets and the stressed value at risk."""
    model, values = holdings.models.comovement, holdings.values
    size = len(values.notional)
    known = model is not None and "marks" not in sheet.gaps
    held = (values.notional + values.coins)[model.held] if model and known else np.zeros(0)
    flags = ("covariance_repaired",) if model and model.repaired else ()
    total = sheet.figures["var_99_1d"].value
    marginal = _marginal(model, held, total, size) if model and known else None
    method, needs = "euler_on_covariance", ("marks", "covariance", "1d")
    exposures = values.notional + values.coins
    n_obs = sheet.figures["var_99_1d"].n_obs
    parts = None if marginal is None else np.where(exposures == 0, 0.0, exposures * marginal)
    for name, series in (
        ("marginal_var_99_1d", marginal),
        ("component_var_99_1d", parts),
    ):
        sheet.put_series(
            name,
            "symbol",
            needs,
            series,
            method=method,
            n_obs=n_obs,
            unknown="variance above 0",
        )
    constant = ("covariance",)
    correlated = "two symbols that are held"
    for name, value, unknown in (
        ("avg_pairwise_corr", model.average if model else None, correlated),
        ("absorption_ratio_1", model.absorption_1 if model else None, "variance above 0"),
        ("absorption_ratio_n5", model.absorption_n5 if model else None, "variance above 0"),
    ):
        sheet.put(
            name,
            constant,
            value,
            method="covariance",
            unknown=unknown if model else "positions",
            flags=flags,
        )
    sheet.put(
        "weighted_pairwise_corr",
        ("marks", "covariance"),
        lambda: weighted_average_correlation(model.correlation, held) if model else None,
        method="covariance",
        unknown=correlated,
        flags=flags,
    )
    torsion = model.torsion if model else None
    sheet.put(
        "effective_bets",
        ("marks", "covariance"),
        lambda: effective_bets(torsion, held) if torsion else None,
        method="minimum_torsion",
        unknown="a covariance of full rank" if model and not torsion else "positions",
        flags=flags,
    )
    quantile = float(ndtri(0.99))
    sheet.put(
        "stressed_corr_var_99_1d",
        needs,
        lambda: max(total or 0.0, quantile * model.stressed_sigma(held)) if model else total,
        method="normal_stressed_correlation",
        flags=flags,
    )


def _marginal(model: Comovement, held: Floats, total: float | None, symbols: int) -> Floats | None:
    """Return what a unit of exposure to each symbol adds; None without any variance."""
    pulls = model.covariance @ held
    variance = float(held @ pulls)
    scale = float(np.square(np.abs(held) @ model.sigma))
    if total is None or variance <= 1e-15 * scale:
        return None
    found = np.full(symbols, np.nan)
    found[model.held] = total * pulls / variance
    return found
