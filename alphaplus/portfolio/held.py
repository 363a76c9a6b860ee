"""One portfolio's accounts in the engine and in the risk models, kept between two questions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.accounts import Account
from alphaplus.portfolio.board import MarketBoard
from alphaplus.portfolio.currencies import Common
from alphaplus.portfolio.desk_settings import DeskSettings
from alphaplus.portfolio.margins import AccountMargins, AccountState, collateral_market
from alphaplus.portfolio.models import MarketModels
from alphaplus.portfolio.risk_inputs import Moment, currency_of, risk_inputs
from alphaplus.portfolio.scores import AccountScore, MarketLiquidity, PositionScore, Scorer
from alphaplus.portfolio.slow_inputs import SlowInputs, slow_inputs
from alphaplus.risk.portfolio_report import RiskReport
from alphaplus.risk.portfolio_risk import PortfolioRisk
from alphaplus.risk.scenarios import Scenario

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A portfolio at one moment; scores are by account and position."""

    moment: Moment
    common: Common
    states: tuple[AccountState, ...]
    scores: tuple[tuple[PositionScore, ...], ...]
    account_scores: tuple[AccountScore, ...]
    report: RiskReport
    left_out: tuple[str, ...]
    """Stress scenarios that lack inputs."""

    def net_notionals(self) -> dict[str, float]:
        """Return signed notional by market where it is known and not flat, quote currency."""
        found: dict[str, float] = {}
        for state in self.states:
            for item, mark in zip(state.account.positions, state.marks, strict=True):
                if mark is not None:
                    value = item.size if item.instrument.inverse else item.size * mark
                    found[item.key] = found.get(item.key, 0.0) + item.side * value
        return {key: value for key, value in found.items() if value != 0}


class HeldPortfolio:
    """Accounts as they were set; `snapshot` values them. Make a new one for new tiers."""

    def __init__(
        self,
        accounts: tuple[Account, ...],
        board: MarketBoard,
        tiers: Mapping[str, TierBook],
        settings: DeskSettings,
    ) -> None:
        self.accounts = accounts
        self._board = board
        self._tiers = tiers
        self._settings = settings
        self._coins = {
            (account.id, item.asset): self._coin_market(account, item.asset)
            for account in accounts
            for item in account.collateral
        }
        held = [item.key for account in accounts for item in account.positions]
        coins = [key for key in self._coins.values() if key is not None]
        self.markets = tuple(dict.fromkeys((*held, *coins)))
        """Whose marks value the positions and the collateral."""
        self._ladders: dict[str, tuple[np.void, MarketLiquidity]] = {}
        self._engines: tuple[AccountMargins, ...] = ()
        self._slow: SlowInputs | None = None
        self._models: MarketModels | None = None
        self._risk: PortfolioRisk | None = None

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The stress scenarios of the last snapshot."""
        return () if self._slow is None else self._slow.inputs.stress

    def snapshot(self, now_ns: int, models: MarketModels, curve: Floats | None) -> Snapshot:
        """Return the portfolio at the marks of `now_ns`; `curve` is its past daily equity."""
        board, marks = self._board, {k: self._board.mark(k, now_ns) for k in self.markets}
        moment = Moment(
            board=board, markets=self.markets, marks=marks, coins=self._coins, now_ns=now_ns
        )
        if not self._engines:
            self._engines = tuple(
                AccountMargins(account, self._tiers.get(account.exchange), now_ns)
                for account in self.accounts
            )
        states = tuple(
            engine.evaluate(marks, self._prices(engine.account, moment)) for engine in self._engines
        )
        common = currency_of(states, self._settings.at_par)
        report = self._report(moment, states, models, common, curve)
        markets = {key: self._liquidity_of(key, now_ns) for key in self.markets}
        scorer = Scorer(markets, models, self._settings.score, band=self._settings.level_band)
        assert self._slow is not None  # made by the report
        return Snapshot(
            moment=moment,
            common=common,
            states=states,
            scores=tuple(scorer.positions(state) for state in states),
            account_scores=tuple(scorer.account(state) for state in states),
            report=report,
            left_out=self._slow.left_out,
        )

    def _report(
        self,
        moment: Moment,
        states: tuple[AccountState, ...],
        models: MarketModels,
        common: Common,
        curve: Floats | None,
    ) -> RiskReport:
        if self._slow is None or self._models is not models:
            instruments = [self._board.instruments[key] for key in self.markets]
            self._slow, self._models = slow_inputs(self.accounts, instruments, models), models
        inputs = risk_inputs(
            moment, states, models, self._slow.inputs, common=common, equity_curve=curve
        )
        marks, times = moment.mark_array(), moment.mark_times()
        if self._risk is None:
            self._risk = PortfolioRisk(inputs, marks, times)
        else:
            before = self._risk.marks
            same = (before == marks) | (np.isnan(before) & np.isnan(marks))
            for moved in np.flatnonzero(~same).tolist():
                self._risk.move(moved, float(marks[moved]))
            for at, when in enumerate(times.tolist()):
                self._risk.seen(at, when)
            self._risk.refresh(inputs)
        return self._risk.report(moment.now_ns)

    def _liquidity_of(self, key: str, now_ns: int) -> MarketLiquidity:
        """Return a market's ladders, made once for each row that is told."""
        row = self._board.risk(key, now_ns)
        known = self._ladders.get(key)
        if known is None or known[0] is not row:
            known = self._ladders[key] = row, MarketLiquidity.of(row)
        return known[1]

    def _coin_market(self, account: Account, asset: str) -> str | None:
        if self._is_cash(account, asset):
            return None
        return collateral_market(asset, account, self._board.instruments, self._settings.at_par)

    def _is_cash(self, account: Account, asset: str) -> bool:
        at_par = self._settings.at_par
        return asset == account.settlement or (asset in at_par and account.settlement in at_par)

    def _prices(self, account: Account, moment: Moment) -> dict[str, float | None]:
        """Return the price of each collateral asset in the account's settlement currency."""
        found: dict[str, float | None] = {}
        for item in account.collateral:
            key = self._coins[account.id, item.asset]
            if key is not None:
                found[item.asset] = moment.marks[key].price
            else:
                found[item.asset] = 1.0 if self._is_cash(account, item.asset) else None
        return found


def known(value: float | None) -> float | None:
    """Return a number, None for one that is not finite."""
    return value if value is not None and math.isfinite(value) else None
