"""Accounts turned into the engine's arrays: tiers found, fees and rates by the venue's profile."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alphaplus.errors import MissingTier
from alphaplus.leverage.account import MarginAccount, MarginPosition, is_inverse, isolated_margin
from alphaplus.leverage.dydx import PPM, scaled_initial_margin_ppm
from alphaplus.leverage.engine import POSITION, evaluate, joint_distance
from alphaplus.leverage.tiers import TIER, TierBook, TierTable

Records = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginArrays:
    """Many accounts as the engine's arrays: set `positions["mark"]` and evaluate again."""

    positions: Records
    tiers: Records
    wallets: npt.NDArray[np.float64]
    strict: npt.NDArray[np.bool_]
    first_position: tuple[int, ...]
    """Row of each account's first position, and one past the last."""
    above_max: npt.NDArray[np.bool_]
    """Positions above the last tier of a table that counts contracts."""
    missing: tuple[tuple[str, ...], ...]
    """Inputs that each position lacked when the arrays were made."""
    symbols: tuple[str, ...]
    """By position."""

    def reasons(self, row: int) -> tuple[str, ...]:
        """Return what a position lacks at the marks that are in the arrays now."""
        mark = _mark_phrase(self.symbols[row])
        lacking = tuple(phrase for phrase in self.missing[row] if phrase != mark)
        return (mark, *lacking) if math.isnan(self.positions["mark"][row]) else lacking

    def evaluate(self) -> tuple[Records, Records]:
        """Return the engine's MARGIN rows per position and BUCKET rows per bucket."""
        return evaluate(self.positions, self.tiers, self.wallets, strict=self.strict)

    def joint_distance(self, betas: npt.ArrayLike = 1.0) -> npt.NDArray[np.float64]:
        """Return the common shocks, down and up, that bring each bucket to its margin."""
        return joint_distance(self.positions, self.tiers, self.wallets, betas)


def arrays_of(
    accounts: Sequence[MarginAccount], book: TierBook | None, *, now_ns: int | None = None
) -> MarginArrays:
    """Return the arrays of all accounts; tiers are those valid at `now_ns` (None: the latest).

    Where tiers are missing or unusable the row has none, and `missing` of the position says so.
    """
    build = _Builder(book, now_ns)
    for account in accounts:
        build.add(account)
    return build.arrays()


class _Builder:
    def __init__(self, book: TierBook | None, now_ns: int | None) -> None:
        self._book, self._now_ns = book, now_ns
        self._rows: list[tuple[Any, ...]] = []
        self._tiers: list[Records] = []
        self._n_tiers = 0
        self._tables: dict[str, tuple[int, int]] = {}
        self._wallets: list[float] = []
        self._strict: list[bool] = []
        self._first: list[int] = []
        self._missing: list[tuple[str, ...]] = []
        self._symbols: list[str] = []
        self._above: list[bool] = []

    def add(self, account: MarginAccount) -> None:
        self._first.append(len(self._rows))
        symbols: dict[str, int] = {}
        if account.margin_mode == "cross" or not account.positions:
            self._bucket(account.wallet_balance - account.accrued, account)
        for position in account.positions:
            if account.margin_mode == "isolated":
                self._bucket(isolated_margin(position, account.profile), account)
            symbol = symbols.setdefault(position.symbol, len(symbols))
            self._position(account, position, symbol)

    def arrays(self) -> MarginArrays:
        return MarginArrays(
            positions=np.array(self._rows, POSITION),
            tiers=np.concatenate(self._tiers) if self._tiers else np.zeros(0, TIER),
            wallets=np.array(self._wallets, np.float64),
            strict=np.array(self._strict, np.bool_),
            first_position=tuple(self._first),
            above_max=np.array(self._above, np.bool_),
            missing=tuple(self._missing),
            symbols=tuple(self._symbols),
        )

    def _bucket(self, wallet: float, account: MarginAccount) -> None:
        self._wallets.append(wallet)
        self._strict.append(account.profile.strict)

    def _position(self, account: MarginAccount, position: MarginPosition, symbol: int) -> None:
        profile, missing = account.profile, []
        inverse = is_inverse(position, profile)
        side = 1.0 if position.side == "long" else -1.0
        direction = -side if inverse else side
        fee = profile.fee_rate if position.taker_fee is None else position.taker_fee
        if position.mark_price is None:
            missing.append(_mark_phrase(position.symbol))
        table = None
        try:
            table = self._table(position.symbol)
        except MissingTier as error:
            if position.maintenance_margin_rate is None:
                missing.append(str(error))
        begin, end, above = self._tier_rows(position, table, inverse)
        initial = profile.initial_rate(direction, position.leverage, fee)
        if table is not None and table.tiers[0].initial_margin_rate is not None:
            initial = _open_interest_rate(table, account.open_interest.get(position.symbol))
            if math.isnan(initial):
                missing.append(f"open interest of {position.symbol}")
        self._rows.append(
            (
                len(self._wallets) - 1,
                symbol,
                side,
                position.quantity * position.contract_size,
                position.entry_price,
                math.nan if position.mark_price is None else position.mark_price,
                initial,
                profile.close_fee(direction, position.leverage, fee),
                profile.bankruptcy_fee(fee),
                begin,
                end,
                inverse,
                profile.mm_valuation == "entry",
            )
        )
        self._above.append(above)
        self._missing.append(tuple(missing))
        self._symbols.append(position.symbol)

    def _table(self, symbol: str) -> TierTable:
        if self._book is None:
            raise MissingTier(f"Expected tiers of {symbol}, were none.")
        return self._book.table(symbol, self._now_ns)

    def _tier_rows(
        self, position: MarginPosition, table: TierTable | None, inverse: bool
    ) -> tuple[int, int, bool]:
        """Rows of the tiers, and whether the contracts are more than the last of them allows."""
        rate, amount = position.maintenance_margin_rate, position.maintenance_amount
        if rate is not None:
            return *self._single(rate, amount or 0.0), False
        if table is None:
            return 0, 0, False
        if table.unit == "contracts" or amount is not None:
            size = position.quantity
            if table.unit == "notional":
                base = position.quantity * position.contract_size
                price = position.mark_price or position.entry_price
                size = base / price if inverse else base * price
            above = size > float(table.rows["cap"][-1])
            rate = table.at(size).maintenance_margin_rate
            return *self._single(rate, amount or 0.0), above
        if table.symbol not in self._tables:
            self._tables[table.symbol] = self._append(table.rows)
        return *self._tables[table.symbol], False

    def _single(self, rate: float, amount: float) -> tuple[int, int]:
        return self._append(np.array([(0.0, math.inf, rate, amount, math.inf)], TIER))

    def _append(self, rows: Records) -> tuple[int, int]:
        begin = self._n_tiers
        self._tiers.append(rows)
        self._n_tiers += len(rows)
        return begin, self._n_tiers


def _mark_phrase(symbol: str) -> str:
    return f"mark price of {symbol}"


def _open_interest_rate(table: TierTable, open_interest: float | None) -> float:
    """Return dYdX's initial rate; nan where it depends on open interest that is not known."""
    rate = table.tiers[0].initial_margin_rate
    assert rate is not None  # asked by the caller
    lower, upper = table.open_interest_caps or (0.0, 0.0)
    if upper <= lower:
        return rate
    if open_interest is None:
        return math.nan
    bounds = (round(open_interest * PPM), round(lower * PPM), round(upper * PPM))
    return scaled_initial_margin_ppm(round(rate * PPM), *bounds) / PPM
