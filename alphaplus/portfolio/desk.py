"""The desk: all portfolios, and everything that is computed of them. A plain class, no I/O.

It takes what symbols tell (`STATE` and `MARKET_RISK` rows), tiers, histories and accounts, and
answers questions at a time that the caller gives. Not safe for threads: its owner locks it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alphaplus.errors import RiskError
from alphaplus.instruments import Instrument
from alphaplus.leverage.account import MarginAccount
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.accounts import MAIN, Account, check_portfolio_id
from alphaplus.portfolio.board import MarketBoard
from alphaplus.portfolio.histories import HistorySet
from alphaplus.portfolio.reading import AccountReader


@dataclass(frozen=True, slots=True, kw_only=True)
class StressAccountInput:
    """One account as a stress run takes it."""

    id: str
    exchange: str
    account: MarginAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class StressInputs:
    """Everything that a stress run takes of a portfolio and of all markets."""

    rows: tuple[np.void, ...]
    """`MARKET_RISK` of every market that is watched."""
    tiers: Mapping[str, TierBook]
    """By exchange."""
    betas: Mapping[str, float]
    """To the reference asset, by market; only those that are known."""
    funding_rates: Mapping[str, float]
    """Of the next interval, by market; only those that are known."""
    accounts: tuple[StressAccountInput, ...]
    missing: tuple[str, ...]
    """Accounts that are left out, and why."""


class RiskDesk:
    """Portfolios by id; `main` is always there."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        stale_after_ms: float,
        default_leverage: float = 5.0,
    ) -> None:
        self.board = MarketBoard(instruments, stale_after_ms=stale_after_ms)
        self._reader = AccountReader(instruments, default_leverage=default_leverage)
        self._tiers: dict[str, TierBook] = {}
        self._history = HistorySet(candles={})
        self._portfolios: dict[str, tuple[Account, ...]] = {MAIN: ()}

    @property
    def portfolio_ids(self) -> tuple[str, ...]:
        """All portfolios, `main` first."""
        return tuple(self._portfolios)

    def take_state(self, row: np.void) -> None:
        """Take a `STATE` row of one market."""
        self.board.take_state(row)

    def take_risk(self, row: np.void) -> None:
        """Take a `MARKET_RISK` row of one market."""
        self.board.take_risk(row)

    def set_tiers(self, exchange: str, book: TierBook) -> None:
        """Take the leverage tiers of an exchange, in place of those before."""
        self._tiers[exchange] = book

    def set_history(self, history: HistorySet) -> None:
        """Take price histories, in place of those before."""
        self._history = history

    def set_accounts(self, portfolio_id: str, wanted: Sequence[Mapping[str, Any]]) -> None:
        """Replace a portfolio's accounts, see `AccountReader.accounts`; none of them: it ends.

        Raises RiskError, and changes nothing, if one is wrong.
        """
        accounts = self._reader.accounts(wanted)
        self._set(check_portfolio_id(portfolio_id), accounts)

    def set_positions(
        self, wanted: Sequence[Mapping[str, Any]], wallet_balance: float | None = None
    ) -> None:
        """Replace what the portfolio `main` holds, see `AccountReader.positions`."""
        self._set(MAIN, self._reader.positions(wanted, wallet_balance))

    def accounts(self, portfolio_id: str) -> tuple[Account, ...]:
        """Return a portfolio's accounts; raises RiskError for one that is unknown."""
        try:
            return self._portfolios[portfolio_id]
        except KeyError:
            raise RiskError(
                f"Expected a portfolio of {', '.join(self._portfolios)}, was {portfolio_id!r:.60}."
            ) from None

    def stress_market(self, portfolio_id: str, now_ns: int) -> StressInputs:
        """Return what a stress run takes, at the marks of `now_ns`."""
        found, missing = [], []
        for account in self.accounts(portfolio_id):
            if account.wallet_balance is None:
                missing.append(f"wallet_balance of account {account.id}")
                continue
            marks = {p.symbol: self.board.mark(p.key, now_ns).price for p in account.positions}
            found.append(
                StressAccountInput(
                    id=account.id,
                    exchange=account.exchange,
                    account=account.margin_account(account.wallet_balance, marks),
                )
            )
        keys = self.board.instruments
        rates = {key: self.board.figure(key, "funding_rate") for key in keys}
        return StressInputs(
            rows=tuple(self.board.risk(key, now_ns) for key in keys),
            tiers=dict(self._tiers),
            betas={},
            funding_rates={key: rate for key, rate in rates.items() if rate is not None},
            accounts=tuple(found),
            missing=tuple(missing),
        )

    def _set(self, portfolio_id: str, accounts: tuple[Account, ...]) -> None:
        if accounts or portfolio_id == MAIN:
            self._portfolios[portfolio_id] = accounts
        else:
            self._portfolios.pop(portfolio_id, None)


def markets_of(accounts: Iterable[Account]) -> tuple[str, ...]:
    """Return the markets that positions are in, each once."""
    return tuple(dict.fromkeys(item.key for account in accounts for item in account.positions))
