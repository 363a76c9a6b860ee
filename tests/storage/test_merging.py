"""Frames become groups: keys once, instruments together, impossible times apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.storage.merging import Group, is_clean, merge, once
from alphaplus.storage.spool import Frame
from alphaplus.storage.tables import TABLES, TableBatch, write_schemas
from tests.storage.rows import T0, rows

DELTAS = "order_book_deltas"
HEAD = write_schemas()


def of(symbol, made, table=DELTAS):
    return TableBatch(table, "binance", symbol, made)


def frames(*batches):
    return [Frame(at, batch.to_bytes(), HEAD, False) for at, batch in enumerate(batches, 1)]


def test_once_keeps_the_last_of_equal_keys_and_the_order():
    made = rows(DELTAS, 6)
    made = np.concatenate([made, made[[4, 1]]])
    made["qty"] = np.arange(8)
    kept = once(made, TABLES[DELTAS].key)
    assert kept["qty"].tolist() == [0, 2, 3, 5, 6, 7]
    assert len(once(made[:6], TABLES[DELTAS].key)) == 6


def test_an_instrument_has_its_rows_together_in_the_order_in_which_they_came():
    first, second = rows(DELTAS, 4), rows(DELTAS, 4)
    second["time"] += 10**9
    merged = merge(frames(of("A", first), of("B", first), of("A", second)))
    (group,) = merged.groups
    assert [part.symbol for part in group.parts] == ["A", "A", "B"]
    assert np.array_equal(group.parts[1].rows, second)
    assert (group.rows, merged.duplicate, group.staged) == (12, 0, False)


def test_the_same_key_of_two_instruments_or_tables_is_no_duplicate():
    made = rows(DELTAS, 5)
    merged = merge(
        frames(of("A", made), of("B", made), of("A", rows("market_trades", 5), "market_trades"))
    )
    assert [group.rows for group in merged.groups] == [10, 5]
    assert merged.duplicate == 0


def test_a_key_that_comes_again_in_another_frame_is_counted_and_the_last_row_stays():
    made = rows(DELTAS, 5)
    again = made[:2].copy()
    again["qty"] = 77.0
    merged = merge(frames(of("A", made), of("B", made), of("A", again)))
    assert merged.duplicate == 2
    (group,) = merged.groups
    kept = {part.symbol: part.rows for part in group.parts}
    assert sorted(kept) == ["A", "B"]
    assert np.count_nonzero(kept["A"]["qty"] == 77.0) == 2
    assert len(kept["A"]) == len(kept["B"]) == 5


def test_minus_zero_is_zero_as_in_the_database():
    made = rows(DELTAS, 2)
    made[:] = made[0]
    made["price"] = [0.0, -0.0]
    assert not is_clean({("binance", "A"): [of("A", made)]})
    assert merge(frames(of("A", made))).duplicate == 1


@pytest.mark.parametrize("time", [0, 4_200_000_000 * 10**9])
def test_a_time_that_cannot_be_is_set_aside_and_the_rest_goes_on(time):
    made = rows(DELTAS, 5)
    made["time"][2] = time
    merged = merge(frames(of("A", made), of("B", rows(DELTAS, 5))))
    ((dead, reason),) = merged.dead
    assert (dead.symbol, len(dead)) == ("A", 1)
    assert "between 2000 and 2100" in reason
    assert merged.groups[0].rows == 9


def test_frames_of_another_program_are_told():
    merged = merge([Frame(1, b"no batch", HEAD, False), *frames(of("A", rows(DELTAS, 3)))])
    assert [frame.sequence for frame, _ in merged.unreadable] == [1]
    assert merged.groups[0].rows == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=12))
def test_clean_says_what_counting_keys_says(keys):
    """Against a set of tuples: few values, so that equal keys are frequent."""
    batches, seen = [], []
    for symbol in range(4):
        mine = [(time, side) for of_symbol, time, side in keys if of_symbol == symbol]
        seen += [(symbol, *key) for key in mine]
        made = TABLES[DELTAS].rows(len(mine))
        made["time"] = [T0 + time for time, _ in mine]
        made["side"] = [int(side) for _, side in mine]
        made["price"], made["qty"] = 1.0, np.arange(len(mine))
        batches.append(of(f"S{symbol}", made))
    instruments = {("binance", batch.symbol): [batch] for batch in batches}
    assert is_clean(instruments) == (len(set(seen)) == len(seen))
    merged = merge(frames(*batches))
    assert sum(group.rows for group in merged.groups) == len(set(seen))
    assert merged.duplicate == len(seen) - len(set(seen))


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_merged_by_its_key(table):
    made = rows(table, 6)
    merged = merge(frames(of("A", made, table), of("A", made[2:4], table)))
    assert merged.duplicate == 2
    assert merged.groups[0].rows == 6


def test_halves_are_whole_and_staged():
    group = Group(DELTAS, [of("A", rows(DELTAS, 3)), of("B", rows(DELTAS, 4))], False)
    halves = group.halves()
    assert [half.rows for half in halves] == [3, 4]
    assert all(half.staged for half in halves)
    assert [part.symbol for half in halves for part in half.parts] == ["A", "B"]
