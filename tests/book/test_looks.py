"""Looks taken within a batch see what a book that stopped there would show."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.book import L2Book
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.book.looks import MOST_BUCKETS, MOST_LOOKS, Looks
from alphaplus.errors import ConfigError
from alphaplus.events import EventArray, Flag, Kind, Side
from alphaplus.instruments import Instrument
from tests.analysis.planted_books import instrument_of
from tests.book.events import INSTRUMENT, message, snapshot, streams

INVERSE = instrument_of("0.5", size=100.0, inverse=True)


def ends_of(events: EventArray) -> list[int]:
    """Rows that end a message of the book."""
    kinds, flags = events["kind"], events["flags"]
    ends = (kinds == Kind.SNAPSHOT_END) | ((kinds == Kind.DEPTH) & (flags & Flag.LAST != 0))
    return np.flatnonzero(ends).tolist()


def look_at(looks: Looks, rows: list[int]) -> Looks:
    looks.count = len(rows)
    looks.rows["row"][: len(rows)] = rows
    return looks


def limit(bps: float, side: Side, twice_mid: int) -> int:
    """The last tick within a distance, in exact arithmetic."""
    share = Fraction(repr(bps)) / 10_000
    if side is Side.BID:
        return math.ceil(Fraction(twice_mid, 2) * (1 - share))
    return math.floor(Fraction(twice_mid, 2) * (1 + share))


class Plain:
    """The same from the levels of a book, one after the other."""

    def __init__(self, instrument: Instrument, range_bps: float, bucket_bps: float) -> None:
        self.instrument, self.range_bps, self.bucket_bps = instrument, range_bps, bucket_bps
        self.anchor = self.width = 0

    def notional(self, tick: int, quantity: float) -> float:
        size = quantity * self.instrument.contract_size
        return size if self.instrument.inverse else size * self.instrument.price(tick)

    def agrees(self, book: L2Book, looks: Looks, k: int) -> bool:
        """Compare with look number `k`; False if there was nothing to see."""
        row, known = looks.rows[k], book.known_range
        bid, ask = book.best_bid_tick, book.best_ask_tick
        if known is None or bid is None or ask is None or not 0 < bid < ask < 2**40:
            assert row["bid_tick"] == row["ask_tick"] == 0
            return False
        twice = bid + ask
        if not self.width or abs(twice - self.anchor) > self.anchor // 10:
            self.anchor, self.width = twice, max(1, int(twice * self.bucket_bps / 2e4 + 0.5))
        assert (row["bid_tick"], row["ask_tick"]) == (bid, ask)
        assert (row["anchor"], row["width"]) == (self.anchor, self.width)
        for s, side in enumerate((Side.BID, Side.ASK)):
            end, near = limit(self.range_bps, side, twice), limit(10.0, side, twice)
            sign = 1 if side is Side.ASK else -1
            origin = (self.anchor + 1) // 2 if side is Side.ASK else self.anchor // 2
            sums: dict[int, float] = {}
            largest: dict[int, tuple[float, int]] = {}
            close = 0.0
            pairs = list(zip(*(part.tolist() for part in book.levels(side)), strict=True))
            for tick, quantity in pairs:
                weight = self.notional(tick, quantity)
                close += weight if sign * (near - tick) >= 0 else 0.0
                if sign * (end - tick) >= 0:
                    bucket = sign * (tick - origin) // self.width
                    sums[bucket] = sums.get(bucket, 0.0) + weight
                    largest.setdefault(bucket, (weight, tick))
                    if weight > largest[bucket][0] * (1 + 1e-12):
                        largest[bucket] = (weight, tick)
            assert row["limit"][s] == end
            assert row["near_notional"][s] == pytest.approx(close, rel=1e-9)
            assert bool(row["truncated"][s]) == (sign * (end - known[s]) > 0)
            assert bool(row["near_truncated"][s]) == (sign * (near - known[s]) > 0)
            count, first = int(row["buckets"][s]), int(row["first"][s])
            assert not sums or set(sums) <= set(range(first, first + count))
            for b in range(count):
                found = looks.notionals[k, s, b]
                assert found == pytest.approx(sums.get(first + b, 0.0), rel=1e-9, abs=1e-300)
            depth = sum(sums.values())
            for bucket, weight in sums.items():
                if weight > 0.051 * depth:
                    tick = int(looks.heaviest[k, s, bucket - first])
                    held = self.notional(tick, dict(pairs)[tick])
                    assert held == pytest.approx(largest[bucket][0], rel=1e-9)
        return True


def compare(instrument: Instrument, events: EventArray, places: list[int], bps: float) -> int:
    """Look at these messages within one batch, and at a book that takes them one by one."""
    ends = ends_of(events)
    rows = sorted({ends[place % len(ends)] for place in places})[:MOST_LOOKS] if ends else []
    bucket = max(1.0, bps / 50.0)
    looks = look_at(Looks(instrument, range_bps=bps, bucket_bps=bucket), rows)
    whole, other = L2Book(instrument), L2Book(instrument)
    best = np.zeros(len(events), dtype=BEST_LEVELS)
    tops = whole.apply(events, best, looks)
    plain, seen, begin, given = Plain(instrument, bps, bucket), 0, 0, []
    expected_best = np.zeros(len(events), dtype=BEST_LEVELS)
    for k, row in enumerate([*rows, len(events) - 1]):
        part = other.apply(events[begin : row + 1], expected_best[len(given) :])
        given += part.tolist()
        begin = row + 1
        if k < len(rows):
            seen += plain.agrees(other, looks, k)
    assert tops.tolist() == given
    assert best[: len(tops)].tobytes() == expected_best[: len(tops)].tobytes()
    assert whole.state_hash() == other.state_hash()
    whole.check_invariants()
    return seen


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.integers(0, 200), max_size=12), st.sampled_from([5.0, 50.0, 900.0]))
def test_looks_within_a_batch_equal_looks_between_batches(
    events: EventArray, places: list[int], bps: float
) -> None:
    for instrument in (INSTRUMENT, INVERSE):
        compare(instrument, events, places, bps)


@pytest.mark.parametrize("instrument", [INSTRUMENT, INVERSE])
@pytest.mark.parametrize("bps", [2.5, 50.0, 400.0])
def test_a_drifting_book_is_seen_as_it_is(instrument: Instrument, bps: float) -> None:
    rng = np.random.default_rng(8)
    centre, parts = 60_000, []
    sides = ((Side.BID, -1), (Side.ASK, 1))
    levels = [
        (side, centre + sign * k, 1.0 + k % 7) for side, sign in sides for k in range(1, 3000)
    ]
    parts.append(snapshot(levels, 1))
    for number in range(2, 300):
        step = int(rng.integers(-30, 31))
        change = [
            (Side.ASK if step > 0 else Side.BID, centre + k * (1 if step > 0 else -1), 0.0)
            for k in range(1, abs(step) + 1)
        ]
        centre += step
        change += [
            (side, centre + sign * int(k), float(rng.random()))
            for side, sign in sides
            for k in rng.integers(1, 6_000, 20)
        ]
        parts.append(message(change, number))
    events = np.concatenate(parts)
    assert compare(instrument, events, list(range(0, 300, 5)), bps) == 60


def test_buckets_are_bounded() -> None:
    looks = look_at(Looks(INSTRUMENT, range_bps=5_000.0), [3])
    L2Book(INSTRUMENT).apply(
        snapshot([(Side.BID, 60_000, 1.0), (Side.ASK, 60_001, 1.0)], 1), None, looks
    )
    assert looks.rows["buckets"][0].tolist() == [MOST_BUCKETS, MOST_BUCKETS]


@pytest.mark.parametrize("name", ["range_bps", "near_bps", "bucket_bps"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_wrong_distances_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Looks(INSTRUMENT, **{name: value})
