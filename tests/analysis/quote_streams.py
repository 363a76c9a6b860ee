"""Streams of best quotes and trades made by hypothesis, and tapes cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import QUOTE, TRADE, Tape
from alphaplus.instruments import Instrument

MS: Final = 1_000_000
START: Final = 1_700_000_000_000 * MS

LINEAR: Final = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)
INVERSE: Final = Instrument(
    symbol="BTC-USD-BTC-PERP",
    exchange="binance",
    venue_symbol="BTCUSD_PERP",
    tick_size=Decimal("0.5"),
    lot_size=Decimal(1),
    contract_size=100.0,
    inverse=True,
)
INSTRUMENTS: Final = st.sampled_from([LINEAR, INVERSE])


@dataclass(frozen=True)
class Quote:
    ts_event: int
    bid: int
    ask: int
    bid_quantity: float = 1.0
    ask_quantity: float = 1.0
    ts_recv: int = 0

    @property
    def is_valid_spread(self) -> bool:
        sizes = (self.bid_quantity, self.ask_quantity)
        return 0 < self.bid < self.ask <= 2**52 and all(0 < s < float("inf") for s in sizes)

    @property
    def is_valid(self) -> bool:
        """Also its sizes can be reckoned with."""
        return self.is_valid_spread and max(self.bid_quantity, self.ask_quantity) < 1e200


@dataclass(frozen=True)
class Trade:
    ts_event: int
    tick: int
    quantity: float = 1.0
    side: int = 1
    off_market: int = 0
    ts_recv: int = 0


@dataclass(frozen=True)
class Break:
    """The stream broke off."""


Stream = Sequence[Quote | Trade | Break]

SIZES: Final = st.integers(1, 40).map(lambda lots: lots / 8)
BAD_SIZES: Final = st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 1e300])


@st.composite
def quotes(draw: st.DrawFn, ts_event: int, ts_recv: int) -> Quote:
    """A quote of a few ticks, now and then one that is not valid."""
    bid = draw(st.integers(1000, 1012))
    ask = bid + draw(st.sampled_from([1, 1, 1, 2, 3, 4, 7, 40]))
    quote = Quote(ts_event, bid, ask, draw(SIZES), draw(SIZES), ts_recv)
    match draw(st.integers(0, 24)):
        case 0:
            return replace(quote, bid=ask)
        case 1:
            return replace(quote, bid_quantity=draw(BAD_SIZES))
        case 2:
            return replace(quote, ask_quantity=draw(BAD_SIZES))
        case 3:
            return replace(quote, bid=draw(st.sampled_from([0, -(2**63)])))
    return quote


@st.composite
def trades(draw: st.DrawFn, ts_event: int, ts_recv: int) -> Trade:
    """A trade near the quotes, now and then one that says nothing of its taker."""
    trade = Trade(ts_event, draw(st.integers(998, 1016)), draw(SIZES), ts_recv=ts_recv)
    trade = replace(trade, side=draw(st.sampled_from([1, -1])))
    match draw(st.integers(0, 24)):
        case 0:
            return replace(trade, side=0)
        case 1:
            return replace(trade, off_market=1)
        case 2:
            return replace(trade, quantity=draw(BAD_SIZES))
        case 3:
            return replace(trade, tick=draw(st.sampled_from([0, -5, 2**60])))
    return trade


@st.composite
def streams(draw: st.DrawFn, *, with_trades: bool = False, most: int = 60) -> Stream:
    """Events in order of arrival; each socket is late by its own, varying time."""
    made: list[Quote | Trade | Break] = []
    received = START
    kinds = st.sampled_from("qqqqtttt" if with_trades else "qqqqqqqq")
    for _ in range(draw(st.integers(0, most))):
        received += draw(st.sampled_from([0, 1, 1, 2, 5, 20, 100, 700])) * MS + 1
        at = received // MS * MS - draw(st.integers(0, 30)) * MS
        if draw(st.integers(0, 30)) == 0:
            made.append(Break())
        elif made and isinstance(made[-1], Trade) and draw(st.booleans()):
            made.append(replace(made[-1], quantity=draw(SIZES), ts_recv=received))
        elif draw(kinds) == "q":
            made.append(draw(quotes(at, received)))
        else:
            made.append(draw(trades(at, received)))
    return made


def quote_rows(stream: Stream) -> Any:
    rows = np.zeros(len(stream), QUOTE)
    for row, quote in zip(rows, stream, strict=True):
        assert isinstance(quote, Quote)
        row["ts_event"], row["ts_recv"] = quote.ts_event, quote.ts_recv
        row["bid_tick"], row["ask_tick"] = quote.bid, quote.ask
        row["bid_quantity"], row["ask_quantity"] = quote.bid_quantity, quote.ask_quantity
    return rows


def trade_rows(stream: Stream) -> Any:
    rows = np.zeros(len(stream), TRADE)
    for number, (row, trade) in enumerate(zip(rows, stream, strict=True)):
        assert isinstance(trade, Trade)
        row["ts_event"], row["ts_recv"] = trade.ts_event, trade.ts_recv
        row["trade_id"], row["price_tick"] = number + 1, trade.tick
        row["quantity"], row["side"] = trade.quantity, trade.side
        row["off_market"] = trade.off_market
    return rows


def newest_time(stream: Stream) -> int:
    return max((event.ts_event for event in stream if not isinstance(event, Break)), default=0)


def feed(measure: Measure, stream: Stream, cuts: Sequence[int] = ()) -> dict[str, Any]:
    """Give a measure the stream, cut before the events of these numbers; return its values."""
    breaks = {n for n, event in enumerate(stream) if isinstance(event, Break)}
    bounds = {0, len(stream), *breaks, *(n + 1 for n in breaks), *cuts}
    now = 0
    for begin, end in pairwise(sorted(n for n in bounds if n <= len(stream))):
        part = stream[begin:end]
        if begin in breaks:
            measure.interrupt()
            continue
        now = max(now, newest_time(part))
        measure.update(
            Tape.of(
                quotes=quote_rows([event for event in part if isinstance(event, Quote)]),
                trades=trade_rows([event for event in part if isinstance(event, Trade)]),
                ts_event=now,
            )
        )
    return measure.values()


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values under one name each."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
