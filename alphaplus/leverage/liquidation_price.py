"""Closed forms of liquidation and bankruptcy prices, for one tier: fast paths of the engine.

Each solves equity = maintenance margin for a tier that is known; the root is right only if the
notional at it lies in that tier (`alphaplus.leverage.engine` finds which does). All arguments
broadcast; `side` is +1 or -1; `collateral` is the wallet plus, in a cross account, profit less
maintenance margin of the other positions. A root at or below 0 does not exist: nan.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Values = npt.ArrayLike


def linear_liquidation_price(
    side: Values,
    quantity: Values,
    entry: Values,
    collateral: Values,
    rate: Values,
    *,
    amount: Values = 0.0,
    close_fee: Values = 0.0,
) -> Floats:
    """Return (W + c - s q E) / (q (m + fee) - s q), quote currency (Binance FAQ, 2024).

    >>> found = linear_liquidation_price(1, 109.488, 32481.98, 1535443.01, 0.025, amount=16300)
    >>> round(float(found), 2)
    18778.73
    """
    s, q, e, w, m, c, fee = _floats(side, quantity, entry, collateral, rate, amount, close_fee)
    return _root(w + c - s * q * e, q * (m + fee) - s * q)


def inverse_liquidation_price(
    side: Values,
    face: Values,
    entry: Values,
    collateral: Values,
    rate: Values,
    *,
    amount: Values = 0.0,
    close_fee: Values = 0.0,
) -> Floats:
    """Return Q (s + m + fee) / (W + c + s Q / E); W and c in coin, Q the face value in USD."""
    s, q, e, w, m, c, fee = _floats(side, face, entry, collateral, rate, amount, close_fee)
    return _root(q * (s + m + fee), w + c + s * q / e)


def entry_valued_liquidation_price(
    side: Values, quantity: Values, entry: Values, collateral: Values, maintenance: Values
) -> Floats:
    """Return E - s (W - C) / q, with the maintenance margin C fixed at the entry (Bybit)."""
    s, q, e, w, c = _floats(side, quantity, entry, collateral, maintenance)
    return _root(q * e - s * (w - c), q)


def hedge_liquidation_price(
    sides: npt.ArrayLike,
    quantities: npt.ArrayLike,
    entries: npt.ArrayLike,
    collateral: float,
    *,
    rates: npt.ArrayLike,
    amounts: npt.ArrayLike,
) -> float:
    """Return the one price that both legs of a linear symbol share, each leg in its tier.

    p = (W + sum c - sum s q E) / (sum q m - sum s q). A hedged book may have a second root, in
    other tiers: the engine returns both.
    """
    s, q, e, m, c = _floats(sides, quantities, entries, rates, amounts)
    return float(_root(collateral + c.sum() - (s * q * e).sum(), (q * m).sum() - (s * q).sum()))


def linear_bankruptcy_price(
    side: Values, quantity: Values, entry: Values, collateral: Values, fee: Values = 0.0
) -> Floats:
    """Return (E - s W / q) / (1 - s fee): equity is 0 after paying the close fee.

    >>> float(linear_bankruptcy_price(1, 2.0, 100.0, 2.0 * 100.0 / 10))  # E (1 - 1/leverage)
    90.0
    """
    s, q, e, w, tau = _floats(side, quantity, entry, collateral, fee)
    return _root(q * e - s * w, q * (1 - s * tau))


def inverse_bankruptcy_price(
    side: Values, face: Values, entry: Values, collateral: Values, fee: Values = 0.0
) -> Floats:
    """Return Q (s + fee) / (W + s Q / E); W in coin, Q the face value in USD."""
    s, q, e, w, tau = _floats(side, face, entry, collateral, fee)
    return _root(q * (s + tau), w + s * q / e)


def round_outward(price: float, side: int, tick: Decimal) -> Decimal:
    """Return a liquidation price for display: a long's rounded down to the tick, a short's up.

    >>> round_outward(1153.2645, 1, Decimal("0.01")), round_outward(1153.2645, -1, Decimal("0.5"))
    (Decimal('1153.26'), Decimal('1153.5'))
    """
    way = ROUND_FLOOR if side > 0 else ROUND_CEILING
    return (Decimal(repr(price)) / tick).to_integral_value(way) * tick


def read_liquidation_price(text: float | str | None) -> float | None:
    """Return the price that a venue states, or None where it states that there is none.

    Venues print "0", "--", an empty text or a negative price for a position without one.
    """
    if text is None:
        return None
    try:
        price = float(text)
    except ValueError:
        return None
    return price if math.isfinite(price) and price > 0 else None


def _floats(*values: Values) -> list[Floats]:
    return [np.asarray(value, np.float64) for value in values]


def _root(numerator: Floats, denominator: Floats) -> Floats:
    with np.errstate(all="ignore"):  # a slope of 0 has no root: nan, as below
        found = numerator / denominator
    return np.where(np.isfinite(found) & (found > 0), found, np.nan)
