"""Books as arrays, against a dictionary book and plain sums."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_levels import LEAST_LEVELS, BookLevels, SideLevels, side_levels
from alphaplus.book import L2Book
from alphaplus.events import EventArray, Side
from alphaplus.instruments import Instrument
from tests.analysis.shape_books import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    UNIT,
    Ladder,
    l2_book,
    ladders,
    levels_of,
)
from tests.book.events import INSTRUMENT, message, snapshot, streams
from tests.oracles import DictBook

COLUMNS = ("ticks", "prices", "quantities", "notionals", "running_notionals", "running_bases")


def assert_equal(found: SideLevels, expected: SideLevels) -> None:
    assert found.known_tick == expected.known_tick
    for name in COLUMNS:
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@given(events=streams())
@settings(max_examples=150)
def test_reads_what_a_dictionary_book_holds(events: EventArray) -> None:
    book, plain = L2Book(INSTRUMENT), DictBook(INSTRUMENT)
    book.apply(events)
    plain.apply(events)
    found = BookLevels.of(book)
    bids, asks = plain.levels(Side.BID), plain.levels(Side.ASK)
    if not (plain.is_valid and bids and asks and 0 < bids[0][0] < asks[0][0]):
        assert found is None
        return
    assert found is not None
    assert plain.known_range == (found.bids.known_tick, found.asks.known_tick)
    assert (found.sequence, found.ts_event, found.ts_recv) == (
        book.sequence,
        book.ts_event,
        book.ts_recv,
    )
    for side, levels in ((found.bids, bids), (found.asks, asks)):
        assert list(zip(side.ticks.tolist(), side.quantities.tolist(), strict=True)) == levels
        again = side_levels(INSTRUMENT, side.ticks, side.quantities, side.known_tick)
        assert_equal(side, again)


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=100)
def test_prices_notionals_and_sums_equal_those_of_single_levels(
    instrument: Instrument, ladder: tuple[Ladder, Ladder]
) -> None:
    found = levels_of(instrument, *ladder)
    for side, levels in zip((found.bids, found.asks), ladder, strict=True):
        prices = [instrument.price(tick) for tick, _ in levels]
        assert side.prices.tolist() == prices
        notionals = [
            instrument.notional(at, quantity)
            for at, (_, quantity) in zip(prices, levels, strict=True)
        ]
        assert side.notionals.tolist() == pytest.approx(notionals, rel=1e-15)
        assert side.running_notionals.tolist() == pytest.approx(
            np.cumsum(notionals).tolist(), rel=1e-12
        )
        bases = np.array(notionals) / np.array(prices)
        assert side.running_bases.tolist() == pytest.approx(np.cumsum(bases).tolist(), rel=1e-12)
        assert (np.diff(side.running_notionals) >= 0).all()
        assert (np.diff(side.running_bases) >= 0).all()
    twice = ladder[0][0][0] + ladder[1][0][0]
    assert found.mid == instrument.price(twice) / 2


def test_book_of_many_thousand_levels_is_read_whole() -> None:
    bids = [(50_000 - 3 * i, 1.0 + i % 7) for i in range(6_000)]
    asks = [(50_001 + i + 2 * (i // 5), 2.0 + i % 3) for i in range(9_000)]
    found = levels_of(LINEAR, bids, asks)
    for side, levels in ((found.bids, bids), (found.asks, asks)):
        assert side.ticks.tolist() == [tick for tick, _ in levels]
        assert side.quantities.tolist() == [quantity for _, quantity in levels]
        assert side.running_bases[-1] == sum(quantity for _, quantity in levels)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([], []), ([(100, 1.0)], []), ([], [(100, 1.0)]), ([(100, 1.0)], [(100, 1.0)])],
)
def test_empty_one_sided_or_locked_book_is_none(bids: Ladder, asks: Ladder) -> None:
    assert BookLevels.of(l2_book(LINEAR, bids, asks)) is None


@pytest.mark.parametrize("tick", [0, -5])
def test_best_bid_at_or_below_zero_is_none(tick: int) -> None:
    assert BookLevels.of(l2_book(INVERSE, [(tick, 1.0)], [(7, 1.0)])) is None


def test_book_in_the_midst_of_a_snapshot_is_none() -> None:
    book = l2_book(LINEAR, [(100, 1.0)], [(101, 1.0)])
    book.apply(snapshot([(Side.BID, 100, 1.0), (Side.ASK, 101, 1.0)])[:2])
    assert BookLevels.of(book) is None
    assert BookLevels.of(L2Book(LINEAR)) is None


def test_inverse_level_at_price_zero_takes_any_base_amount() -> None:
    found = levels_of(INVERSE, [(10, 1.0), (0, 1.0)], [(12, 1.0)])
    assert found.bids.running_bases.tolist() == [100.0, np.inf]


def test_arrays_are_a_copy_of_the_moment() -> None:
    book = l2_book(LINEAR, [(100, 1.0)], [(101, 1.0)])
    before = BookLevels.of(book)
    assert before is not None
    book.apply(message([(Side.BID, 100, 3.0), (Side.BID, 99, 1.0)]))
    after = BookLevels.of(book)
    assert after is not None
    assert before.bids.quantities.tolist() == [1.0]
    assert after.bids.quantities.tolist() == [3.0, 1.0]


@given(
    gaps=st.lists(st.integers(1, 200), min_size=1, max_size=400),
    reach_bps=st.sampled_from([0.0, 1.0, 25.0, 300.0, np.inf]),
)
@settings(max_examples=100)
def test_a_reach_leaves_out_none_but_far_levels(gaps: list[int], reach_bps: float) -> None:
    ticks = 100_000 + np.cumsum(gaps)
    asks = [(int(tick), 1.0 + tick % 7) for tick in ticks]
    bids = [(200_000 - tick, quantity) for tick, quantity in asks]
    book = l2_book(LINEAR, bids, asks)
    whole, part = BookLevels.of(book), BookLevels.of(book, reach_bps)
    assert whole is not None
    assert part is not None
    assert part.mid == whole.mid
    for found, everything in ((part.bids, whole.bids), (part.asks, whole.asks)):
        count = len(found.ticks)
        assert count >= min(LEAST_LEVELS, len(gaps))
        for name in COLUMNS:
            assert np.array_equal(getattr(found, name), getattr(everything, name)[:count]), name
        assert (1e4 * abs(everything.prices[count:] / whole.mid - 1) > reach_bps).all()
    assert_equal(part.whole().bids, whole.bids)
    assert_equal(part.whole().asks, whole.asks)


def test_rest_of_a_book_that_has_changed_is_refused() -> None:
    levels = [(1_000 + 10 * i, 1.0) for i in range(1_000)]
    book = l2_book(LINEAR, [(999, 1.0)], levels)
    part = BookLevels.of(book, 1.0)
    assert part is not None
    assert len(part.asks.ticks) < 1_000
    book.apply(message([(Side.ASK, 1_000, 2.0)], 6))
    with pytest.raises(RuntimeError, match="read it again"):
        part.whole()


@given(size=st.sampled_from([0.001, 1.0, 10.0]))
@settings(max_examples=3)
def test_many_instruments_keep_their_own_terms(size: float) -> None:
    ladder: tuple[Ladder, Ladder] = [(100, 2.0)], [(101, 2.0)]
    for number in range(1, 500):
        instrument = Instrument(
            symbol=f"X{number}-USDT-PERP",
            exchange="test",
            venue_symbol="X",
            tick_size=Decimal(number),
            lot_size=Decimal(1),
            contract_size=size,
        )
        found = levels_of(instrument, *ladder)
        assert found.bids.notionals[0] == pytest.approx(200.0 * number * size, rel=1e-15)
    assert levels_of(UNIT, *ladder).mid == 100.5
