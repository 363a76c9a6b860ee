"""The risk of one portfolio: every metric at the marks of this moment.

`PortfolioRisk` holds a portfolio at marks: `move` takes the mark of one symbol, `report` writes
the sheet. Only what a mark changes is computed again: its positions and its row of gains, sums
over symbols, and quantiles. Covariances, torsions and revalued scenarios are kept.

A metric is None where an input that it needs is missing, and says what; the others stay.
"""

import math
from typing import Final

import numpy as np

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.exposure import (
    beta_exposure,
    concentration_hhi,
    days_to_exit,
    effective_leverage,
    exposure_of,
    funding_cost,
)
from alphaplus.risk.portfolio_comovement import put_comovement
from alphaplus.risk.portfolio_holdings import Holdings
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.portfolio_models import Models
from alphaplus.risk.portfolio_report import RiskReport, Sheet
from alphaplus.risk.portfolio_stress import put_distances, put_ratio, put_stress
from alphaplus.risk.portfolio_tail import put_tail
from alphaplus.risk.portfolio_values import PortfolioValues
from alphaplus.risk.revaluation import Floats, Ints

HORIZONS: Final = ("1d", "1h")
SECOND_NS: Final = 1_000_000_000


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

    def seen(self, symbol: int, mark_time: int) -> None:
        """Take that a mark still held at `mark_time`, ns."""
        if self._times is not None:
            self._times[symbol] = mark_time

    def refresh(self, inputs: PortfolioInputs) -> None:
        """Take new inputs of the same symbols at the marks that are held.

        What is the same object as before is not taken apart again: scenarios, covariance, stress.
        Raises RiskError for other symbols.
        """
        if inputs.symbols != self._inputs.symbols:
            raise RiskError("Expected inputs of the same symbols, were others.")
        self._models = Models(inputs, self._models)
        self._values = PortfolioValues(inputs, self._values.marks)
        self._inputs = inputs

    def report(self, as_of: int, max_mark_age_ns: int | None = None) -> RiskReport:
        """Return every metric at `as_of`, ns; marks older than `max_mark_age_ns` are missing."""
        gaps = dict(self._models.gaps)
        age, marks = self._mark_gaps(as_of, max_mark_age_ns)
        if marks and "marks" not in gaps:
            gaps["marks"] = marks
        sheet = Sheet(as_of, gaps)
        holdings = Holdings(inputs=self._inputs, models=self._models, values=self._values)
        equity = self._put_equity(sheet)
        self._put_exposures(sheet, equity)
        self._put_margins(sheet, equity)
        for horizon in HORIZONS:
            put_tail(sheet, holdings, horizon, equity)
        put_comovement(sheet, holdings)
        self._put_exit(sheet)
        put_stress(sheet, holdings, equity)
        put_distances(sheet, holdings, equity)
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
        put_ratio(sheet, "margin_ratio", account, maintenance, equity)

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


def _longest(days: Floats) -> float:
    return float(days.max()) if len(days) else 0.0
