"""Books for measures of their shape: short ways to make them, and strategies that make many."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import strategies as st

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.book import L2Book
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from tests.book.events import Level, message, snapshot

Ladder = Sequence[tuple[int, float]]
"""(tick, quantity), best first."""

LINEAR = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.001"),
)
INVERSE = Instrument(
    symbol="BTC-USD-BTC-PERP",
    exchange="binance",
    venue_symbol="BTCUSD_PERP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    contract_size=100.0,
    inverse=True,
)
UNIT = Instrument(
    symbol="A-B-SPOT",
    exchange="test",
    venue_symbol="AB",
    tick_size=Decimal(1),
    lot_size=Decimal("0.001"),
)
INSTRUMENTS = st.sampled_from([LINEAR, INVERSE])
SIZES = st.integers(1, 10**6).map(lambda lots: lots / 1000)


def scaled(instrument: Instrument, power: int) -> Instrument:
    """The same instrument with all prices times 2^power."""
    return Instrument(
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        venue_symbol=instrument.venue_symbol,
        tick_size=instrument.tick_size * 2**power,
        lot_size=instrument.lot_size,
        contract_size=instrument.contract_size,
        inverse=instrument.inverse,
    )


def updates_of(bids: Ladder, asks: Ladder) -> list[Level]:
    return [(Side.BID, *level) for level in bids] + [(Side.ASK, *level) for level in asks]


def l2_book(instrument: Instrument, bids: Ladder, asks: Ladder) -> L2Book:
    """A book whose snapshot showed these levels."""
    book = L2Book(instrument)
    book.apply(snapshot(updates_of(bids, asks), sequence=5, ts=7))
    return book


def levels_of(instrument: Instrument, bids: Ladder, asks: Ladder, later: Ladder = ()) -> BookLevels:
    """All levels of such a book; `later` bids came after the snapshot."""
    book = l2_book(instrument, bids, asks)
    if later:
        book.apply(message(updates_of(later, ()), sequence=6, ts=8))
    found = BookLevels.of(book)
    assert found is not None
    return found


@st.composite
def ladders(
    draw: st.DrawFn, *, lowest: int = 500, highest: int = 200_000, gap: int = 60, most: int = 40
) -> tuple[Ladder, Ladder]:
    """An uncrossed book with both sides, best first."""
    centre = draw(st.integers(lowest, highest))
    gaps = st.lists(st.integers(1, gap), min_size=1, max_size=most)

    def side(direction: int, tick: int) -> list[tuple[int, float]]:
        ladder = []
        for step in draw(gaps):
            tick += direction * step
            ladder.append((tick, draw(SIZES)))
        return [level for level in ladder if level[0] > 0]

    bids, asks = side(-1, centre), side(1, centre - 1)
    return bids or [(centre - 1, 1.0)], asks


def mirrored(bids: Ladder, asks: Ladder) -> tuple[Ladder, Ladder]:
    """The same book upside down: prices mirrored at the mid, sides swapped."""
    centre = bids[0][0] + asks[0][0]
    return [(centre - t, q) for t, q in asks], [(centre - t, q) for t, q in bids]


def times(ladder: Ladder, factor: float) -> Ladder:
    """The same prices with all quantities times a factor."""
    return [(tick, quantity * factor) for tick, quantity in ladder]
