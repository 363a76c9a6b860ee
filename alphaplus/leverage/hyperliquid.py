"""Hyperliquid's form of the liquidation price, and what happens below the maintenance margin.

Source: Hyperliquid docs, margining and liquidations. The size from which an order
is split is not published there and stays a parameter.
"""

from typing import Final, Literal

BACKSTOP: Final = 2.0 / 3.0
"""Below this share of the maintenance margin the backstop vault takes the position."""

Stage = Literal["safe", "market_order", "backstop_vault", "auto_deleveraging"]


def maintenance_rate(max_leverage: float) -> float:
    """Return half of the initial margin at the maximum leverage."""
    return 0.5 / max_leverage


def liquidation_price(
    side: int, quantity: float, price: float, margin: float, max_leverage: float
) -> float | None:
    """Return P - s A / q / (1 - l s), A the margin less q P l; None if there is no such price.

    `price` and `margin` are entry and collateral (isolated) or mark and account value (cross).
    """
    rate = maintenance_rate(max_leverage)
    available = margin - quantity * price * rate
    found = price - side * available / quantity / (1 - rate * side)
    return found if found > 0 else None


def stage_of(equity: float, maintenance_margin: float) -> Stage:
    """Say which stage of liquidation an account is in."""
    if maintenance_margin <= 0 or equity >= maintenance_margin:
        return "safe"
    if equity < 0:
        return "auto_deleveraging"
    return "backstop_vault" if equity < BACKSTOP * maintenance_margin else "market_order"
