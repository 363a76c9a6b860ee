"""What a recording is of, where no market description is given: read from its frames.

The tick is the smallest power of ten that every price of a symbol needs, the lot likewise;
trailing zeros do not count. So ticks may come out finer than the venue's, and never coarser
than the recording: prices, quantities and the book's hash are the same either way.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import UnknownSymbol
from alphaplus.feeds._kernels.layout import ROW
from alphaplus.feeds._kernels.survey import survey
from alphaplus.feeds.binance import MessageKind, SymbolTable, joined, settled
from alphaplus.instruments import Instrument, InstrumentKind

QUOTES: Final = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "BIDR", "IDRT", "USD1",
    "BTC", "ETH", "BNB", "DAI", "EUR", "GBP", "TRY", "BRL", "JPY", "AUD", "USD",
)  # fmt: skip
"""Quote currencies of Binance symbols; the first that a symbol ends with is taken."""

_INVERSE: Final = re.compile(r"(?P<base>[A-Z0-9]+)USD_(?P<date>PERP|\d{6})")
_DATED: Final = re.compile(r"(?P<pair>\w+)_(?P<date>\d{6})")
_CHUNK: Final = 20_000

NOTE: Final = np.dtype(
    [
        ("first_id", "<i8"),
        ("last_id", "<i8"),
        ("name_begin", "<i8"),
        ("name_end", "<i8"),
        ("price_decimals", "<i8"),
        ("quantity_decimals", "<i8"),
        ("kind", "u1"),
        ("has_previous_id", "u1"),
        ("has_event_type", "u1"),
        ("is_spot_trade", "u1"),
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Discovery:
    """The instruments of a recording, and for each frame the instrument that it belongs to.

    `hints` is -1 but for snapshots that name no symbol: those are attributed.
    """

    instruments: tuple[Instrument, ...]
    hints: npt.NDArray[np.int64]


@dataclass(slots=True)
class _Traits:
    price_decimals: int = 0
    quantity_decimals: int = 0
    is_futures: bool = False
    is_spot: bool = False


def infer_instrument(frames: Sequence[bytes], venue_symbol: str | None = None) -> Instrument:
    """Return the instrument that most frames speak of, or the one named.

    Raises UnknownSymbol if no frame speaks of any, or of the one named.
    """
    found = discover(frames).instruments
    for instrument in found:
        if venue_symbol in (None, instrument.venue_symbol):
            return instrument
    raise UnknownSymbol(
        f"Expected frames of {venue_symbol or 'a Binance symbol'}, "
        f"was {', '.join(i.venue_symbol for i in found) or 'none'}."
    )


def discover(frames: Sequence[bytes], instruments: Sequence[Instrument] | None = None) -> Discovery:
    """Scan all frames: which instruments they are of, and whose the nameless snapshots are.

    With `instruments` given, those stand and only the snapshots are attributed. The
    instrument with the most frames comes first.
    """
    notes, symbols = _survey(frames)
    useful = notes["kind"] != MessageKind.OTHER
    if instruments is None:
        counts = Counter(symbol for symbol, use in zip(symbols, useful, strict=True) if use)
        counts.pop("", None)
        names = [name for name, _ in counts.most_common()]
    else:
        names = [instrument.venue_symbol for instrument in instruments]
    owners = _owners(symbols, names)
    hints = _attribute(notes, owners, len(names))
    if instruments is None:
        owners = np.where(hints >= 0, hints, owners)
        instruments = [
            describe(name, _traits(notes[useful & (owners == index)]))
            for index, name in enumerate(names)
        ]
    return Discovery(tuple(instruments), hints)


def describe(name: str, traits: _Traits) -> Instrument:
    """Describe the instrument behind a venue symbol."""
    contract_size = 1.0
    inverse = _INVERSE.fullmatch(name)
    if inverse is not None:
        base, date = inverse.group("base", "date")
        contract_size = 100.0 if base == "BTC" else 10.0
        symbol = f"{base}-USD-{base}-{date}"
        kind = InstrumentKind.PERPETUAL if date == "PERP" else InstrumentKind.FUTURE
    elif (dated := _DATED.fullmatch(name)) is not None:
        base, quote = split_pair(dated["pair"])
        symbol = f"{base}-{quote}-{dated['date']}"
        kind = InstrumentKind.FUTURE
    else:
        base, quote = split_pair(name)
        kind = (
            InstrumentKind.SPOT
            if traits.is_spot and not traits.is_futures
            else InstrumentKind.PERPETUAL
        )
        symbol = f"{base}-{quote}-{'SPOT' if kind is InstrumentKind.SPOT else 'PERP'}"
    return Instrument(
        symbol=symbol,
        exchange="binance",
        venue_symbol=name,
        tick_size=Decimal(1).scaleb(-traits.price_decimals),
        lot_size=Decimal(1).scaleb(-traits.quantity_decimals),
        contract_size=contract_size,
        inverse=inverse is not None,
        kind=kind,
    )


def split_pair(pair: str) -> tuple[str, str]:
    """Split BTCUSDT into its base and quote currency.

    >>> split_pair("1000PEPEUSDC")
    ('1000PEPE', 'USDC')
    """
    for quote in QUOTES:
        if pair.endswith(quote) and len(pair) > len(quote):
            return pair.removesuffix(quote), quote
    half = max(1, len(pair) - 3)  # currency codes have three letters, as a rule
    return pair[:half], pair[half:] or pair


def _survey(frames: Sequence[bytes]) -> tuple[npt.NDArray[np.void], list[str]]:
    table = SymbolTable.of(())
    nowhere = np.empty(0, dtype=ROW)
    notes = np.empty(len(frames), dtype=NOTE)
    symbols: list[str] = []
    for at in range(0, len(frames), _CHUNK):  # bounds the memory of the joined text
        chunk = frames[at : at + _CHUNK]
        buffer, part = joined(chunk), notes[at : at + _CHUNK]
        tables = table.names, table.slots, table.market
        if not survey(buffer, *tables, nowhere, part):
            buffer = settled(chunk)
            survey(buffer, *tables, nowhere, part)
        text = buffer.tobytes()
        spans = zip(part["name_begin"].tolist(), part["name_end"].tolist(), strict=True)
        symbols += [text[begin:end].decode().upper() for begin, end in spans]
    return notes, symbols


def _owners(symbols: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.int64]:
    index = {name: position for position, name in enumerate(names)}
    return np.fromiter(
        (index.get(symbol, -1 if symbol == "" else -2) for symbol in symbols),
        dtype=np.int64,
        count=len(symbols),
    )


def _attribute(
    notes: npt.NDArray[np.void], owners: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Give each nameless snapshot to the instrument whose changes surround its id.

    Update ids of different symbols may overlap; then the symbol with more frames has it.
    """
    hints = np.full(len(notes), -1, dtype=np.int64)
    nameless = np.flatnonzero((notes["kind"] == MessageKind.SNAPSHOT) & (owners == -1))
    if nameless.size == 0 or count == 0:
        return hints
    depth = notes["kind"] == MessageKind.DEPTH
    for at in nameless:
        last_id = notes["last_id"][at]
        around = depth & (notes["first_id"] <= last_id + 1) & (last_id <= notes["last_id"])
        owners_around = owners[around]
        owners_around = owners_around[owners_around >= 0]
        if owners_around.size:
            hints[at] = owners_around.min()
        elif count == 1:
            hints[at] = 0
    return hints


def _traits(notes: npt.NDArray[np.void]) -> _Traits:
    kinds = notes["kind"]
    depth = kinds == MessageKind.DEPTH
    ticker = kinds == MessageKind.BOOK_TICKER
    trade = kinds == MessageKind.TRADE
    typed = notes["has_event_type"] == 1
    is_futures = (depth & (notes["has_previous_id"] == 1)) | (ticker & typed)
    is_spot = (
        (depth & (notes["has_previous_id"] == 0))
        | (ticker & ~typed)
        | (trade & (notes["is_spot_trade"] == 1))
    )
    return _Traits(
        price_decimals=int(notes["price_decimals"].max(initial=0)),
        quantity_decimals=int(notes["quantity_decimals"].max(initial=0)),
        is_futures=bool(is_futures.any()),
        is_spot=bool(is_spot.any()),
    )
