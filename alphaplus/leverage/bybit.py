"""Bybit's own forms: simple isolated, unified inverse and inverse cross of the older pages.

Source: Bybit help centre, liquidation price of USDT and of inverse contracts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseCross:
    """Bankruptcy and liquidation price of an inverse position in a cross account, USD."""

    bankruptcy_price: float
    liquidation_price: float | None
    """None: no price liquidates it."""


def simple_liquidation_price(side: int, entry: float, leverage: float, rate: float) -> float:
    """Return E (1 - s / leverage + s m): no fee and no deduction.

    >>> simple_liquidation_price(1, 20_000.0, 50.0, 0.005)
    19700.0
    """
    return entry * (1 - side / leverage + side * rate)


def inverse_long_liquidation_price(
    face: float,
    entry: float,
    leverage: float,
    rate: float,
    *,
    extra: float = 0.0,
    taker_fee: float = 0.00055,
    deduction: float = 0.0,
) -> float:
    """Return Q (1 + m) / (Q/E + Q/(E leverage) + extra / (1 + tau) + deduction), unified account.

    `face` in USD; the added margin `extra` and the deduction in coin.
    """
    coins = face / entry
    return face * (rate + 1) / (coins + coins / leverage + extra / (1 + taker_fee) + deduction)


def inverse_long_cross(
    face: float, entry: float, free_balance: float, rate: float, taker_fee: float
) -> InverseCross:
    """Return the prices of a long in an inverse cross account (older text).

    The bankruptcy price is (1 + tau) Q / (Q/E + B); the liquidation price is where the loss
    uses up the free balance B (coin) less Q m / E and the fee at the bankruptcy price. The
    page rounds its own example to 1e-4.
    """
    bankruptcy = (1 + taker_fee) * face / (face / entry + free_balance)
    left = free_balance - face * rate / entry - face * taker_fee / bankruptcy
    per_price = 1 / entry + left / face
    return InverseCross(
        bankruptcy_price=bankruptcy,
        liquidation_price=1 / per_price if per_price > 0 else None,
    )
