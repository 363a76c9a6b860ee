"""Auto-deleveraging: who is ranked first, who is closed, and at which price.

Positions of the opposite side are ranked by a score of the venue and closed at the bankruptcy
price of the bankrupt account until its quantity is matched (BitMEX, "Auto-deleveraging").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdlCandidate:
    """A position opposite to the bankrupt one; `quantity` above 0, in the instrument's unit."""

    account: str | int
    quantity: float
    rank_score: float
    leg: str = ""
    """Which leg of a hedged account this is, so that its owner can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdlFill:
    """What was closed of one account's position, at the bankruptcy price."""

    account: str | int
    closed: float
    remaining: float
    price: float
    leg: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdlResult:
    """The fills, and what no counterparty was left for (socialised)."""

    fills: tuple[AdlFill, ...]
    unmatched: float


def profit_leverage_rank(
    side: npt.ArrayLike,
    mark_value: npt.ArrayLike,
    entry_value: npt.ArrayLike,
    bankrupt_value: npt.ArrayLike,
) -> Floats:
    """Return PnL% x effective leverage if PnL% is above 0, else PnL% / effective leverage.

    Values are of the position at mark, entry and bankruptcy price, without sign; side +1 or -1.
    PnL% = s (mark - entry) / entry, leverage = mark / (s (mark - bankrupt)) (BitMEX).
    """
    s, mark, entry, bankrupt = _floats(side, mark_value, entry_value, bankrupt_value)
    profit = s * (mark - entry) / entry
    with np.errstate(all="ignore"):  # at its bankruptcy price leverage is infinite
        leverage = mark / (s * (mark - bankrupt))
        return np.where(profit > 0, profit * leverage, profit / leverage)


def profit_effective_leverage_rank(
    unrealized_pnl: npt.ArrayLike,
    entry_value: npt.ArrayLike,
    notional: npt.ArrayLike,
    equity: npt.ArrayLike,
) -> Floats:
    """Return uPnL / entry value x leverage used, the latter notional / equity (Hyperliquid).

    Losses divide by the leverage, as in BitMEX's rule, so that the safest loser comes last.
    """
    pnl, entry, size, collateral = _floats(unrealized_pnl, entry_value, notional, equity)
    with np.errstate(all="ignore"):  # without equity the rank is unknown
        profit, leverage = pnl / entry, size / collateral
        rank = np.where(profit > 0, profit * leverage, profit / leverage)
    return np.where(collateral > 0, rank, np.nan)


def profit_margin_ratio_rank(
    unrealized_pnl: npt.ArrayLike, collateral: npt.ArrayLike, margin_ratio: npt.ArrayLike
) -> Floats:
    """Return uPnL / collateral x margin ratio (Binance); the queue uses its quantile."""
    pnl, held, ratio = _floats(unrealized_pnl, collateral, margin_ratio)
    with np.errstate(all="ignore"):  # without collateral the rank is unknown
        return np.where(held > 0, pnl / held * ratio, np.nan)


def adl_queue(candidates: Sequence[AdlCandidate]) -> tuple[AdlCandidate, ...]:
    """Return candidates in the order of closing: score, then larger size, then account.

    Raises RiskError if a score or quantity is unknown, as an order would then be a guess.
    """
    for item in candidates:
        if not (math.isfinite(item.rank_score) and item.quantity > 0):
            raise RiskError(f"Expected a known rank and quantity of account {item.account}.")
    return tuple(
        sorted(candidates, key=lambda x: (-x.rank_score, -x.quantity, _name(x.account), x.leg))
    )


def deleverage(
    quantity: float, bankruptcy_price: float, candidates: Sequence[AdlCandidate]
) -> AdlResult:
    """Close opposite positions until `quantity` is matched; the last one in part.

    Closed plus unmatched is exactly `quantity`. Each fill names account and leg, as a hedged
    account that loses one leg must hear of it.
    """
    left, fills = quantity, []
    for item in adl_queue(candidates):
        if left <= 0:
            break
        closed = min(item.quantity, left)
        left = 0.0 if closed == left else left - closed
        fills.append(
            AdlFill(
                account=item.account,
                closed=closed,
                remaining=item.quantity - closed,
                price=bankruptcy_price,
                leg=item.leg,
            )
        )
    return AdlResult(fills=tuple(fills), unmatched=left)


def queue_percentiles(candidates: Sequence[AdlCandidate]) -> dict[str | int, int]:
    """Return each account's place in the queue as 20, 40, 60, 80 or 100 (20 goes first).

    ceil(5 x share of size up to and with it) fifths; light 5 of 5 is percentile 20.
    """
    queue = adl_queue(candidates)
    total = math.fsum(item.quantity for item in queue)
    cumulative, found = 0.0, {}
    for item in queue:
        cumulative += item.quantity
        found[item.account] = 20 * max(1, math.ceil(5 * cumulative / total - 1e-9))
    return found


def _name(account: str | int) -> tuple[int, int, str]:
    return (0, account, "") if isinstance(account, int) else (1, 0, account)


def _floats(*values: npt.ArrayLike) -> list[Floats]:
    return [np.asarray(value, np.float64) for value in values]
