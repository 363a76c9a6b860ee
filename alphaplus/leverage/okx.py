"""OKX's and Gate's margin level: 100 % liquidates, 300 % warns.

Source: OKX help, margin calculations (the cross page is secondary).
"""

from collections.abc import Sequence
from typing import Final, Literal

LIQUIDATION_LEVEL: Final = 1.0
WARNING_LEVEL: Final = 3.0

Alarm = Literal["safe", "warning", "liquidation"]


def isolated_margin_level(
    margin: float, unrealized_pnl: float, notional: float, rate: float, taker_fee: float
) -> float | None:
    """Return (W + uPnL) / (N (m + tau)); None without a position."""
    due = notional * (rate + taker_fee)
    return (margin + unrealized_pnl) / due if due > 0 else None


def cross_margin_level(
    effective_equity: float, maintenance_margins: Sequence[float], fees: float
) -> float | None:
    """Return effective equity / (sum of MM + fees); None without positions."""
    due = sum(maintenance_margins) + fees
    return effective_equity / due if due > 0 else None


def alarm_of(level: float | None) -> Alarm | None:
    """Say what a margin level (1.0 is 100 %) means; None if it is not known."""
    if level is None:
        return None
    if level <= LIQUIDATION_LEVEL:
        return "liquidation"
    return "warning" if level <= WARNING_LEVEL else "safe"
