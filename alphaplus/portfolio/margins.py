"""The margins of one account, as marks move: the engine's arrays are made once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alphaplus.instruments import Instrument
from alphaplus.leverage.account import MarginAccount, pair_of
from alphaplus.leverage.account_arrays import Records, arrays_of
from alphaplus.leverage.account_margin import AccountMargin, margins_of
from alphaplus.leverage.collateral import Collateral, collateral_value
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.accounts import Account
from alphaplus.portfolio.board import Mark

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account at marks, with what the risk of a portfolio takes of the engine."""

    account: Account
    margin: AccountMargin
    marks: tuple[float | None, ...]
    """By position, quote currency."""
    wallet: Collateral
    """Wallet and collateral in the settlement asset."""
    down: float | None
    """Common shock, -1 to 0, that brings the account or its nearest position to its margin."""
    up: float | None
    """The same upward; both are None where unknown, infinite where no shock does it."""
    rates: Floats
    """Maintenance rate of each position at its mark, fees included; nan where unknown."""
    amounts: Floats
    """What the tier deducts from it, settlement asset."""


class AccountMargins:
    """One account in the margin engine; `evaluate` takes the marks of this moment."""

    def __init__(self, account: Account, book: TierBook | None, now_ns: int) -> None:
        self.account = account
        self._plain = account.margin_account(account.wallet_balance or 0.0, {})
        self._arrays = arrays_of([self._plain], book, now_ns=now_ns)

    def evaluate(
        self, marks: Mapping[str, Mark], prices: Mapping[str, float | None]
    ) -> AccountState:
        """Return the account at `marks` by market; `prices` are those of collateral assets."""
        wallet = self._wallet(prices)
        known = self._plain
        if wallet.value is not None and wallet.value != known.wallet_balance:
            known = replace(known, wallet_balance=wallet.value)
        arrays = self._arrays
        prices_at = tuple(marks[item.key].price for item in self.account.positions)
        arrays.positions["mark"] = [np.nan if price is None else price for price in prices_at]
        if self.account.margin_mode == "cross" or not self.account.positions:
            arrays.wallets[0] = np.nan if wallet.value is None else wallet.value
        margin = margins_of([known], arrays)[0]
        if wallet.value is None:
            margin = _without_wallet(margin, known, wallet.missing)
        down, up = (None, None) if margin.missing else self._joint_distance()
        rates, amounts = _rates(arrays.positions, arrays.tiers, margin)
        return AccountState(
            account=self.account,
            margin=margin,
            marks=prices_at,
            wallet=wallet,
            down=down,
            up=up,
            rates=rates,
            amounts=amounts,
        )

    def _wallet(self, prices: Mapping[str, float | None]) -> Collateral:
        account = self.account
        if account.wallet_balance is None:
            return Collateral(value=None, missing=(f"wallet_balance of account {account.id}",))
        if not account.collateral:
            return Collateral(value=account.wallet_balance, missing=())
        found = collateral_value(
            {item.asset: item.balance for item in account.collateral},
            prices,
            {i.asset: i.haircut for i in account.collateral if i.haircut is not None},
        )
        total = None if found.value is None else account.wallet_balance + found.value
        return Collateral(value=total, missing=found.missing)

    def _joint_distance(self) -> tuple[float, float]:
        """Return the nearest shocks over all buckets that hold anything."""
        used = np.unique(self._arrays.positions["bucket"])
        if not len(used):
            return -np.inf, np.inf
        ways = self._arrays.joint_distance()[used]
        down = float(np.max(np.where(np.isnan(ways[:, 0]), -np.inf, ways[:, 0])))
        up = float(np.min(np.where(np.isnan(ways[:, 1]), np.inf, ways[:, 1])))
        return down, up


def collateral_market(
    asset: str, account: Account, instruments: Mapping[str, Instrument], at_par: tuple[str, ...]
) -> str | None:
    """Return the market whose mark values a collateral asset; None if none does.

    It is one on the account's exchange between the asset and its settlement currency, or one
    that counts as that.
    """
    wanted = account.settlement
    same = set(at_par) if wanted in at_par else {wanted}
    for key, item in instruments.items():
        pair = pair_of(item.symbol)
        if pair is None or item.exchange != account.exchange or item.inverse:
            continue
        if pair[0] == asset and pair[1] in same:
            return key
    return None


def _rates(positions: Records, tiers: Records, margin: AccountMargin) -> tuple[Floats, Floats]:
    """Return rate and amount of each position's tier; a margin fixed at entry is all amount."""
    count = len(positions)
    rates, amounts = np.full(count, np.nan), np.full(count, np.nan)
    for at, found in enumerate(margin.positions):
        if found.tier is None or found.maintenance_margin is None:
            continue
        if positions["entry_valued"][at]:
            rates[at], amounts[at] = 0.0, -found.maintenance_margin
            continue
        row = tiers[positions["tier_begin"][at] + found.tier - 1]
        rates[at] = row["rate"] + positions["close_fee"][at]
        amounts[at] = row["amount"]
    return rates, amounts


def _without_wallet(
    margin: AccountMargin, account: MarginAccount, reasons: tuple[str, ...]
) -> AccountMargin:
    """Take back what was computed from a wallet that is not known."""
    positions = margin.positions
    if account.margin_mode == "cross":
        positions = tuple(
            replace(item, missing=tuple(dict.fromkeys((*item.missing, *reasons))))
            for item in positions
        )
    return replace(
        margin,
        equity=None,
        margin_utilisation=None,
        available_margin=None,
        positions=positions,
        missing=tuple(dict.fromkeys((*margin.missing, *reasons))),
    )
