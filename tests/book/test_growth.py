"""A day of a drifting price, in small: the book neither grows nor forgets what it claims."""

import numpy as np

from alphaplus.book import L2Book
from alphaplus.events import Flag, Kind, Side
from benchmarks.growth import instrument, synthetic_day
from tests.book.twins import within

UPDATES = 300_000
MAX_LEVELS = 2_000


def test_book_is_bounded_and_exact_over_a_drifting_day() -> None:
    book = L2Book(instrument(), max_levels=MAX_LEVELS)
    everything: dict[Side, dict[int, float]] = {Side.BID: {}, Side.ASK: {}}
    sizes, compared = [], {Side.BID: 0, Side.ASK: 0}
    done = 0
    for number, batch in enumerate(synthetic_day(UPDATES)):
        tops = book.apply(batch)
        assert not tops["crossed"].any()
        rows = batch[batch["kind"] == Kind.DEPTH]
        for side, levels in everything.items():
            own = rows[rows["side"] == side]
            levels.update(zip(own["price_tick"].tolist(), own["value"].tolist(), strict=True))
            if number % 5 == 0:
                compared[side] += compare(book, side, levels)
        done += len(rows)
        sizes.append(book.nbytes)
        assert max(book.bid_count, book.ask_count) <= MAX_LEVELS
    assert done == UPDATES
    assert max(sizes) <= 1.1 * sizes[len(sizes) // 3]
    book.check_invariants()
    for side, levels in everything.items():
        assert sum(q > 0 for q in levels.values()) > 4 * MAX_LEVELS  # the venue's own book grew
        assert compared[side] > 5 * MAX_LEVELS


def compare(book: L2Book, side: Side, levels: dict[int, float]) -> int:
    """Return how many levels are known; they must be exactly those of the venue."""
    known = book.known_range
    assert known is not None
    there = sorted(((t, q) for t, q in levels.items() if q > 0), reverse=side is Side.BID)
    ticks, quantities = book.levels(side)
    kept = list(zip(ticks.tolist(), quantities.tolist(), strict=True))
    exact = within(there, side, known)
    assert within(kept, side, known) == exact
    return len(exact)


def test_messages_of_the_synthetic_day_are_whole_and_cut_at_the_last_update() -> None:
    batches = list(synthetic_day(20_000))
    rows = np.concatenate(batches)
    depth = rows[rows["kind"] == Kind.DEPTH]
    assert len(depth) == 20_000
    assert all(batch["flags"][-1] == Flag.LAST for batch in batches)
    last = np.flatnonzero(depth["flags"] == Flag.LAST)
    assert np.array_equal(depth["sequence"][last], np.unique(depth["sequence"]))
