"""Books and trades made from plain lists, for measures that look at whole books."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from alphaplus.analysis.book_levels import BookLevels, side_levels
from alphaplus.analysis.tape import TRADE, Tape, TradeArray
from alphaplus.instruments import Instrument

SECOND = 1_000_000_000
MS = 1_000_000
START = 1_700_000_000 * SECOND


def instrument_of(tick: str = "1", *, size: float = 1.0, inverse: bool = False) -> Instrument:
    return Instrument(
        symbol="BTC-USDT-PERP",
        exchange="planted",
        venue_symbol="BTCUSDT",
        tick_size=Decimal(tick),
        lot_size=Decimal("0.001"),
        contract_size=size,
        inverse=inverse,
    )


def book_of(
    instrument: Instrument,
    ts_ns: int,
    bids: Iterable[tuple[int, float]],
    asks: Iterable[tuple[int, float]],
    *,
    known: tuple[int, int] | None = None,
) -> BookLevels:
    """Build a book from (tick, quantity) pairs in any order; known to its ends by default."""
    sides = []
    for s, pairs in enumerate((bids, asks)):
        ordered = sorted(pairs, reverse=s == 0)
        ticks = np.array([tick for tick, _ in ordered], dtype=np.int64)
        quantities = np.array([quantity for _, quantity in ordered], dtype=np.float64)
        end = known[s] if known else (-(2**62), 2**62)[s]
        sides.append(side_levels(instrument, ticks, quantities, end))
    return BookLevels.from_sides(instrument, *sides, ts_event=ts_ns, ts_recv=ts_ns, sequence=1)


def trades_of(rows: Sequence[tuple[int, int, float, int]]) -> TradeArray:
    """Build trades from (ts, tick, quantity, aggressor) rows."""
    trades = np.zeros(len(rows), dtype=TRADE)
    for i, (ts, tick, quantity, side) in enumerate(rows):
        trades[i]["ts_event"], trades[i]["ts_recv"] = ts, ts
        trades[i]["price_tick"], trades[i]["quantity"], trades[i]["side"] = tick, quantity, side
    return trades


def tape_of(*rows: tuple[int, int, float, int]) -> Tape:
    return Tape.of(trades=trades_of(rows))
