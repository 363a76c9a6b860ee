"""The book against its dictionary twin, and the cases that have a name."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.book import L2Book, TopArray
from alphaplus.book import _kernels as kernels
from alphaplus.book.best_levels import BEST_COUNT, BEST_LEVELS, BestLevelsArray
from alphaplus.book.looks import Looks
from alphaplus.events import EventArray, Kind, Side, empty_events, event, events_from_bytes
from tests.book.events import FAR, INSTRUMENT, Level, cut, message, snapshot, streams, ticker
from tests.oracles import DictBook, Top

BOOK = [(Side.BID, 1000, 1.0), (Side.BID, 999, 2.0), (Side.ASK, 1001, 3.0), (Side.ASK, 1003, 4.0)]


def as_tuples(tops: TopArray) -> list[Top]:
    names = ("ts_recv", "sequence", "bid_tick", "bid_quantity", "ask_tick", "ask_quantity")
    return [(*(row[name].item() for name in names), bool(row["crossed"]), int(row["kind"]))
            for row in tops]  # fmt: skip


def best_rows(count: int) -> BestLevelsArray:
    """Rows full of what must not be left in them."""
    return np.frombuffer(b"\xff" * BEST_LEVELS.itemsize * count, dtype=BEST_LEVELS).copy()


def best_of(row: BestLevelsArray, side: Side) -> list[tuple[int, float]]:
    """The levels of one side in a row, whose rest must be zeros."""
    name = side.name.lower()
    found = row[f"{name}_tick"].tolist(), row[f"{name}_quantity"].tolist()
    levels = list(zip(*found, strict=True))
    count = sum(quantity > 0 for _, quantity in levels)
    assert levels[count:] == [(0, 0.0)] * (BEST_COUNT - count)
    return levels[:count]


def pairs(book: L2Book, side: Side, depth: int | None = None) -> list[tuple[int, float]]:
    found, quantities = book.levels(side, depth)
    return list(zip(found.tolist(), quantities.tolist(), strict=True))


def assert_twins(book: L2Book, twin: DictBook) -> None:
    book.check_invariants()
    assert book.is_valid == twin.is_valid
    assert book.known_range == twin.known_range
    for side, count in ((Side.BID, book.bid_count), (Side.ASK, book.ask_count)):
        expected = twin.levels(side)
        assert count == len(expected)
        assert pairs(book, side) == expected
        assert pairs(book, side, 7) == expected[:7]
    bids, asks = twin.levels(Side.BID), twin.levels(Side.ASK)
    assert book.best_bid_tick == (bids[0][0] if bids else None)
    assert book.best_ask_tick == (asks[0][0] if asks else None)
    assert book.is_crossed == bool(bids and asks and bids[0][0] >= asks[0][0])
    assert book.state_hash() == twin.state_hash()


def book_of(*batches: EventArray) -> L2Book:
    book = L2Book(INSTRUMENT)
    for batch in batches:
        book.apply(batch)
    book.check_invariants()
    return book


@given(events=streams(), places=st.lists(st.integers(0, 10_000), max_size=6))
@settings(max_examples=250)
def test_equals_the_dictionary_book_however_the_batches_are_cut(
    events: EventArray, places: list[int]
) -> None:
    book, twin = L2Book(INSTRUMENT), DictBook(INSTRUMENT)
    tops: list[Top] = []
    expected: list[Top] = []
    for batch in cut(events, places):
        tops += as_tuples(book.apply(batch))
        expected += twin.apply(batch)
        assert_twins(book, twin)
    assert tops == expected


@given(events=streams(), places=st.lists(st.integers(0, 10_000), max_size=6))
@settings(max_examples=100)
def test_best_levels_are_those_after_each_message(events: EventArray, places: list[int]) -> None:
    book, twin = L2Book(INSTRUMENT), DictBook(INSTRUMENT)
    for batch in cut(events, places):
        rows = best_rows(len(batch) + 2)
        tops = book.apply(batch, rows)
        assert rows[len(tops) :].tobytes() == best_rows(len(rows) - len(tops)).tobytes()
        names = ["ts_event", "ts_recv", "sequence"]
        assert rows[: len(tops)][names].tolist() == tops[names].tolist()
        done = 0
        for i in range(len(batch)):  # one row of the message at a time
            if twin.apply(batch[i : i + 1]):
                for side in (Side.BID, Side.ASK):
                    assert best_of(rows[done], side) == twin.levels(side)[:BEST_COUNT]
                done += 1
        assert done == len(tops)


@pytest.mark.parametrize("size", [1, 3, 50, 1000])
def test_touches_of_earlier_calls_stay_what_they_were(size: int) -> None:
    book = book_of(snapshot(BOOK))
    messages = [message([(Side.BID, 1000, float(i))], i, ts=i) for i in range(1, 1001)]
    tops = [
        book.apply(np.concatenate(messages[start : start + size])) for start in range(0, 1000, size)
    ]
    assert [len(part) for part in tops[:-1]] == [size] * (len(tops) - 1)
    for name in ("sequence", "bid_quantity"):
        found = np.concatenate([part[name] for part in tops])
        assert found.tolist() == list(range(1, 1001))


def test_large_batch_leaves_no_memory_in_the_book() -> None:
    book = book_of(snapshot(BOOK))
    before = book.nbytes
    batch = np.concatenate([message([(Side.BID, 1000, 1.0)], i) for i in range(1, 5001)])
    assert len(book.apply(batch)) == 5000
    assert book.nbytes == before


def test_best_levels_need_room_for_each_message() -> None:
    events = np.concatenate((snapshot(BOOK), message(BOOK, 1), message(BOOK, 2)))
    book = L2Book(INSTRUMENT)
    with pytest.raises(ValueError, match="Expected room for 3 messages, was 2"):
        book.apply(events, best_rows(2))
    assert not book.is_valid
    assert book.bid_count == 0
    assert len(book.apply(events, best_rows(3))) == 3


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("look_after", [None, 3, 7, 11])
def test_a_valid_book_is_cleared_where_best_levels_lack_room(
    rows: int, look_after: int | None
) -> None:
    events = np.concatenate([message(BOOK, i) for i in range(1, 4)])
    book, looks = book_of(snapshot(BOOK)), Looks(INSTRUMENT)
    if look_after is not None:
        looks.count, looks.rows["row"][0] = 1, look_after
    with pytest.raises(ValueError, match=f"Expected room for 3 messages, was {rows}"):
        book.apply(events, best_rows(rows), looks)
    assert not book.is_valid
    assert book.bid_count == book.ask_count == 0
    tops = book.apply(np.concatenate((snapshot(BOOK), events)), best_rows(4))
    assert tops["sequence"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("tick", [1000, 1000 - kernels.WINDOW, 10])
def test_negative_zero_removes_a_level(tick: int) -> None:
    book = book_of(snapshot([*BOOK, (Side.BID, tick, 1.0)]))
    before = book.bid_count
    book.apply(message([(Side.BID, tick, -0.0)], 1))
    assert book.bid_count == before - 1
    assert book.rejected == 0
    book.check_invariants()


def test_best_levels_must_be_writeable_rows() -> None:
    book, read_only = book_of(snapshot(BOOK)), best_rows(9)
    read_only.flags.writeable = False
    for wrong in (read_only, best_rows(9)[::2], np.zeros(9), best_rows(9).reshape(3, 3)):
        with pytest.raises(ValueError, match="contiguous, writeable array of BEST_LEVELS"):
            book.apply(message(BOOK, 1), wrong)
    assert book.sequence == 0


@pytest.mark.parametrize("spread", [300, 3_000, 300_000, 10**12])
@pytest.mark.parametrize("drift", [0, 40, -900])
def test_equals_the_dictionary_book_over_a_long_drifting_run(spread: int, drift: int) -> None:
    random = np.random.default_rng(spread + drift + 1000)
    book, twin = L2Book(INSTRUMENT), DictBook(INSTRUMENT)
    centre = 10**7
    for step in range(400):
        centre += drift
        levels: list[Level] = []
        for side in (Side.BID, Side.ASK):
            away = np.abs(random.normal(0, spread, size=20)).astype(int).tolist()
            sizes = random.choice([0.0, 0.0, 1.5, 2.25], size=20).tolist()
            levels += [(side, centre - side * d, q) for d, q in zip(away, sizes, strict=True)]
        for side in (Side.BID, Side.ASK):  # the price moved through these levels
            through = [tick for tick, _ in twin.levels(side) if (tick - centre) * side > 0]
            levels += [(side, tick, 0.0) for tick in through]
        batch = snapshot(levels) if step == 0 else message(levels, step)
        assert as_tuples(book.apply(batch)) == twin.apply(batch)
    assert_twins(book, twin)


@given(events=streams(snapshots=1), depth=st.integers(-1, 50), at=st.integers(0, 10**6))
@settings(max_examples=60)
def test_levels_stop_at_the_depth_and_at_the_price(events: EventArray, depth: int, at: int) -> None:
    book = book_of(events)
    for side in (Side.BID, Side.ASK):
        inside = [level for level in pairs(book, side) if (level[0] - at) * side >= 0]
        found, quantities = book.levels(side, depth, to_tick=at)
        kept = inside[: max(depth, 0)]
        assert list(zip(found.tolist(), quantities.tolist(), strict=True)) == kept


def test_new_book_knows_nothing() -> None:
    book = L2Book(INSTRUMENT)
    assert not book.is_valid
    assert not book.is_crossed
    assert book.sequence is None
    assert book.known_range is None
    assert book.best_bid_tick is None
    assert book.best_ask_tick is None
    assert book.bid_count == book.ask_count == 0
    view = book.view(5)
    assert (view.bids, view.asks, view.sequence, view.ts_event) == ((), (), None, None)


def test_snapshot_replaces_everything_and_sets_the_known_range() -> None:
    book = book_of(snapshot([(Side.BID, 5, 1.0), (Side.ASK, FAR, 1.0)]), snapshot(BOOK, 7, ts=9))
    assert pairs(book, Side.BID) == [(1000, 1.0), (999, 2.0)]
    assert pairs(book, Side.ASK) == [(1001, 3.0), (1003, 4.0)]
    assert book.known_range == (999, 1003)
    assert (book.sequence, book.ts_event, book.ts_recv) == (7, 9, 9)


def test_known_range_does_not_follow_later_levels() -> None:
    book = book_of(snapshot(BOOK), message([(Side.BID, 10, 1.0), (Side.ASK, 5000, 1.0)], 1))
    assert book.known_range == (999, 1003)


def test_delta_without_snapshot_returns_no_touch() -> None:
    book = L2Book(INSTRUMENT)
    assert len(book.apply(message(BOOK, 1))) == 0
    assert not book.is_valid
    assert book.sequence is None


def test_book_is_not_valid_between_the_halves_of_a_snapshot() -> None:
    whole = snapshot(BOOK, 3)
    book = book_of(snapshot(BOOK, 1))
    assert len(book.apply(whole[:3])) == 0
    assert not book.is_valid
    assert len(book.apply(whole[3:])) == 1
    assert book.sequence == 3


def test_message_cut_in_the_middle_completes_with_the_next_batch() -> None:
    book = book_of(snapshot(BOOK))
    delta = message([(Side.BID, 1000, 0.0), (Side.BID, 998, 5.0)], 2)
    assert len(book.apply(delta[:1])) == 0
    assert book.sequence == 0
    tops = book.apply(delta[1:])
    assert as_tuples(tops) == [(1, 2, 999, 2.0, 1001, 3.0, False, Kind.DEPTH)]


def test_deleting_an_absent_level_changes_nothing() -> None:
    book = book_of(snapshot(BOOK))
    before = book.state_hash()
    book.apply(message([(Side.BID, t, 0.0) for t in (-FAR - 1, 0, 998, 1001, 10**9, FAR)], 1))
    assert book.state_hash() == before


def test_crossed_and_locked_books_are_kept_and_flagged() -> None:
    book = book_of(snapshot(BOOK))
    assert as_tuples(book.apply(message([(Side.BID, 1001, 1.0)], 1)))[0][6]
    assert book.is_crossed
    assert as_tuples(book.apply(message([(Side.BID, 10_010, 1.0)], 2)))[0][2:7] == (
        10_010, 1.0, 1001, 3.0, True,
    )  # fmt: skip
    book.apply(message([(Side.BID, 10_010, 0.0), (Side.BID, 1001, 0.0)], 3))
    assert not book.is_crossed
    assert book.best_bid_tick == 1000


def test_one_sided_book_has_no_quantity_on_the_empty_side() -> None:
    book = book_of(snapshot(BOOK))
    tops = book.apply(message([(Side.BID, 1000, 0.0), (Side.BID, 999, 0.0)], 1))
    assert tops["bid_quantity"].tolist() == [0.0]
    assert book.best_bid_tick is None
    assert not book.is_crossed


@pytest.mark.parametrize("tick", [FAR, -FAR - 1, 10_000, 0])
def test_absurd_price_comes_and_goes_without_a_trace(tick: int) -> None:
    levels = [(side, 1000 - side * i, 1.0) for i in range(1, 700) for side in (Side.BID, Side.ASK)]
    book = book_of(snapshot(levels))
    before = book.state_hash()
    for side in (Side.BID, Side.ASK):
        for times in range(3):
            book.apply(message([(side, tick, 1.0)], times))
            book.check_invariants()
            assert tick in book.levels(side)[0]
            book.apply(message([(side, tick, 0.0)], times))
            book.check_invariants()
    assert book.state_hash() == before


def test_far_store_grows_and_gives_blocks_back() -> None:
    book = L2Book(INSTRUMENT, max_levels=20_002)
    book.apply(snapshot(BOOK))
    far = list(range(10_000, 10_000 + 7 * 20_000, 7))
    random = np.random.default_rng(1)
    random.shuffle(far)
    rows = best_rows(1)
    book.apply(message([(Side.ASK, tick, 1.0) for tick in far], 1), rows)
    assert best_of(rows[0], Side.ASK) == pairs(book, Side.ASK, BEST_COUNT)
    book.check_invariants()
    assert book.ask_count == 20_002
    assert book.levels(Side.ASK)[0].tolist() == [1001, 1003, *sorted(far)]
    random.shuffle(far)
    book.apply(message([(Side.ASK, tick, 0.0) for tick in far], 2))
    book.check_invariants()
    assert book.ask_count == 2


def test_thousand_levels_a_side_take_little_memory() -> None:
    sparse = [(side, 10**6 - side * 20 * i, 1.0) for i in range(1, 1001) for side in (1, -1)]
    book = book_of(snapshot([(Side(side), tick, q) for side, tick, q in sparse]))
    assert book.bid_count == book.ask_count == 1000
    assert book.nbytes <= 150_000


def test_other_kinds_of_events_pass_by() -> None:
    book = book_of(snapshot(BOOK))
    before = book.state_hash()
    trade = event(Kind.TRADE, ts_recv=1, side=Side.BID, price_tick=1001, value=1.0)
    assert len(book.apply(np.concatenate((trade, ticker((1, 1.0), (2, 1.0), 9))))) == 0
    assert book.state_hash() == before
    assert book.rejected == 0


@pytest.mark.parametrize("quantity", [math.nan, math.inf, -1.0])
def test_unusable_level_is_rejected_counted_and_logged(
    quantity: float, caplog: pytest.LogCaptureFixture
) -> None:
    book = book_of(snapshot(BOOK))
    before = book.state_hash()
    tops = book.apply(message([(Side.BID, 1000, quantity)], 4))
    assert tops["sequence"].tolist() == [4]
    assert book.state_hash() == before
    assert book.rejected == 1
    assert "1 levels rejected" in caplog.text
    book.apply(message([(Side.NONE, 1000, 1.0)], 5))
    assert book.rejected == 2


def test_end_of_a_snapshot_whose_beginning_was_lost_is_no_snapshot() -> None:
    book = L2Book(INSTRUMENT)
    assert len(book.apply(snapshot(BOOK)[1:])) == 0
    assert not book.is_valid
    assert book.rejected == 1


def test_clear_forgets_until_the_next_snapshot() -> None:
    book = book_of(snapshot(BOOK))
    book.clear()
    book.check_invariants()
    assert not book.is_valid
    assert book.bid_count == 0
    assert len(book.apply(message(BOOK, 5))) == 0
    book.apply(snapshot(BOOK, 6))
    assert book.sequence == 6


def test_reads_events_from_any_buffer() -> None:
    events = snapshot(BOOK)
    expected = book_of(events).state_hash()
    assert book_of(events_from_bytes(events.tobytes())).state_hash() == expected
    odd = np.frombuffer(b"-" + events.tobytes(), dtype=events.dtype, offset=1)
    assert not odd.flags.aligned
    assert book_of(odd).state_hash() == expected
    assert book_of(np.repeat(events, 2)[::2]).state_hash() == expected
    assert len(L2Book(INSTRUMENT).apply(empty_events())) == 0


def test_view_has_float_prices_best_first() -> None:
    view = book_of(snapshot(BOOK, 8, ts=3)).view(1)
    assert view.bids == ((100.0, 1.0),)
    assert view.asks == ((100.1, 3.0),)
    assert (view.sequence, view.ts_event, view.ts_recv) == (8, 3, 3)


def test_block_sizes_fit_together() -> None:
    assert kernels.WORDS == 64
    assert kernels.FILL < kernels.BLOCK_SIZE
    assert kernels.MARGIN < kernels.DRIFT < kernels.WINDOW - 64
