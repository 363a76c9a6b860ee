"""The risk of one portfolio: every metric at the marks of this moment.

`PortfolioRisk` holds a portfolio at marks: `move` takes the mark of one symbol, `report` writes
the sheet. Only what a mark changes is computed again: its positions and its row of gains, sums
over symbols, and quantiles. Covariances, torsions and revalued scenarios are kept.

A metric is None where an input that it needs is missing, and says what; the others stay.
"""

import math
from typing import Final

import numpy as np
from scipy.special import ndtri

from alphaplus.risk._tail_kernels import quantile_without_each
from alphaplus.risk.correlation import weighted_average_correlation
from alphaplus.risk.effective_bets import effective_bets
from alphaplus.risk.estimators import GUARD, tail_count, tail_risk
from alphaplus.risk.exposure import (
    beta_exposure,
    concentration_hhi,
    days_to_exit,
    distance_to_liquidation,
    effective_leverage,
    exposure_of,
    funding_cost,
)
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.portfolio_models import Comovement, Models
from alphaplus.risk.portfolio_report import RiskReport, Sheet
from alphaplus.risk.portfolio_values import PortfolioValues
from alphaplus.risk.revaluation import Floats, Ints, signed_notional
from alphaplus.risk.stress import Account, joint_distance

HORIZONS: Final = ("1d", "1h")
SECOND_NS: Final = 1_000_000_000
_NO_SHOCK: Final = "no common shock reaches the maintenance margin"


class PortfolioRisk:
    """A portfolio at marks; `report` is the same after moves as of a new one at those marks."""

    def __init__(
        self, inputs: PortfolioInputs, marks: Floats, mark_times: Ints | None = None
    ) -> None:
        self._inputs = inputs
        self._models = Models(inputs)
        self._values = PortfolioValues(inputs, marks)
        self._times = None if mark_times is None else mark_times.astype(np.int64)

    def move(self, symbol: int, mark: float, mark_time: int | None = None) -> None:
        """Take the mark of one symbol, quote currency, of `mark_time`, ns; nan: unknown now."""
        self._values.move(symbol, mark)
        if self._times is not None and mark_time is not None:
            self._times[symbol] = mark_time

    def report(self, as_of: int, max_mark_age_ns: int | None = None) -> RiskReport:
        """Return every metric at `as_of`, ns; marks older than `max_mark_age_ns` are missing."""
        gaps = dict(self._models.gaps)
        age, marks = self._mark_gaps(as_of, max_mark_age_ns)
        if marks:
            gaps["marks"] = marks
        sheet = Sheet(as_of, gaps)
        equity = self._put_equity(sheet)
        self._put_exposures(sheet, equity)
        self._put_margins(sheet, equity)
        for horizon in HORIZONS:
            self._put_tail(sheet, horizon, equity)
        self._put_comovement(sheet)
        self._put_exit(sheet)
        self._put_stress(sheet, equity)
        self._put_distances(sheet, equity)
        self._put_curve(sheet, equity)
        return RiskReport(as_of=as_of, mark_age_ns=age, figures=sheet.figures, series=sheet.series)

    @property
    def marks(self) -> Floats:
        """Marks by symbol, nan where unknown."""
        return self._values.marks.copy()

    def _mark_gaps(self, as_of: int, limit: int | None) -> tuple[int | None, tuple[str, ...]]:
        held, names = self._models.held, self._inputs.symbols
        unknown = held & np.isnan(self._values.marks)
        missing = [f"mark_price of {names[at]}" for at in np.flatnonzero(unknown)]
        if self._times is None or not held.any():
            return None, tuple(missing)
        ages = as_of - self._times[held]
        if limit is not None:
            stale = held & ~unknown
            stale[held] &= ages > limit
            missing += [
                f"mark_price of {names[at]} younger than {limit / SECOND_NS:g} s"
                for at in np.flatnonzero(stale)
            ]
        return int(ages.max()), tuple(missing)

    def _put_equity(self, sheet: Sheet) -> float | None:
        wallet, values = self._inputs.wallet_balance, self._values
        return sheet.put(
            "equity",
            ("wallet_balance", "marks"),
            lambda: (wallet or 0.0) + float(values.profit.sum() + values.coins.sum()),
        )

    def _put_exposures(self, sheet: Sheet, equity: float | None) -> None:
        inputs, values = self._inputs, self._values
        sums = exposure_of(values.position_notional)
        for name in ("gross", "net", "long", "short"):
            sheet.put(f"{name}_exposure", ("marks",), getattr(sums, name))
        sheet.put("concentration_hhi", ("marks",), lambda: concentration_hhi(values.gross))
        sheet.put(
            "effective_leverage",
            ("wallet_balance", "marks"),
            lambda: None if equity is None else effective_leverage(sums.gross, equity),
            unknown="equity above 0",
        )
        betas, rates = inputs.betas, inputs.funding_rates
        sheet.put(
            "beta_exposure",
            ("marks", "betas"),
            lambda: None if betas is None else beta_exposure(values.notional, betas),
        )
        sheet.put(
            "funding_8h_cost",
            ("marks", "funding"),
            lambda: None if rates is None else funding_cost(values.notional, rates),
            method="current_rates",
        )

    def _put_margins(self, sheet: Sheet, equity: float | None) -> None:
        values, account = self._values, ("wallet_balance", "marks")
        initial = float(values.initial_margin.sum())
        maintenance = float(values.maintenance.sum() - values.amount.sum())
        sheet.put("initial_margin", ("marks", "leverage"), initial)
        sheet.put("maintenance_margin", ("marks", "maintenance"), maintenance)
        sheet.put(
            "available_margin",
            (*account, "leverage"),
            lambda: None if equity is None else max(0.0, equity - initial),
        )
        sheet.put(
            "margin_utilisation",
            (*account, "leverage"),
            lambda: initial / equity if equity is not None and equity > 0 else None,
            unknown="equity above 0",
        )
        self._put_ratio(sheet, "margin_ratio", account, maintenance, equity)

    @staticmethod
    def _put_ratio(
        sheet: Sheet, name: str, needs: tuple[str, ...], margin: float, equity: float | None
    ) -> None:
        """Note margin / equity; an account without equity is bankrupt, which is no number."""
        bankrupt = equity is not None and equity <= 0 < margin
        sheet.put(
            name,
            (*needs, "maintenance"),
            lambda: margin / equity if equity is not None and equity > 0 < margin else None,
            unknown="equity above 0" if bankrupt else "positions",
            flags=("bankrupt",) if bankrupt else (),
        )

    def _put_tail(self, sheet: Sheet, horizon: str, equity: float | None) -> None:
        inputs, values = self._inputs, self._values
        gains = self._models.gains.get(horizon)
        if horizon not in inputs.scenarios:
            sheet.gaps = {**sheet.gaps, horizon: (f"{horizon} scenarios",)}
        count = 0 if gains is None else gains.positions.shape[1]
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
            sheet.put(name, needs, value, method=method, n_obs=count, flags=flags)
            sheet.put(
                f"{name}_pct",
                (*needs, "wallet_balance"),
                value / equity if equity is not None and equity > 0 else None,
                method=method,
                n_obs=count,
                unknown="equity above 0",
                flags=flags,
            )
        if horizon == "1d":
            self._put_parts(sheet, losses, ordered)

    def _put_parts(self, sheet: Sheet, losses: Floats, ordered: Floats) -> None:
        values, n_obs = self._values, len(losses)
        gains = self._models.gains.get("1d")
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
            rank = tail_count(n_obs, 0.99)[0]
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

        method = self._inputs.scenario_method
        sheet.put_series(
            "component_es_975_1d", "symbol", needs, shortfall, method=method, n_obs=n_obs
        )
        sheet.put_series(
            "incremental_var_99_1d", "symbol", needs, incremental, method=method, n_obs=n_obs
        )

    def _put_comovement(self, sheet: Sheet) -> None:
        model, values = self._models.comovement, self._values
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

    def _put_exit(self, sheet: Sheet) -> None:
        inputs, values = self._inputs, self._values
        cost = sheet.put(
            "exit_cost_usd",
            ("marks", "depth"),
            lambda: float(values.exit_costs[1.0].sum()),
            method="book_walk_and_square_root",
            unknown="volatility and volume beyond the book",
        )
        plain = sheet.figures["var_99_1d"]
        sheet.put(
            "lvar_99_1d",
            ("1d", "marks", "depth"),
            lambda: None if cost is None or plain.value is None else plain.value + cost,
            method=f"{plain.method}+book_walk_and_square_root",
            n_obs=plain.n_obs,
            unknown="volatility and volume beyond the book",
        )
        volume = inputs.daily_volume
        sheet.put(
            "days_to_exit",
            ("marks", "volume"),
            lambda: (
                _longest(days_to_exit(values.notional, volume, inputs.participation))
                if volume is not None
                else None
            ),
            method="participation",
            unknown="daily_volume above 0",
        )

    def _put_stress(self, sheet: Sheet, equity: float | None) -> None:
        inputs, values = self._inputs, self._values
        losses = self._stress_losses(sheet) if "marks" not in sheet.gaps else None
        needs = ("marks", "stress")
        sheet.put_series("stress_loss", "scenario", needs, losses)
        unknown = [
            f"inputs of {scenario.name}"
            for scenario, loss in zip(inputs.stress, _or_empty(losses), strict=False)
            if math.isnan(loss)
        ]
        known = losses is not None and not unknown
        worst = int(np.argmax(losses)) if known and losses is not None and len(losses) else None
        sheet.put(
            "worst_stress_loss",
            needs,
            lambda: None if worst is None or losses is None else float(losses[worst]),
            unknown=", ".join(unknown) or "stress scenarios",
            flags=() if worst is None else (inputs.stress[worst].name,),
        )
        margin, left = math.nan, None
        if worst is not None and losses is not None:
            ratio = 1.0 + inputs.stress[worst].returns
            scaled = np.where(
                inputs.inverse, values.maintenance / ratio, values.maintenance * ratio
            )
            margin = float(scaled[self._models.held].sum() - values.amount.sum())
            left = None if equity is None else equity - float(losses[worst])
        account = ("wallet_balance", *needs)
        self._put_ratio(sheet, "margin_ratio_stressed", account, margin, left)

    def _stress_losses(self, sheet: Sheet) -> Floats | None:
        """Return the loss of each scenario; nan where it takes an input that is missing."""
        inputs, values, gains = self._inputs, self._values, self._models.stress
        if gains is None:
            return None
        losses = -gains.total(values.notional, values.coins)
        funding = sheet.figures["funding_8h_cost"].value
        for number, scenario in enumerate(inputs.stress):
            if scenario.outage is not None:
                net = self._models.net_by_venue[scenario.outage]
                lost = signed_notional(net, values.marks, inputs.inverse)
                losses[number] += float(lost @ gains.positions[:, number])
            if scenario.depth is not None:
                gap = "depth" in sheet.gaps
                losses[number] += math.nan if gap else values.exit_costs[scenario.depth].sum()
            if scenario.funding:
                losses[number] += math.nan if funding is None else scenario.funding * funding
            if scenario.collateral:
                gap = "wallet_balance" in sheet.gaps
                wallet = math.nan if gap else inputs.wallet_balance or 0.0
                losses[number] -= scenario.collateral * wallet
        return losses

    def _put_distances(self, sheet: Sheet, equity: float | None) -> None:
        inputs, values = self._inputs, self._values
        places, model = inputs.positions.symbol, self._models.comovement
        prices = inputs.liquidation_prices
        distance = np.zeros(0)
        if prices is not None:
            distance = distance_to_liquidation(values.marks[places], prices)
        needs = ("marks", "liquidation_prices")
        sheet.put_series("distance_to_liq", "position", needs, distance)

        def in_sigmas() -> Floats | None:
            if model is None:
                return None
            sigma = np.full(len(values.marks), np.nan)
            sigma[model.held] = np.where(model.sigma > 0, model.sigma, np.nan)
            return np.asarray(distance / sigma[places])

        sheet.put_series("distance_to_liq_sigma_1d", "position", (*needs, "covariance"), in_sigmas)
        account = ("wallet_balance", "marks", "maintenance")
        down = up = nearest = None
        if equity is not None and not sheet.missing(account):
            common = np.ones(len(values.marks))
            found = joint_distance(
                Account(
                    equity=equity,
                    notional=values.notional,
                    coins=values.coins,
                    maintenance=values.maintenance,
                    amount=float(values.amount.sum()),
                    betas=common,
                    inverse=inputs.inverse,
                )
            )
            down, up, nearest = found.down, found.up, found.nearest
        for name, shock in (
            ("joint_distance_down", None if down is None else abs(down)),
            ("joint_distance_up", up),
            ("reverse_stress", nearest),
        ):
            sheet.put(
                name,
                account,
                shock,
                method="frozen_tiers",
                unknown=_NO_SHOCK,
                flags=_shock_flags(shock),
            )

    def _put_curve(self, sheet: Sheet, equity: float | None) -> None:
        curve, year = self._models.curve, self._inputs.days_per_year
        account = ("wallet_balance", "marks", "equity_curve")
        falls = None if curve is None or equity is None else curve.with_now(equity)
        days = 0 if curve is None else curve.days
        for name, value in (
            ("drawdown", None if falls is None else float(falls[-1])),
            ("max_drawdown", None if falls is None else float(falls.max())),
            ("cdar_95", None if falls is None else tail_risk(falls, 0.95).expected_shortfall),
        ):
            sheet.put(
                name,
                account,
                value,
                method="equity_curve",
                n_obs=days + 1,
                unknown="equity_curve",
            )
        deviation = None if curve is None else curve.deviation
        returns = 0 if curve is None else curve.n_returns
        for name, value, scaling in (
            ("evar_95", None if curve is None else curve.entropic, "none"),
            ("realised_vol_1d", deviation and deviation * math.sqrt(year), "sqrt_time"),
        ):
            sheet.put(
                name,
                ("equity_curve",),
                value,
                method="equity_curve" if scaling == "none" else f"annualised_{year:g}_days",
                n_obs=returns,
                unknown="3 days of equity_curve",
                scaling="none" if scaling == "none" else "sqrt_time",
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


def _longest(days: Floats) -> float:
    return float(days.max()) if len(days) else 0.0


def _or_empty(values: Floats | None) -> Floats:
    return np.zeros(0) if values is None else values


def _shock_flags(shock: float | None) -> tuple[str, ...]:
    if shock is None:
        return ("no_liquidation_shock",)
    return ("liquidatable_now",) if shock == 0 else ()
