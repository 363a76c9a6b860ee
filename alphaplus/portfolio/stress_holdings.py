"""The portfolio's own accounts in a stress run: what is theirs, and when a venue takes it.

One bucket shares collateral: a cross account, or one isolated position. All are valued by the
margin engine at whatever marks a cascade ends at, tiers included; nothing is linearised.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.leverage.account import MarginAccount, is_inverse, isolated_margin
from alphaplus.leverage.account_arrays import Records, arrays_of
from alphaplus.leverage.account_margin import evaluate_accounts
from alphaplus.leverage.engine import MarginState, evaluate, joint_distance
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.stress_inputs import StressAccount
from alphaplus.portfolio.stress_markets import StressMarkets
from alphaplus.portfolio.stress_shocks import StressShock

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_NEVER: Final = 1e9
"""Factor between a price and a trigger that no cascade reaches."""
_TAKEN: Final = (MarginState.LIQUIDATABLE_NOW, MarginState.BANKRUPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Own positions as a cascade takes them; columns of one length."""

    position: Ints
    """Row of the position among the holdings'."""
    market: Ints
    side: Floats
    quantity: Floats
    trigger_price: Floats
    bankruptcy_price: Floats
    adl_rank: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """Holdings at some marks."""

    equity: Floats
    """By bucket, settlement asset; nan where a mark or a tier is unknown."""
    maintenance_margin: Floats
    taken: Flags
    """By bucket: at or below its margin."""


class Holdings:
    """All accounts on one exchange, after what a shock does to their wallets at once.

    `rows` are the places in `markets` that a cascade may move; positions elsewhere are unknown.
    """

    def __init__(
        self,
        accounts: Sequence[StressAccount],
        markets: StressMarkets,
        rows: Ints,
        *,
        shock: StressShock,
        book: TierBook | None,
        now_ns: int | None = None,
    ) -> None:
        self.marks = markets.mark_price[rows]
        self.returns = shock.returns[rows]
        self._symbols = [markets.symbol[row] for row in rows.tolist()]
        self._book, self._now_ns = book, now_ns
        self.accounts = tuple(accounts)
        arrays = arrays_of(self._marked(self.marks), book, now_ns=now_ns)
        self._positions, self._tiers, self._strict = arrays.positions, arrays.tiers, arrays.strict
        self._wallets_before = arrays.wallets
        self.reasons = arrays.missing
        place = {symbol: at for at, symbol in enumerate(self._symbols)}
        held = [position for item in accounts for position in item.account.positions]
        self.symbols = tuple(item.symbol for item in held)
        self.market: Ints = np.array([place.get(item.symbol, -1) for item in held], np.int64)
        """By position: its place in `rows`, -1 for none."""
        self._account: Ints = np.repeat(
            np.arange(len(accounts)), [_buckets(item.account) for item in accounts]
        )
        self._ranks = np.zeros(len(held))
        self._spare = np.array([_spare(item.account) for item in accounts])
        self._inverse = np.array([_is_inverse(item.account) for item in accounts], np.bool_)
        self.position_account: Ints = self._account[self._positions["bucket"]]
        self._wallets = arrays.wallets * (1.0 + shock.collateral)
        self._spare_after = self._spare * (1.0 + shock.collateral)
        if shock.funding and held:
            rates = np.append(markets.funding_rate[rows], math.nan)
            notional = self._positions["quantity"] * self._marks_of(self.marks)
            paid = shock.funding * self._positions["side"] * notional * rates[self.market]
            self._wallets = self._wallets - np.bincount(
                self._positions["bucket"], paid, len(self._wallets)
            )

    def at(self, marks: Floats, closed: "Closed | None" = None) -> Valued:
        """Value every bucket at marks (rows,), less what was `closed` of it before."""
        positions, wallets = self._at(marks), self._wallets
        if closed is not None:
            positions["quantity"] -= closed.quantity
            gained = positions["side"] * (closed.value - closed.quantity * positions["entry"])
            wallets = wallets + np.bincount(positions["bucket"], gained, len(wallets))
        _, buckets = evaluate(positions, self._tiers, wallets, strict=self._strict)
        return _valued(buckets)

    def before(self) -> Valued:
        """Value every bucket before the shock."""
        positions = self._at(self.marks)
        _, buckets = evaluate(positions, self._tiers, self._wallets_before, strict=self._strict)
        return _valued(buckets)

    def rank(self, marks: Floats) -> None:
        """Rank positions for deleveraging by their venue's rule, as they stand at `marks`."""
        found = evaluate_accounts(self._marked(marks), self._book, now_ns=self._now_ns)
        ranks = [item.adl_rank or 0.0 for account in found for item in account.positions]
        self._ranks = np.array(ranks, np.float64)

    def forced(self, taken: Flags, reached: Floats) -> Rows:
        """Return the positions of `taken` buckets that a cascade closes.

        Each triggers where its account runs out on the way of all marks together; one that only
        ran out at the `reached` marks triggers there. Positions that gain from the shock, and
        inverse ones, are closed at the last mark and do not press on the book.
        """
        positions, bucket = self._at(self.marks), self._positions["bucket"]
        start, returns = positions["mark"], np.append(self.returns, 0.0)[self.market]
        ways = joint_distance(positions, self._tiers, self._wallets, returns)
        share = np.where(self.at(self.marks).taken, 0.0, ways[:, 1])[bucket]
        trigger = np.where(share <= 1.0, start * (1.0 + returns * share), self._marks_of(reached))
        positions["mark"] = trigger
        _, buckets = evaluate(positions, self._tiers, self._wallets, strict=self._strict)
        side, quantity = positions["side"], positions["quantity"]
        presses = taken[bucket] & (side * returns <= 0) & self._tradable
        notional = quantity * trigger * presses
        total = np.bincount(bucket, notional, len(buckets))[bucket]
        left = np.maximum(np.nan_to_num(buckets["equity"]), 0.0)[bucket]
        each = np.divide(left * notional, total, out=np.zeros(len(start)), where=total > 0)
        which = np.flatnonzero(presses)
        per_unit = each[which] / quantity[which]
        bankruptcy = np.maximum(trigger[which] - side[which] * per_unit, start[which] / _NEVER)
        return self._rows(which, trigger[which], bankruptcy)

    def standing(self, taken: Flags) -> Rows:
        """Return the positions of the others, which may only be deleveraged."""
        which = np.flatnonzero(~taken[self._positions["bucket"]] & self._tradable)
        mark = self._marks_of(self.marks)[which]
        never = mark * _NEVER ** -self._positions["side"][which]
        return self._rows(which, never, never)

    def equity_before(self, before: Valued) -> Floats:
        """Return equity by account in quote currency."""
        total = np.bincount(self._account, before.equity, len(self.accounts)) + self._spare
        return np.asarray(total * self._unit(self.marks))

    def equity_after(self, before: Valued, after: Valued, taken: Flags, marks: Floats) -> Floats:
        """Return it at `marks`; a bucket that was `taken` is lost, and no more than it had."""
        worth = np.where(taken, np.minimum(before.equity, 0.0), after.equity)
        total = np.bincount(self._account, worth, len(self.accounts)) + self._spare_after
        return np.asarray(total * self._unit(marks))

    def by_account(self, values: Floats) -> Floats:
        """Return sums by account of values by position."""
        return np.bincount(self.position_account, values, len(self.accounts)).astype(np.float64)

    def margin_ratio(
        self, valued: Valued, account: int, taken: Flags | None = None
    ) -> float | None:
        """Return the largest ratio of an account's buckets but for the `taken`; None without."""
        own = (self._account == account) & (valued.maintenance_margin > 0)
        if taken is not None:
            own &= ~taken
        if not own.any() or not (valued.equity[own] > 0).all():
            return None
        return float((valued.maintenance_margin[own] / valued.equity[own]).max())

    def buckets_of(self, account: int) -> Flags:
        """Return which buckets are an account's."""
        return np.asarray(self._account == account)

    def notional(self, marks: Floats) -> Floats:
        """Return |notional| by position at marks, quote currency."""
        quantity = self._positions["quantity"]
        value = np.where(self._positions["inverse"], quantity, quantity * self._marks_of(marks))
        return np.asarray(value)

    def bucket_of_positions(self) -> Ints:
        """Return the bucket of each position."""
        return np.asarray(self._positions["bucket"])

    @property
    def side(self) -> Floats:
        """Return +1 or -1 by position."""
        return np.asarray(self._positions["side"])

    @property
    def _tradable(self) -> Flags:
        known = (self.market >= 0) & ~self._positions["inverse"]
        return np.asarray(known & (self._positions["quantity"] > 0))

    def _marked(self, marks: Floats) -> list[MarginAccount]:
        """Return the accounts with these marks (rows,); None where they are unknown."""
        known = {
            symbol: float(mark)
            for symbol, mark in zip(self._symbols, marks, strict=True)
            if mark > 0
        }
        return [
            replace(
                item.account,
                positions=tuple(
                    replace(position, mark_price=known.get(position.symbol))
                    for position in item.account.positions
                ),
            )
            for item in self.accounts
        ]

    def _rows(self, which: Ints, trigger: Floats, bankruptcy: Floats) -> Rows:
        return Rows(
            position=which,
            market=self.market[which],
            side=self._positions["side"][which],
            quantity=self._positions["quantity"][which],
            trigger_price=trigger,
            bankruptcy_price=bankruptcy,
            adl_rank=self._ranks[which],
        )

    def _at(self, marks: Floats) -> Records:
        positions = self._positions.copy()
        positions["mark"] = self._marks_of(marks)
        return positions

    def _marks_of(self, marks: Floats) -> Floats:
        return np.append(marks, math.nan)[self.market]

    def _unit(self, marks: Floats) -> Floats:
        """Return quote currency per unit of each account's settlement asset."""
        unit = np.ones(len(self.accounts))
        of_position = self._marks_of(marks)
        for at in np.flatnonzero(self._inverse):
            own = of_position[self.position_account == at]
            unit[at] = own[0] if len(own) else math.nan
        return unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What deleveraging closed, by position."""

    quantity: Floats
    value: Floats
    """Quantity times its price."""


def _valued(buckets: Records) -> Valued:
    return Valued(
        equity=buckets["equity"].copy(),
        maintenance_margin=buckets["maintenance_margin"].copy(),
        taken=np.isin(buckets["state"], _TAKEN),
    )


def _buckets(account: MarginAccount) -> int:
    """Return how many buckets an account is."""
    return 1 if account.margin_mode == "cross" else max(1, len(account.positions))


def _spare(account: MarginAccount) -> float:
    """Return what of a wallet backs no position."""
    if account.margin_mode == "cross" or not account.positions:
        return 0.0
    assigned = sum(isolated_margin(item, account.profile) for item in account.positions)
    return account.wallet_balance - account.accrued - assigned


def _is_inverse(account: MarginAccount) -> bool:
    return any(is_inverse(position, account.profile) for position in account.positions)
