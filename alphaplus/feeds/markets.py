"""What ccxt knows of a market, as our `Instrument`; and which ccxt client serves a symbol.

Binance is one exchange to us and three clients to ccxt, one per kind of contract:

====================  ============  ===================================
symbol                ccxt client   market
====================  ============  ===================================
BTC-USDT-SPOT         binance       spot
BTC-USDT-PERP         binanceusdm   USD-M: settled in the quote currency
BTC-USD-BTC-PERP      binancecoinm  COIN-M: settled in the base currency
====================  ============  ===================================

Every other exchange has one client, named by its ccxt id.
"""

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from alphaplus.errors import ConfigError, UnknownSymbol
from alphaplus.instruments import (
    Instrument,
    InstrumentKind,
    instrument_kind,
    symbol_from_ccxt,
    symbol_to_ccxt,
)

BINANCE: Final = "binance"
BINANCE_CLIENTS: Final = ("binance", "binanceusdm", "binancecoinm")

_DECIMAL_PLACES: Final = 2
_TICK_SIZE: Final = 4
"""ccxt's precision modes: a count of digits, or the size of one step."""

_log = logging.getLogger(__name__)


def known_exchanges() -> tuple[str, ...]:
    """Return the ids of all exchanges that ccxt.pro can stream from."""
    import ccxt.pro

    return tuple(ccxt.pro.exchanges)


def exchange_name(ccxt_id: str) -> str:
    """Return our name of the exchange that a ccxt client serves: `binance` for `binanceusdm`."""
    return BINANCE if ccxt_id in BINANCE_CLIENTS else ccxt_id


def client_id(exchange: str, symbols: Sequence[str] = ()) -> str:
    """Return the id of the one ccxt client that serves all `symbols` of an exchange.

    Without symbols `binance` means its USD-M market. Raises ConfigError if there is no such
    exchange or the symbols need different clients, UnknownSymbol if one is malformed.
    """
    known = known_exchanges()
    if exchange not in known:
        raise ConfigError(f"There is no exchange {exchange!r}{_closest(exchange, known)}")
    if exchange != BINANCE:
        return exchange
    clients = {_binance_client(symbol): symbol for symbol in reversed(symbols)}
    if len(clients) > 1:
        (one, first), (other, second), *_ = clients.items()
        raise ConfigError(
            f"Expected symbols of one market of {exchange}, were {first} ({one}) and "
            f"{second} ({other}); open one connection for each."
        )
    return next(iter(clients), "binanceusdm")


def instrument_from_market(
    market: Mapping[str, Any], exchange: str, precision_mode: int = _TICK_SIZE
) -> Instrument:
    """Translate one entry of ccxt's `markets`.

    `precision_mode` is ccxt's: whether `precision` holds step sizes (4) or counts of digits
    (2). Raises ConfigError if ccxt states no tick or lot size, UnknownSymbol if its symbol
    has no name of ours.
    """
    symbol = symbol_from_ccxt(market["symbol"])
    is_contract = bool(market.get("contract"))
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        venue_symbol=market["id"],
        tick_size=_step(market, "price", precision_mode),
        lot_size=_step(market, "amount", precision_mode),
        contract_size=float(market.get("contractSize") or 1.0) if is_contract else 1.0,
        inverse=bool(market.get("inverse")),
        kind=instrument_kind(symbol),
    )


def instruments_from_markets(
    markets: Iterable[Mapping[str, Any]], exchange: str, precision_mode: int = _TICK_SIZE
) -> dict[str, Instrument]:
    """Translate all markets that trade, by our symbol; what cannot be named is left out, loudly."""
    instruments: dict[str, Instrument] = {}
    left_out: list[str] = []
    for market in markets:
        if market.get("active") is False:
            continue
        try:
            instrument = instrument_from_market(market, exchange, precision_mode)
        except (ConfigError, UnknownSymbol):
            left_out.append(str(market.get("symbol")))
            continue
        instruments[instrument.symbol] = instrument
    if left_out:
        _log.warning(
            "%s: left out %d of %d markets that have no tick size or no name of ours, such as %s",
            exchange,
            len(left_out),
            len(left_out) + len(instruments),
            left_out[0],
        )
    return instruments


def select_instruments(
    instruments: Mapping[str, Instrument], symbols: Sequence[str]
) -> dict[str, Instrument]:
    """Return the instruments of `symbols` in that order, or all where none are named.

    Raises UnknownSymbol with the closest listed name.
    """
    for symbol in symbols:
        if symbol not in instruments:
            where = next((i.exchange for i in instruments.values()), "the exchange")
            raise UnknownSymbol(f"{where} does not list {symbol}{_closest(symbol, instruments)}")
    return {symbol: instruments[symbol] for symbol in symbols or instruments}


def _binance_client(symbol: str) -> str:
    kind = instrument_kind(symbol)
    if kind is InstrumentKind.OPTION:
        raise ConfigError(f"Expected a spot, perpetual or dated symbol of binance, was {symbol}.")
    if kind is InstrumentKind.SPOT:
        return "binance"
    pair, _, settled = symbol_to_ccxt(symbol).partition(":")
    is_linear = settled.partition("-")[0] == pair.partition("/")[2]
    return "binanceusdm" if is_linear else "binancecoinm"


def _step(market: Mapping[str, Any], field: str, precision_mode: int) -> Decimal:
    precision = (market.get("precision") or {}).get(field)
    if precision is None or precision_mode not in (_TICK_SIZE, _DECIMAL_PLACES):
        raise ConfigError(f"Expected a {field} step of {market['symbol']}, was none.")
    if precision_mode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(precision))
    # ccxt states steps as floats; their shortest text is the decimal the venue sent
    return Decimal(str(precision))


def _closest(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else "."
