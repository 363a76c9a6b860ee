"""What positions are worth and how much margin they use, at the marks of this moment.

A position is a signed quantity in the venue's unit: base units, or contracts. Values are in
the instrument's quote currency. A value that needs an unknown mark is None, and so is every
total that would have to leave it out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alphaplus.errors import RiskError
from alphaplus.instruments import Instrument

MAX_LEVERAGE = 125.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A holding: `quantity` above 0 is long, below 0 short."""

    symbol: str
    exchange: str
    quantity: float
    entry_price: float
    leverage: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.quantity):
            raise RiskError(
                f"Expected quantity of {self.symbol} to be a number, was {self.quantity}."
            )
        if not (math.isfinite(self.entry_price) and self.entry_price > 0):
            raise RiskError(
                f"Expected entry_price of {self.symbol} above 0, was {self.entry_price}."
            )
        if not 1 <= self.leverage <= MAX_LEVERAGE:
            raise RiskError(
                f"Expected leverage of {self.symbol} from 1 to {MAX_LEVERAGE:g}, "
                f"was {self.leverage}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionValue:
    """A position at a mark; everything but the position itself is None while it is unknown."""

    symbol: str
    exchange: str
    quantity: float
    entry_price: float
    leverage: float
    mark_price: float | None
    notional: float | None
    """Signed, quote currency."""
    unrealized_pnl: float | None
    margin_used: float | None


def value_position(
    position: Position, instrument: Instrument, mark_price: float | None
) -> PositionValue:
    """Value one position; the profit of an inverse contract is converted at the mark."""
    notional = pnl = margin = None
    if mark_price is not None:
        size = position.quantity * instrument.contract_size
        if instrument.inverse:
            notional = size
            pnl = size * (mark_price / position.entry_price - 1)
        else:
            notional = size * mark_price
            pnl = size * (mark_price - position.entry_price)
        margin = abs(notional) / position.leverage
    return PositionValue(
        symbol=position.symbol,
        exchange=position.exchange,
        quantity=position.quantity,
        entry_price=position.entry_price,
        leverage=position.leverage,
        mark_price=mark_price,
        notional=notional,
        unrealized_pnl=pnl,
        margin_used=margin,
    )


class Portfolio:
    """The positions of one portfolio, by exchange and symbol."""

    def __init__(self, instruments: Iterable[Instrument], *, default_leverage: float) -> None:
        self._instruments = {(item.exchange, item.symbol): item for item in instruments}
        self._default_leverage = default_leverage
        self.positions: tuple[Position, ...] = ()

    def replace(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        """Take these positions for the whole portfolio, or raise RiskError and keep the old.

        Each has symbol, quantity, entry_price, and optionally exchange and leverage.
        """
        positions = tuple(self._position(item) for item in wanted)
        keys = [(item.exchange, item.symbol) for item in positions]
        for key in keys:
            if keys.count(key) > 1:
                raise RiskError(f"Expected one position in {':'.join(key)}, were several.")
        self.positions = positions

    def value(self, marks: Mapping[tuple[str, str], float | None]) -> dict[str, Any]:
        """Value everything at `marks`, (exchange, symbol) -> price."""
        values = [
            value_position(
                item,
                self._instruments[item.exchange, item.symbol],
                marks.get((item.exchange, item.symbol)),
            )
            for item in self.positions
        ]
        return {
            "positions": [asdict(item) for item in values],
            "gross_notional": _total(
                None if v.notional is None else abs(v.notional) for v in values
            ),
            "net_notional": _total(v.notional for v in values),
            "unrealized_pnl": _total(v.unrealized_pnl for v in values),
            "margin_used": _total(v.margin_used for v in values),
        }

    def _position(self, item: Mapping[str, Any]) -> Position:
        symbol = str(item["symbol"])
        exchange = item.get("exchange")
        known = [key for key in self._instruments if key[1] == symbol]
        if exchange is not None:
            known = [key for key in known if key[0] == exchange]
        if not known:
            where = f" on {exchange}" if exchange else ""
            raise RiskError(
                f"Expected symbol to be one that is watched, was {symbol}{where}; "
                "see /v1/symbols for the list."
            )
        if len(known) > 1:
            listed = ", ".join(key[0] for key in known)
            raise RiskError(f"Expected exchange with {symbol}, as it trades on {listed}.")
        leverage = item.get("leverage")
        return Position(
            symbol=symbol,
            exchange=known[0][0],
            quantity=float(item["quantity"]),
            entry_price=float(item["entry_price"]),
            leverage=self._default_leverage if leverage is None else float(leverage),
        )


def _total(values: Iterable[float | None]) -> float | None:
    known: list[float] = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return math.fsum(known)
