"""Memory has a bound, and what is published as known is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.book import L2Book
from alphaplus.errors import ConfigError
from alphaplus.events import EventArray, Flag, Side, empty_events
from tests.book.events import FAR, INSTRUMENT, cut, message, snapshot, streams
from tests.book.test_l2 import as_tuples, pairs
from tests.book.twins import BoundedDictBook, within

SIDES = (Side.BID, Side.ASK)


@given(
    events=streams(),
    places=st.lists(st.integers(0, 10_000), max_size=6),
    max_levels=st.integers(21, 60),  # a message of these streams has at most 40 levels
)
@settings(max_examples=200)
def test_equals_the_dictionary_book_cut_after_each_message(
    events: EventArray, places: list[int], max_levels: int
) -> None:
    book = L2Book(INSTRUMENT, max_levels=max_levels)
    twin = BoundedDictBook(INSTRUMENT, max_levels)
    for batch in cut(events, places):
        assert as_tuples(book.apply(batch)) == twin.apply(batch)
        book.check_invariants()
        assert book.known_range == twin.known_range
        assert book.pruned == twin.pruned
        for side in SIDES:
            assert pairs(book, side) == twin.levels(side)


@given(events=streams(), max_levels=st.integers(1, 20))
@settings(max_examples=200)
def test_known_range_is_exact_however_little_is_kept(events: EventArray, max_levels: int) -> None:
    book, twin = L2Book(INSTRUMENT, max_levels=max_levels), BoundedDictBook(INSTRUMENT)
    for i in range(len(events)):
        tops = book.apply(events[i : i + 1])
        twin.apply(events[i : i + 1])
        if len(tops):
            assert max(book.bid_count, book.ask_count) <= max_levels
        if (known := book.known_range) is not None:
            for side in SIDES:
                expected = within(twin.levels(side), side, known)
                assert within(pairs(book, side), side, known) == expected
    book.check_invariants()


def test_known_range_ends_at_the_worst_level_that_is_kept() -> None:
    book = L2Book(INSTRUMENT, max_levels=3)
    book.apply(snapshot([(Side.BID, 100 - i, 1.0) for i in range(3)]))
    assert (book.known_range, book.pruned) == ((98, FAR), 0)
    book.apply(message([(Side.BID, 101, 1.0), (Side.ASK, 105, 1.0)], 1))
    assert (book.known_range, book.pruned) == ((99, FAR), 1)
    book.apply(message([(Side.BID, 101, 0.0)], 2))
    book.apply(message([(Side.BID, 50, 1.0)], 3))
    assert pairs(book, Side.BID) == [(100, 1.0), (99, 1.0), (50, 1.0)]
    assert book.known_range == (99, FAR)
    book.apply(snapshot([(Side.BID, 100 - i, 1.0) for i in range(5)]))
    assert (book.known_range, book.pruned, book.bid_count) == ((98, FAR), 3, 3)


def test_snapshot_never_claims_what_it_had_to_drop() -> None:
    far = [(Side.ASK, 100 + 5_000 * i, 1.0) for i in range(600)]
    late = [(Side.ASK, 10**9, 1.0)]
    gone = [(side, tick, 0.0) for side, tick, _ in far]
    book = L2Book(INSTRUMENT, max_levels=50)
    book.apply(snapshot([*far, *gone, *late]))
    known = book.known_range
    assert known is not None
    assert known[1] < far[-1][1]
    assert book.pruned > 0


def test_message_without_an_end_is_bounded_too() -> None:
    book = L2Book(INSTRUMENT, max_levels=100)
    book.apply(snapshot([(Side.BID, 10**7, 1.0), (Side.ASK, 10**7 + 1, 1.0)]))
    random = np.random.default_rng(3)
    rows = empty_events(200_000)
    rows["kind"], rows["side"], rows["value"] = 2, random.choice([-1, 1], len(rows)), 1.0
    rows["price_tick"] = 10**7 - rows["side"] * random.integers(0, 10**7, len(rows))
    for part in np.split(rows, 100):
        assert len(book.apply(part)) == 0
    assert max(book.bid_count, book.ask_count) <= 2 * 100 + 4_096
    assert book.nbytes < 200_000
    book.check_invariants()
    rows[-1:]["flags"] = Flag.LAST
    book.apply(rows[-1:])
    assert (book.bid_count, book.ask_count) == (100, 100)


def test_levels_left_behind_by_a_drifting_price_do_not_pile_up() -> None:
    book = L2Book(INSTRUMENT, max_levels=500)
    size = 0
    for step in range(3_000):  # 100 levels a message, which the venue never deletes
        best = 10**6 + 50 * step
        levels = [(Side.BID, best - i, 1.0) for i in range(50)]
        levels += [(Side.ASK, best + 1 + i, float(i >= 50)) for i in range(-49, 101)]
        book.apply(snapshot(levels) if step == 0 else message(levels, step))
        if step == 300:
            size = book.nbytes
    assert book.bid_count == 500
    assert book.pruned > 100_000
    assert book.nbytes <= size
    assert book.known_range is not None
    assert book.known_range[0] == best - 499
    book.check_invariants()


@pytest.mark.parametrize("max_levels", [0, -1, 10**9 + 1])
def test_number_of_levels_has_limits(max_levels: int) -> None:
    with pytest.raises(ConfigError, match=f"levels a side, was {max_levels}"):
        L2Book(INSTRUMENT, max_levels=max_levels)
