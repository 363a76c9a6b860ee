"""Hypothesis strategies of Binance frames: any key order, space, and fields nobody knows."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from alphaplus.instruments import Instrument, InstrumentKind

INSTRUMENT = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.001"),
)
SPOT = Instrument(
    symbol="ETH-USDT-SPOT",
    exchange="binance",
    venue_symbol="ETHUSDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.0001"),
    kind=InstrumentKind.SPOT,
)

ids = st.integers(0, 10**15)
times = st.integers(1, 4 * 10**12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)  # fmt: skip
unknown_keys = st.sampled_from(["st", "ps", "nq", "ap", "pair", "zz", "", "Ä", "lastUpdateTime"])


@st.composite
def prices(draw: st.DrawFn) -> str:
    """A price on a tick of 0.5, with any number of zeros behind."""
    text = str(draw(st.integers(0, 2_000_000)) * Decimal("0.5"))
    zeros = draw(st.integers(0, 7))
    if zeros and "." not in text:
        text += "."
    return text + "0" * zeros


@st.composite
def quantities(draw: st.DrawFn) -> str:
    """A decimal of up to 18 significant digits."""
    whole = draw(st.integers(0, 10**9 - 1))
    fraction = draw(st.text("0123456789", max_size=9))
    return f"{whole}.{fraction}" if fraction else str(whole)


levels = st.lists(st.tuples(prices(), quantities()).map(list), max_size=6)


@st.composite
def depth_updates(draw: st.DrawFn) -> dict[str, Any]:
    """A change of the book, of futures or spot."""
    first = draw(ids)
    data = {"e": "depthUpdate", "E": draw(times), "s": "BTCUSDT", "U": first, "u": first + 9}
    if draw(st.booleans()):
        data |= {"T": draw(times), "pu": max(0, first - 1)}
    return data | {"b": draw(levels), "a": draw(levels)}


@st.composite
def tickers(draw: st.DrawFn) -> dict[str, Any]:
    """A best bid and ask, with the event type of futures or without as on spot."""
    data = {"u": draw(ids), "s": "BTCUSDT", "b": draw(prices()), "B": draw(quantities())}
    data |= {"a": draw(prices()), "A": draw(quantities())}
    if draw(st.booleans()):
        data |= {"e": "bookTicker", "E": draw(times)}
        data |= draw(st.sampled_from([{}, {"T": draw(times)}]))
    return data


@st.composite
def trades(draw: st.DrawFn) -> dict[str, Any]:
    """A trade or an aggregated trade."""
    data = {"E": draw(times), "T": draw(times), "s": "BTCUSDT", "m": draw(st.booleans())}
    data |= {"p": draw(prices()), "q": draw(quantities())}
    if draw(st.booleans()):
        return data | {"e": "aggTrade", "a": draw(ids), "f": 1, "l": 2}
    data |= {"e": "trade", "t": draw(ids)}
    return data | draw(st.sampled_from([{}, {"X": "MARKET"}, {"X": "INSURANCE_FUND"}, {"X": "NA"}]))


@st.composite
def marks(draw: st.DrawFn) -> dict[str, Any]:
    """A mark price of a perpetual, or of a dated contract without funding."""
    sign = draw(st.sampled_from(["", "-"]))
    return {
        "e": "markPriceUpdate",
        "E": draw(times),
        "s": "BTCUSDT",
        "p": draw(quantities()),
        "P": draw(quantities()),
        "i": draw(quantities() | st.just("")),
        "r": draw(quantities().map(lambda text: sign + text) | st.just("")),
        "T": draw(times | st.just(0)),
    }


@st.composite
def liquidations(draw: st.DrawFn) -> dict[str, Any]:
    """A liquidation order."""
    order = {"s": "BTCUSDT", "S": draw(st.sampled_from(["BUY", "SELL"])), "o": "LIMIT"}
    order |= {"f": "IOC", "q": draw(quantities()), "p": draw(prices()), "ap": "1.5"}
    order |= {"X": "FILLED", "l": "1", "z": "1", "T": draw(times)}
    return {"e": "forceOrder", "E": draw(times), "o": order}


@st.composite
def open_interests(draw: st.DrawFn) -> dict[str, Any]:
    """The REST answer to an open-interest request."""
    return {"openInterest": draw(quantities()), "symbol": "BTCUSDT", "time": draw(times)}


@st.composite
def snapshots(draw: st.DrawFn) -> dict[str, Any]:
    """The REST answer to a depth request, of COIN-M (with a symbol)."""
    return {
        "lastUpdateId": draw(ids),
        "E": draw(times),
        "symbol": "BTCUSDT",
        "bids": draw(levels),
        "asks": draw(levels),
    }


payloads = st.one_of(
    depth_updates(), tickers(), trades(), marks(), liquidations(), open_interests(), snapshots()
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame as bytes: wrapped or bare, in any key order, with unknown fields and space."""
    data = draw(payloads)
    data |= draw(st.dictionaries(unknown_keys, json_values, max_size=3))
    if draw(st.booleans()):
        data = dict(draw(st.permutations(list(data.items()))))
    whole: Any = data
    if draw(st.booleans()):
        whole = {"stream": "btcusdt@whatever", "data": data}
        if draw(st.booleans()):
            whole = dict(reversed(whole.items()))
    indent = draw(st.sampled_from([None, None, 1]))
    separators = draw(st.sampled_from([(",", ":"), (", ", " : ")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(whole, indent=indent, separators=separators, ensure_ascii=ascii_only)
    return text.encode(errors="surrogatepass")
