"""What a liquidation pays into the insurance fund, or draws from it until it is empty."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError


@dataclass(frozen=True, slots=True, kw_only=True)
class FundResult:
    """The fund after some liquidations: balance >= 0 and what it could not cover."""

    balance: float
    paid_in: float
    drawn: float
    deficit: float
    """Left to counterparties (ADL) or socialised, as the venue's profile says."""


def fund_delta(
    side: npt.ArrayLike,
    quantity: npt.ArrayLike,
    fill_price: npt.ArrayLike,
    bankruptcy_price: npt.ArrayLike,
    *,
    max_fee_rate: float | None = None,
) -> npt.NDArray[np.float64]:
    """Return s q (fill - bankruptcy) of closed linear positions, quote currency.

    Above 0 pays in (at most `max_fee_rate` of the fill's value, where the venue caps it), below
    0 draws. Broadcasts; nan where a price is unknown.

    >>> float(fund_delta(1, 1.0, 3060.0, 3000.0))
    60.0
    """
    s, q, fill, bankrupt = (
        np.asarray(value, np.float64) for value in (side, quantity, fill_price, bankruptcy_price)
    )
    delta = s * q * (fill - bankrupt)
    if max_fee_rate is None:
        return np.asarray(delta)
    return np.asarray(np.where(delta > 0, np.minimum(delta, q * fill * max_fee_rate), delta))


def apply_fund(balance: float, deltas: npt.ArrayLike) -> FundResult:
    """Run liquidations one after another through a fund that cannot go below 0.

    Raises RiskError if the balance is below 0 or a delta is unknown.
    """
    changes = np.asarray(deltas, np.float64)
    if not balance >= 0 or not np.isfinite(changes).all():
        raise RiskError(f"Expected a balance of at least 0 and known deltas, was {balance}.")
    paid_in = drawn = deficit = 0.0
    for change in changes.ravel().tolist():
        if change >= 0:
            paid_in += change
            balance += change
        else:
            draw = min(balance, -change)
            drawn += draw
            balance -= draw
            deficit += -change - draw
    return FundResult(balance=balance, paid_in=paid_in, drawn=drawn, deficit=deficit)
