"""Binance's rules of continuity, case by case and against arbitrary streams."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.events import empty_events
from alphaplus.feeds.binance import MESSAGE, FrameDecoder
from alphaplus.feeds.sequence import (
    MAX_LINKED_DUPLICATES,
    Applied,
    Buffered,
    DepthSequence,
    DepthUpdate,
    Duplicate,
    Gap,
    Joined,
    SequenceRule,
    Snapshot,
    SnapshotIgnored,
    SnapshotKept,
    SnapshotTooOld,
)
from tests.feeds.frames import INSTRUMENT

FUTURES, SPOT = SequenceRule.FUTURES, SequenceRule.SPOT


DECODER = FrameDecoder([INSTRUMENT])


def frame_of(update: DepthUpdate) -> bytes:
    data = {"e": "depthUpdate", "E": 1, "s": INSTRUMENT.venue_symbol, "b": [], "a": []}
    ids = {"U": update.first_id, "u": update.last_id}
    if update.previous_id >= 0:
        ids["pu"] = update.previous_id
    return orjson.dumps(data | ids)


def update(first: int, last: int, previous: int = -1) -> DepthUpdate:
    return DepthUpdate(first, last, previous, 0, empty_events())


def snapshot(last: int) -> Snapshot:
    return Snapshot(last, empty_events())


def futures_chain() -> list[DepthUpdate]:
    """Changes 11-15, 18-20, 21-25, 27-30 with the holes that futures ids have."""
    return [update(11, 15, 10), update(18, 20, 15), update(21, 25, 20), update(27, 30, 25)]


def filled(rule: SequenceRule, updates: list[DepthUpdate], **options: int) -> DepthSequence:
    sequence = DepthSequence(rule, **options)
    for item in updates:
        assert isinstance(sequence.on_depth(item), Buffered)
    return sequence


@pytest.mark.parametrize(
    ("last_id", "superseded", "applied"),
    [(11, 0, 4), (15, 0, 4), (18, 1, 3), (20, 1, 3), (21, 2, 2), (30, 3, 1)],
)
def test_futures_drop_u_below_l_and_begin_where_l_lies_inside(
    last_id: int, superseded: int, applied: int
) -> None:
    outcome = filled(FUTURES, futures_chain()).on_snapshot(snapshot(last_id))
    assert isinstance(outcome, Joined)
    assert (outcome.superseded, len(outcome.updates)) == (superseded, applied)


@pytest.mark.parametrize(
    ("last_id", "superseded", "applied"),
    [(10, 0, 3), (14, 0, 3), (15, 1, 2), (19, 1, 2), (24, 2, 1)],
)
def test_spot_drops_u_up_to_l_and_begins_where_l_plus_one_lies_inside(
    last_id: int, superseded: int, applied: int
) -> None:
    updates = [update(11, 15), update(16, 20), update(21, 25)]
    outcome = filled(SPOT, updates).on_snapshot(snapshot(last_id))
    assert isinstance(outcome, Joined)
    assert (outcome.superseded, len(outcome.updates)) == (superseded, applied)


@pytest.mark.parametrize(("rule", "last_id"), [(FUTURES, 10), (SPOT, 9), (FUTURES, 3)])
def test_snapshot_before_the_first_change_is_too_old(rule: SequenceRule, last_id: int) -> None:
    sequence = filled(rule, [update(11, 15, 10)])
    assert sequence.on_snapshot(snapshot(last_id)) == SnapshotTooOld(last_id, 11, 0)
    assert not sequence.is_synced
    assert isinstance(sequence.on_snapshot(snapshot(12)), Joined)


def test_snapshot_beyond_all_changes_waits_for_the_next() -> None:
    sequence = filled(FUTURES, futures_chain())
    assert sequence.on_snapshot(snapshot(35)) == SnapshotKept(4)
    assert isinstance(sequence.on_depth(update(31, 34, 30)), Buffered)
    outcome = sequence.on_depth(update(35, 40, 34))
    assert isinstance(outcome, Joined)
    assert len(outcome.updates) == 1
    assert sequence.last_id == 40


def test_change_that_jumps_over_the_waiting_snapshot_finds_it_too_old() -> None:
    sequence = filled(FUTURES, futures_chain())
    sequence.on_snapshot(snapshot(35))
    assert sequence.on_depth(update(37, 40, 36)) == SnapshotTooOld(35, 37, 0)


def synced(rule: SequenceRule = FUTURES) -> DepthSequence:
    sequence = filled(rule, [update(11, 15, 10)])
    assert isinstance(sequence.on_snapshot(snapshot(12)), Joined)
    return sequence


def test_later_changes_continue_by_pu_or_by_first_id() -> None:
    assert synced(FUTURES).on_depth(update(90, 95, 15)) == Applied()
    assert synced(SPOT).on_depth(update(16, 95)) == Applied()
    assert synced(FUTURES).on_depth(update(16, 95, 14)) == Gap(15, 14)
    assert synced(SPOT).on_depth(update(17, 95)) == Gap(16, 17)


def test_known_change_is_a_duplicate_and_no_gap() -> None:
    sequence = synced()
    assert sequence.on_depth(update(11, 15, 10)) == Duplicate()
    assert sequence.on_depth(update(16, 17, 15)) == Applied()


def test_gap_buffers_from_the_change_that_showed_it() -> None:
    sequence = synced()
    assert isinstance(sequence.on_depth(update(22, 25, 20)), Gap)
    assert sequence.buffered == 1
    outcome = sequence.on_snapshot(snapshot(23))
    assert isinstance(outcome, Joined)
    assert sequence.last_id == 25


def test_snapshot_ahead_of_a_synced_book_serves_the_next_gap() -> None:
    sequence = synced()
    assert sequence.on_snapshot(snapshot(23)) == SnapshotIgnored()
    assert isinstance(sequence.on_depth(update(22, 25, 20)), Gap)
    assert isinstance(sequence.retry(), Joined)


def test_snapshot_behind_a_synced_book_is_forgotten() -> None:
    sequence = synced()
    assert sequence.on_snapshot(snapshot(15)) == SnapshotIgnored()
    assert not sequence.has_snapshot
    sequence.on_snapshot(snapshot(17))
    sequence.on_depth(update(16, 18, 15))
    assert not sequence.has_snapshot


def test_gap_among_buffered_changes_ends_the_join_there() -> None:
    chain = futures_chain()
    sequence = filled(FUTURES, [*chain[:2], *chain[3:]])
    outcome = sequence.on_snapshot(snapshot(12))
    assert isinstance(outcome, Joined)
    assert (len(outcome.updates), outcome.gap) == (2, Gap(20, 25))
    assert not sequence.is_synced
    assert sequence.buffered == 1


def test_duplicates_among_buffered_changes_are_left_out() -> None:
    chain = futures_chain()
    outcome = filled(FUTURES, [chain[0], chain[0], *chain[1:]]).on_snapshot(snapshot(12))
    assert isinstance(outcome, Joined)
    assert (len(outcome.updates), outcome.duplicates, outcome.gap) == (4, 1, None)


def test_full_buffer_drops_the_oldest_so_that_old_snapshots_are_too_old() -> None:
    sequence = DepthSequence(FUTURES, max_buffered=2)
    dropped = [sequence.on_depth(item) for item in futures_chain()]
    assert dropped == [Buffered(0), Buffered(0), Buffered(1), Buffered(1)]
    assert isinstance(sequence.on_snapshot(snapshot(12)), SnapshotTooOld)
    assert isinstance(sequence.on_snapshot(snapshot(22)), Joined)


def test_reset_forgets_the_book_and_counts_what_waited() -> None:
    sequence = filled(FUTURES, futures_chain())
    assert sequence.reset() == 4
    assert sequence.retry() is None
    assert not sequence.is_synced


@given(
    st.sampled_from(list(SequenceRule)),
    st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 3)), max_size=12),
)
def test_run_accepts_what_single_changes_accept(
    rule: SequenceRule, steps: list[tuple[int, int]]
) -> None:
    updates = []
    last = 15
    for jump, length in steps:
        first = last + 1 + jump
        updates.append(update(first, first + length, last if jump == 0 else last + jump))
        last = first + length
    one_by_one = synced(rule)
    count = 0
    for item in updates:
        if one_by_one.on_depth(item) != Applied():
            break
        count += 1
    messages = np.zeros(len(updates), dtype=MESSAGE)
    for name in ("first_id", "last_id", "previous_id"):
        messages[name] = [getattr(item, name) for item in updates]
    whole = synced(rule)
    assert whole.accept_run(messages) == count
    if count:
        assert whole.last_id == updates[count - 1].last_id
    if not updates:
        return
    decoded = DECODER.decode([frame_of(item) for item in updates], [1] * len(updates))
    linked = synced(rule)
    assert decoded.run is not None
    assert linked.accept_linked(decoded.run) == (count == len(updates))
    assert linked.last_id == (whole.last_id if count == len(updates) else synced(rule).last_id)


def test_run_waits_for_a_synchronised_book() -> None:
    decoded = DECODER.decode([frame_of(item) for item in futures_chain()], [1] * 4)
    assert decoded.run is not None
    assert not DepthSequence(FUTURES).accept_linked(decoded.run)


@pytest.mark.parametrize("rule", [FUTURES, SPOT])
def test_stream_that_goes_on_behind_a_wrong_id_is_a_gap(rule: SequenceRule) -> None:
    sequence = DepthSequence(rule)
    sequence.on_depth(update(11, 20, 10))
    assert isinstance(sequence.on_snapshot(snapshot(15)), Joined)
    assert sequence.on_depth(update(21, 10**9, 20)) == Applied()  # its last id should be 25
    following = [update(26 + i, 26 + i, 25 + i) for i in range(MAX_LINKED_DUPLICATES + 1)]
    outcomes = [sequence.on_depth(item) for item in following]
    assert outcomes[:-1] == [Duplicate()] * MAX_LINKED_DUPLICATES
    assert isinstance(outcomes[-1], Gap)
    assert sequence.buffered == 1
    assert isinstance(sequence.on_snapshot(snapshot(following[-1].last_id)), (Joined, SnapshotKept))


def test_the_same_change_over_and_over_and_old_ones_apart_are_no_gap() -> None:
    sequence = DepthSequence(FUTURES)
    for item in futures_chain():
        sequence.on_depth(item)
    sequence.on_snapshot(snapshot(13))
    for _ in range(3 * MAX_LINKED_DUPLICATES):
        assert sequence.on_depth(update(27, 30, 25)) == Duplicate()
        assert sequence.on_depth(update(11, 15, 10)) == Duplicate()
    assert sequence.on_depth(update(31, 31, 30)) == Applied()
