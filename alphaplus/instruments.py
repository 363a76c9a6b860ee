"""What is traded: tick, lot and contract of an instrument, and its names.

`BTC-USDT-PERP` on `binance` is what ccxt calls `BTC/USDT:USDT` and the venue `BTCUSDT`.
The map between our names and ccxt's is lossless (`symbol_from_ccxt`, `symbol_to_ccxt`):

=========================  ============================  =============================
ccxt                       ours                          what
=========================  ============================  =============================
BTC/USDT                   BTC-USDT-SPOT                 spot
BTC/USDT:USDT              BTC-USDT-PERP                 perpetual, settled in quote
BTC/USD:BTC                BTC-USD-BTC-PERP              perpetual, settled in other
BTC/USDT:USDT-260925       BTC-USDT-260925               dated future
BTC/USD:BTC-260925-9E4-C   BTC-USD-BTC-260925-9E4-C      option
=========================  ============================  =============================
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from alphaplus.errors import ConfigError, UnknownSymbol

_CODE = r"[^-/:\s]+"
_DATE = r"\d{6}"
_CCXT = re.compile(
    rf"(?P<base>{_CODE})/(?P<quote>{_CODE})"
    rf"(?::(?P<settle>{_CODE})(?:-(?P<date>{_DATE})(?P<option>-[^-/:\s]+-[CP])?)?)?"
)
_OURS = re.compile(
    rf"(?P<base>{_CODE})-(?P<quote>{_CODE}?)(?:-(?P<settle>{_CODE}?))??"
    rf"-(?P<kind>SPOT|PERP|{_DATE})(?P<option>-[^-/:\s]+-[CP])?"
)


class InstrumentKind(StrEnum):
    """What sort of contract an instrument is."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"
    OPTION = "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One instrument on one exchange. Sizes are in the unit of the venue's quantities.

    `contract_size` is the base amount of one unit for linear contracts and spot (1 on
    Binance USD-M), and the quote amount of one contract for inverse ones (100 USD).
    """

    symbol: str
    exchange: str
    venue_symbol: str
    tick_size: Decimal
    lot_size: Decimal
    contract_size: float = 1.0
    inverse: bool = False
    kind: InstrumentKind = InstrumentKind.PERPETUAL

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size"):
            size = getattr(self, name)
            if not (size.is_finite() and size > 0):
                raise ConfigError(f"Expected {name} of {self.symbol} above 0, was {size}.")
        if not self.contract_size > 0:
            raise ConfigError(
                f"Expected contract_size of {self.symbol} above 0, was {self.contract_size}."
            )

    @property
    def key(self) -> str:
        """The name across exchanges, `binance:BTC-USDT-PERP`."""
        return f"{self.exchange}:{self.symbol}"

    @property
    def ccxt_symbol(self) -> str:
        """The name that ccxt uses, `BTC/USDT:USDT`."""
        return symbol_to_ccxt(self.symbol)

    @property
    def price_decimals(self) -> int:
        """Digits after the point that a price needs: 1 for a tick of 0.5 or 0.1."""
        return _decimals(self.tick_size)

    @property
    def tick_units(self) -> int:
        """The tick in units of the last digit: 5 for a tick of 0.5, 1 for 0.1."""
        return int(self.tick_size.scaleb(self.price_decimals))

    @property
    def lot_decimals(self) -> int:
        """Digits after the point that a quantity needs."""
        return _decimals(self.lot_size)

    def price(self, tick: int) -> float:
        """Return the price of an integer tick: the float64 nearest to the exact decimal."""
        return tick * self.tick_units / 10.0**self.price_decimals

    def tick(self, price: Decimal | str) -> int:
        """Return the integer tick of a decimal price; ValueError if it is off the grid."""
        exact = Decimal(price) / self.tick_size
        if exact != exact.to_integral_value():
            raise ValueError(
                f"Expected a price of {self.symbol} on the tick {self.tick_size}, was {price}."
            )
        return int(exact)

    def notional(self, price: float, quantity: float) -> float:
        """Return the value of a quantity at a price, in quote currency."""
        if self.inverse:
            return quantity * self.contract_size
        return price * quantity * self.contract_size


def symbol_from_ccxt(name: str) -> str:
    """Translate a ccxt symbol; raises UnknownSymbol if it is not one."""
    match = _CCXT.fullmatch(name)
    if match is None:
        raise UnknownSymbol(f"Expected a ccxt symbol such as BTC/USDT:USDT, was {name!r}.")
    base, quote, settle, date, option = match.group("base", "quote", "settle", "date", "option")
    settled = "" if settle in (None, quote) else f"-{settle}"
    kind = "SPOT" if settle is None else date or "PERP"
    return f"{base}-{quote}{settled}-{kind}{option or ''}"


def symbol_to_ccxt(symbol: str) -> str:
    """Translate one of our symbols to ccxt's; raises UnknownSymbol if it is not one."""
    match = _OURS.fullmatch(symbol)
    if match is None:
        raise UnknownSymbol(f"Expected a symbol such as BTC-USDT-PERP, was {symbol!r}.")
    base, quote, settle, kind, option = match.group("base", "quote", "settle", "kind", "option")
    if kind == "SPOT":
        return f"{base}/{quote}"
    dated = "" if kind == "PERP" else f"-{kind}"
    return f"{base}/{quote}:{settle or quote}{dated}{option or ''}"


def instrument_kind(symbol: str) -> InstrumentKind:
    """Return the sort of contract that a symbol names; raises UnknownSymbol."""
    name = symbol_to_ccxt(symbol)
    if ":" not in name:
        return InstrumentKind.SPOT
    parts = name.split("-")
    if len(parts) == 1:
        return InstrumentKind.PERPETUAL
    return InstrumentKind.FUTURE if len(parts) == 2 else InstrumentKind.OPTION


@lru_cache(maxsize=1024)
def _decimals(size: Decimal) -> int:
    exponent = size.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # finite, checked on construction
    return max(0, -exponent)
