"""Profit and loss of positions under scenario returns, by full revaluation of every contract.

A linear contract of side s and quantity q makes s q (p' - p) in quote currency, an inverse one
s Q (1/p - 1/p') in coin, which is worth s Q (1 - p/p') at today's mark p: the settlement asset
is the unit of account, so a coin is valued at today's mark and its own price risk enters with
the collateral. Profit is proportional to the quantity and both forms depend on p'/p alone, so
the contracts of one symbol are netted first and a symbol's row of profit is its signed notional
times a row of `response`: exact, not a sensitivity.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Positions as columns of one length; several in one symbol are legs or accounts.

    Raises RiskError for a side, quantity, entry price or symbol that is not usable.
    """

    symbol: Ints
    """Place of the symbol among the portfolio's symbols."""
    side: Floats
    """+1 long, -1 short."""
    quantity: Floats
    """0 or more: base units, for an inverse contract its face in quote currency."""
    entry_price: Floats
    venue: Ints
    """Number of the venue that holds it, 0 or more."""

    @classmethod
    def of(
        cls,
        symbol: npt.ArrayLike,
        side: npt.ArrayLike,
        quantity: npt.ArrayLike,
        entry_price: npt.ArrayLike,
        venue: npt.ArrayLike = 0,
    ) -> "Positions":
        """Make positions of anything like an array; one `venue` may stand for all."""
        places = np.atleast_1d(np.asarray(symbol, np.int64))
        return cls(
            symbol=places,
            side=np.atleast_1d(np.asarray(side, np.float64)),
            quantity=np.atleast_1d(np.asarray(quantity, np.float64)),
            entry_price=np.atleast_1d(np.asarray(entry_price, np.float64)),
            venue=np.broadcast_to(np.asarray(venue, np.int64), places.shape).copy(),
        )

    def __post_init__(self) -> None:
        columns = (self.symbol, self.side, self.quantity, self.entry_price, self.venue)
        if {column.shape for column in columns} != {(len(self.symbol),)}:
            raise RiskError("Expected columns of positions of one length, was not so.")
        if len(self.symbol) and min(self.symbol.min(), self.venue.min()) < 0:
            raise RiskError("Expected symbols and venues from 0, was one below.")
        if not (np.abs(self.side) == 1).all():
            raise RiskError("Expected side +1 or -1 for each position, was not so.")
        if not (np.isfinite(self.quantity) & (self.quantity >= 0)).all():
            raise RiskError("Expected each quantity to be a number of 0 or more, was not so.")
        if not (np.isfinite(self.entry_price) & (self.entry_price > 0)).all():
            raise RiskError("Expected each entry_price above 0, was not so.")

    def __len__(self) -> int:
        return len(self.symbol)

    def by_symbol(self, values: Floats, symbols: int) -> Floats:
        """Return the sums (symbols,) of `values`, one for each position."""
        return np.bincount(self.symbol, values, symbols).astype(np.float64, copy=False)

    def net_quantity(self, symbols: int) -> Floats:
        """Return the signed quantity (symbols,) of each symbol."""
        return self.by_symbol(self.side * self.quantity, symbols)


def signed_notional(net_quantity: Floats, marks: Floats, inverse: Flags) -> Floats:
    """Return the notional at the mark in quote currency, negative for short; 0 where flat.

    A mark matters only where something is held: nan there gives nan.
    """
    with np.errstate(invalid="ignore"):
        value = np.where(inverse, net_quantity + 0.0 * marks, net_quantity * marks)
    return np.where(net_quantity == 0, 0.0, value)


def unrealized_pnl(
    side: Floats, quantity: Floats, entry_price: Floats, marks: Floats, inverse: Flags
) -> Floats:
    """Return the profit in quote currency; that of an inverse contract is converted at the mark.

    All are broadcast against each other. Inverse: s Q (1/E - 1/p) p = s Q (p/E - 1).
    """
    moved = np.where(inverse, marks / entry_price - 1.0, marks - entry_price)
    return np.asarray(side * quantity * moved)


def response(returns: Floats, inverse: Flags) -> Floats:
    """Return profit per signed notional, [symbols, scenarios], of simple `returns` transposed.

    `returns` is [scenarios, symbols]; linear r, inverse 1 - 1/(1 + r). nan where a return is
    nan, or -1 or less, as no price is left.
    """
    moved = np.ascontiguousarray(np.asarray(returns, np.float64).T)
    if moved.ndim != 2 or len(moved) != len(inverse):
        raise RiskError(
            f"Expected returns [scenarios, {len(inverse)} symbols], was {moved.T.shape}."
        )
    moved[~(moved > -1.0)] = np.nan
    moved[inverse] = 1.0 - 1.0 / (1.0 + moved[inverse])
    return moved
