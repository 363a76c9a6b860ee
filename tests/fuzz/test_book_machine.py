"""The book as a machine: anything a venue may send, in any order, beside its twins."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from alphaplus.book import L2Book
from alphaplus.book.best_levels import BEST_COUNT, BEST_LEVELS
from alphaplus.events import EventArray, Flag, Side
from tests.book.events import INSTRUMENT, Level, message, snapshot, ticks
from tests.book.test_l2 import as_tuples, best_of
from tests.book.twins import BoundedDictBook
from tests.fuzz.book import QUANTITIES, SIDES, assert_equal, assert_within, fingerprint

BOTH = (Side.BID, Side.ASK)
quantities = st.sampled_from(QUANTITIES) | st.floats(0.001, 1e6)
sequences = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 100)


class Book(RuleBasedStateMachine):
    """One book that keeps all, one that keeps little, and the dictionaries."""

    @initialize(few=st.integers(1, 60), centre=st.sampled_from([600, 60_000, 10**9]))
    def start(self, few: int, centre: int) -> None:
        self.book, self.small = L2Book(INSTRUMENT), L2Book(INSTRUMENT, max_levels=few)
        self.twin = BoundedDictBook(INSTRUMENT)
        self.centre, self.sequence = centre, 0
        self.rows: list[EventArray] = []

    def levels(self, data: st.DataObject, most: int) -> list[Level]:
        level = st.tuples(st.sampled_from(BOTH), ticks(self.centre), quantities)
        return data.draw(st.lists(level, min_size=1, max_size=most))

    def send(self, events: EventArray) -> None:
        self.rows.append(events)
        best = np.zeros(len(events), dtype=BEST_LEVELS)
        tops = self.book.apply(events, best)
        assert as_tuples(tops) == self.twin.apply(events)
        assert len(self.small.apply(events)) == len(tops)
        for side in BOTH if len(tops) and events["flags"][-1] & Flag.LAST else ():
            assert best_of(best[len(tops) - 1], side) == self.twin.levels(side)[:BEST_COUNT]

    @rule(data=st.data())
    def whole_snapshot(self, data: st.DataObject) -> None:
        self.send(snapshot(self.levels(data, 40), self.sequence))

    @rule(data=st.data(), at=st.integers(0, 41))
    def snapshot_cut_in_two(self, data: st.DataObject, at: int) -> None:
        events = snapshot(self.levels(data, 40), self.sequence)
        self.send(events[:at])
        self.send(events[at:])

    @rule(data=st.data(), at=st.integers(0, 41))
    def snapshot_that_breaks_off(self, data: st.DataObject, at: int) -> None:
        self.send(snapshot(self.levels(data, 40), self.sequence)[:at])

    @rule(data=st.data())
    def end_of_a_snapshot(self, data: st.DataObject) -> None:
        self.send(snapshot(self.levels(data, 10), self.sequence)[1:])

    @rule(data=st.data(), sequence=sequences)
    def change(self, data: st.DataObject, sequence: int) -> None:
        self.sequence = sequence  # forward, backward, or any
        self.send(message(self.levels(data, 25), sequence))

    @rule(data=st.data())
    def change_with_unknown_sides(self, data: st.DataObject) -> None:
        events = message(self.levels(data, 25), self.sequence)
        events["side"] = [data.draw(st.sampled_from(SIDES)) for _ in events]
        self.send(events)

    @rule(data=st.data())
    def change_without_an_end(self, data: st.DataObject) -> None:
        events = message(self.levels(data, 10), self.sequence)
        events["flags"] = 0
        self.send(events)

    @precondition(lambda self: self.rows)
    @rule(back=st.integers(1, 3))
    def batch_again(self, back: int) -> None:
        self.send(self.rows[-min(back, len(self.rows))])

    @rule(side=st.sampled_from(BOTH))
    def side_goes_empty(self, side: Side) -> None:
        levels = [(side, tick, 0.0) for tick, _ in self.twin.levels(side)]
        if levels:
            self.send(message(levels, self.sequence))

    @rule(side=st.sampled_from(BOTH), through=st.integers(0, 5_000))
    def one_side_crosses_the_other(self, side: Side, through: int) -> None:
        other = self.twin.levels(Side(-side))
        if other and abs(other[0][0]) < 2**62:
            self.send(message([(side, other[0][0] + side * through, 1.0)], self.sequence))

    @rule(kind=st.sampled_from([0, 4, 5, 11, 12, 255]), flags=st.integers(0, 3))
    def row_of_another_kind(self, kind: int, flags: int) -> None:
        events = message([(Side.BID, self.centre, 1.0)], self.sequence)
        events["kind"], events["flags"] = kind, flags
        self.send(events)

    @rule(by=st.integers(-20_000, 20_000))
    def price_moves(self, by: int) -> None:
        self.centre += by

    @rule()
    def clear(self) -> None:
        for book in (self.book, self.small):
            book.clear()
        self.twin.clear()
        assert (self.book.is_valid, self.book.bid_count, self.book.ask_count) == (False, 0, 0)
        self.rows.clear()  # what follows is compared with books that begin here

    def teardown(self) -> None:
        if not hasattr(self, "book"):
            return
        for book in (self.book, self.small):
            book.check_invariants()
        assert_equal(self.book, self.twin)
        assert_within(self.small, self.twin)
        for book in (self.book, self.small) if self.rows else ():
            whole = L2Book(INSTRUMENT, max_levels=book.max_levels)
            whole.apply(np.concatenate(self.rows))
            assert (whole.state_hash(), whole.known_range) == fingerprint(book)[:2]
            assert whole.is_valid == book.is_valid
            assert whole.sequence == book.sequence


Book.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBook = Book.TestCase
