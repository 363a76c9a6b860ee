"""Margins of accounts, read back from the engine's arrays.

A value that is not known is None, and `missing` says which input it lacks. That a position has
no liquidation price is a state, not a missing value.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from alphaplus.leverage.account import MarginAccount, MarginPosition, Side
from alphaplus.leverage.account_arrays import MarginArrays, Records, arrays_of
from alphaplus.leverage.adl import profit_effective_leverage_rank, profit_margin_ratio_rank
from alphaplus.leverage.engine import MarginState
from alphaplus.leverage.tiers import TierBook


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionMargin:
    """What the engine says of one position; amounts in the settlement asset."""

    symbol: str
    side: Side
    state: str
    notional: float | None
    unrealized_pnl: float | None
    initial_margin: float | None
    maintenance_margin: float | None
    margin_ratio: float | None
    """Of the bucket that backs it: the account (cross) or the position (isolated)."""
    liquidation_price: float | None
    liquidation_price_down: float | None
    liquidation_price_up: float | None
    distance_to_liquidation: float | None
    """|mark - liquidation price| / mark."""
    bankruptcy_price: float | None
    adl_rank: float | None
    """Score by the venue's rule: the highest is deleveraged first."""
    tier: int | None
    above_max_notional: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMargin:
    """What the engine says of one account; amounts in the settlement asset.

    With isolated margin the ratio is that of the position nearest to liquidation, as each is
    liquidated by itself; equity and margins are totals.
    """

    venue: str
    state: str
    equity: float | None
    initial_margin: float | None
    maintenance_margin: float | None
    margin_ratio: float | None
    margin_level: float | None
    margin_utilisation: float | None
    available_margin: float | None
    liquidatable: bool | None
    positions: tuple[PositionMargin, ...]
    missing: tuple[str, ...]


def evaluate_accounts(
    accounts: Sequence[MarginAccount], book: TierBook | None, *, now_ns: int | None = None
) -> tuple[AccountMargin, ...]:
    """Return the margins of all accounts, in one call of the engine."""
    return margins_of(accounts, arrays_of(accounts, book, now_ns=now_ns))


def margins_of(
    accounts: Sequence[MarginAccount], arrays: MarginArrays
) -> tuple[AccountMargin, ...]:
    """Return the margins of the accounts that `arrays` were made of, at the marks in them.

    Marks count as the arrays have them, whatever the positions of the accounts say.
    """
    found = _Found(arrays, *arrays.evaluate())
    return tuple(
        _account_margin(account, found, first)
        for account, first in zip(accounts, arrays.first_position, strict=True)
    )


def evaluate_account(
    account: MarginAccount, book: TierBook | None, *, now_ns: int | None = None
) -> AccountMargin:
    """Return the margins of one account."""
    return evaluate_accounts([account], book, now_ns=now_ns)[0]


class _Found(NamedTuple):
    arrays: MarginArrays
    margins: Records
    buckets: Records

    def bucket_of(self, i: int) -> int:
        return int(self.arrays.positions["bucket"][i])


def _account_margin(account: MarginAccount, found: _Found, first: int) -> AccountMargin:
    rows = slice(first, first + len(account.positions))
    own = [found.bucket_of(i) for i in range(rows.start, rows.stop)]
    buckets = found.buckets[sorted(set(own))]
    buckets = buckets[buckets["state"] != MarginState.NO_POSITION]
    states = {MarginState(int(state)) for state in buckets["state"]}
    margins = found.margins[rows]
    profit = math.fsum(margins["unrealized_pnl"])
    equity = account.wallet_balance - account.accrued + profit
    initial = math.fsum(margins["initial_margin"])
    # the maximum of nothing known is not known: nan stays nan
    ratio = _known(np.max(buckets["margin_ratio"])) if len(buckets) else None
    return AccountMargin(
        venue=account.profile.name,
        state=max(states, key=_SEVERITY.index, default=MarginState.NO_POSITION).name.lower(),
        equity=_known(equity),
        initial_margin=_known(initial),
        maintenance_margin=_known(math.fsum(margins["maintenance_margin"])),
        margin_ratio=ratio,
        margin_level=1.0 / ratio if ratio else None,
        margin_utilisation=_known(initial / equity) if states and equity > 0 else None,
        available_margin=None if math.isnan(equity - initial) else max(0.0, equity - initial),
        liquidatable=_liquidatable(states),
        positions=tuple(
            _position_margin(account, position, found, first + k)
            for k, position in enumerate(account.positions)
        ),
        missing=_reasons(found.arrays, range(rows.start, rows.stop)),
    )


def _position_margin(
    account: MarginAccount, position: MarginPosition, found: _Found, i: int
) -> PositionMargin:
    row, bucket = found.margins[i], found.buckets[found.bucket_of(i)]
    price, mark = _known(row["liquidation_price"]), _known(found.arrays.positions["mark"][i])
    state = MarginState(int(row["state"]))
    # what is unknown in a cross account may be for lack of another position's input
    sharing = np.flatnonzero(found.arrays.positions["bucket"] == found.bucket_of(i))
    lacking = [i, *sharing] if state is MarginState.UNKNOWN else [i]
    return PositionMargin(
        symbol=position.symbol,
        side=position.side,
        state=state.name.lower(),
        notional=_known(row["notional"]),
        unrealized_pnl=_known(row["unrealized_pnl"]),
        initial_margin=_known(row["initial_margin"]),
        maintenance_margin=_known(row["maintenance_margin"]),
        margin_ratio=_known(bucket["margin_ratio"]),
        liquidation_price=price,
        liquidation_price_down=_known(row["liquidation_price_down"]),
        liquidation_price_up=_known(row["liquidation_price_up"]),
        distance_to_liquidation=None if price is None or mark is None else abs(mark - price) / mark,
        bankruptcy_price=_known(row["bankruptcy_price"]),
        adl_rank=_adl_rank(account, position, found, i),
        tier=int(row["tier"]) + 1 if row["tier"] >= 0 else None,
        above_max_notional=bool(row["above_max_notional"] or found.arrays.above_max[i]),
        missing=_reasons(found.arrays, lacking),
    )


def _adl_rank(
    account: MarginAccount, position: MarginPosition, found: _Found, i: int
) -> float | None:
    row, b = found.margins[i], found.bucket_of(i)
    if position.quantity == 0:
        return None
    if account.profile.adl_rank == "profit_times_margin_ratio":
        ratio = found.buckets[b]["margin_ratio"]
        return _known(
            profit_margin_ratio_rank(row["unrealized_pnl"], found.arrays.wallets[b], ratio)
        )
    size, entry = position.quantity * position.contract_size, position.entry_price
    value = size / entry if found.arrays.positions["inverse"][i] else size * entry
    equity = found.buckets[b]["equity"]
    return _known(
        profit_effective_leverage_rank(row["unrealized_pnl"], value, row["notional"], equity)
    )


_SEVERITY: Final = (
    MarginState.NO_POSITION,
    MarginState.NO_LIQUIDATION_PRICE,
    MarginState.SAFE,
    MarginState.UNKNOWN,
    MarginState.LIQUIDATABLE_NOW,
    MarginState.BANKRUPT,
)
"""From the best to the worst."""


def _liquidatable(states: set[MarginState]) -> bool | None:
    if states & {MarginState.LIQUIDATABLE_NOW, MarginState.BANKRUPT}:
        return True
    return None if MarginState.UNKNOWN in states else False


def _reasons(arrays: MarginArrays, rows: Iterable[int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason for i in rows for reason in arrays.reasons(i)))


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
