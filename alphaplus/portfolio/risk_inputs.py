"""A portfolio as the risk models take it: arrays by market and by position, and what is missing.

Values are in one currency, the quote of the contracts; a coin that an account is settled in, or
holds as collateral, enters with its market, so that its own price risk counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.market_risk import BINS, DISTANCES, ladder
from alphaplus.portfolio.board import Mark, MarketBoard
from alphaplus.portfolio.currencies import Common, common_currency
from alphaplus.portfolio.margins import AccountState
from alphaplus.portfolio.models import MarketModels
from alphaplus.risk.impact import Depth
from alphaplus.risk.portfolio_inputs import PortfolioInputs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Reasons = tuple[str, ...]

_DAY_HOURS: Final = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """All that is known of a portfolio's markets at one time."""

    board: MarketBoard
    markets: tuple[str, ...]
    """Markets that are held or that value a collateral, by key."""
    marks: Mapping[str, Mark]
    coins: Mapping[tuple[str, str], str | None]
    """The market that values an account's collateral asset, by account id and asset."""
    now_ns: int

    def mark_array(self) -> Floats:
        """Return the marks in order of `markets`, nan where unknown."""
        return _array([self.marks[key].price for key in self.markets])

    def mark_times(self) -> Ints:
        """Return when each mark was received, ns."""
        return np.array([self.marks[key].ts_recv for key in self.markets], np.int64)


def market_depth(moment: Moment, models: MarketModels) -> tuple[Depth, Reasons]:
    """Return the ladders of the markets, and those whose book is not known."""
    count = len(moment.markets)
    distance = np.broadcast_to(DISTANCES, (count, 2, BINS)).copy()
    quantity = np.zeros((count, 2, BINS))
    sigma, volume = np.full((2, count), math.nan)
    missing = []
    for at, key in enumerate(moment.markets):
        row = moment.board.risk(key, moment.now_ns)
        book = ladder(row)
        if book is None:
            missing.append(f"book of {key}")
            continue
        quantity[at] = book[1]
        live, past = float(row["sigma_per_sqrt_hour"]), models.sigmas.get(key, math.nan)
        sigma[at] = np.fmax(live, past) * math.sqrt(_DAY_HOURS)
        volume[at] = row["volume_24h"]
    depth = Depth(distance=distance, quantity=quantity, sigma=sigma, volume=volume)
    return depth, tuple(missing)


def currency_of(states: Sequence[AccountState], at_par: tuple[str, ...]) -> Common:
    """Return the currency that a portfolio's values are in; accounts that are empty say nothing."""
    used = [s.account for s in states if s.account.positions or s.account.wallet_balance]
    return common_currency((account.quote for account in used), at_par)


def wallets(moment: Moment, states: Sequence[AccountState]) -> tuple[float | None, Floats, Reasons]:
    """Return cash in quote currency, coins by market (base units), and wallets not known."""
    cash = 0.0
    missing: list[str] = []
    coins = np.zeros(len(moment.markets))
    place = {key: at for at, key in enumerate(moment.markets)}
    for state in states:
        account = state.account
        if state.wallet.value is None:
            if account.positions or account.collateral:
                missing += state.wallet.missing
            continue
        wallet = account.wallet_balance or 0.0
        if account.inverse:
            coins[place[account.positions[0].key]] += wallet
        else:
            cash += wallet
        for item in account.collateral:
            key = moment.coins[account.id, item.asset]
            counted = item.balance * (1.0 - (item.haircut or 0.0) * (item.balance > 0))
            if key is None:
                cash += counted
            else:
                coins[place[key]] += counted
    return None if missing else cash, coins, tuple(dict.fromkeys(missing))


def risk_inputs(
    moment: Moment,
    states: Sequence[AccountState],
    models: MarketModels,
    slow: PortfolioInputs,
    *,
    common: Common,
    equity_curve: Floats | None,
) -> PortfolioInputs:
    """Return the inputs of this moment; `slow` brings what changes with history and accounts."""
    cash, coins, no_wallet = wallets(moment, states)
    depth, no_book = market_depth(moment, models)
    prices = [item.liquidation_price for s in states for item in s.margin.positions]
    unknown: dict[str, Reasons] = dict(slow.unknown)
    stale = tuple(reason for key in moment.markets for reason in moment.marks[key].missing)
    untiered = tuple(
        dict.fromkeys(r for s in states for r in s.margin.missing if not r.startswith("mark price"))
    )
    for kind, reasons in (
        ("marks", (*common.missing, *stale)),
        ("wallet_balance", no_wallet),
        ("depth", no_book),
        ("maintenance", () if _finite(states) else untiered),
        ("liquidation_prices", _without_price(states)),
    ):
        unknown[kind] = (*unknown.get(kind, ()), *reasons)
    return PortfolioInputs(
        symbols=slow.symbols,
        inverse=slow.inverse,
        positions=slow.positions,
        scenarios=slow.scenarios,
        scenario_method=slow.scenario_method,
        covariance=slow.covariance,
        betas=slow.betas,
        stress=slow.stress,
        observations=slow.observations,
        leverage=slow.leverage,
        wallet_balance=cash,
        coins=coins,
        daily_volume=_figures(moment, "turnover_24h"),
        depth=depth,
        funding_rates=_figures(moment, "funding_rate"),
        liquidation_prices=_array(prices),
        maintenance_rate=_joined([s.rates for s in states]),
        maintenance_amount=_joined([s.amounts for s in states]),
        equity_curve=equity_curve,
        unknown=unknown,
    )


def _figures(moment: Moment, name: str) -> Floats:
    return _array([moment.board.figure(key, name) for key in moment.markets])


def _array(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *parts])


def _finite(states: Sequence[AccountState]) -> bool:
    return all(np.isfinite(s.rates).all() and np.isfinite(s.amounts).all() for s in states)


def _without_price(states: Sequence[AccountState]) -> Reasons:
    """Return why positions have no liquidation price though there may be one."""
    return tuple(
        dict.fromkeys(
            reason
            for s in states
            for item in s.margin.positions
            if item.state == "unknown"
            for reason in item.missing
        )
    )
