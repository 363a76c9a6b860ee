"""Frames with something wrong: what is changed, and what is not."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.venue.wrong_frames import restamped, wrong_price, wrong_sequence, wrong_size

LEVELS = st.lists(
    st.tuples(
        st.integers(1, 10**9).map(lambda ticks: f"{ticks // 100}.{ticks % 100:02d}"),
        st.sampled_from(["0", "0.000", "1.5", "20"]),
    ),
    max_size=4,
)


def frame(bids: Any = (), asks: Any = ()) -> bytes:
    event = {"e": "depthUpdate", "E": 1_700_000_000_000, "T": 1_700_000_000_001, "s": "BTCUSDT"}
    return orjson.dumps({**event, "U": 5, "u": 9, "pu": 4, "b": bids, "a": asks})


@given(bids=LEVELS, asks=LEVELS)
def test_wrong_prices_keep_their_decimals_and_leave_no_deletion(bids: Any, asks: Any) -> None:
    good, wrong = orjson.loads(frame(bids, asks)), orjson.loads(wrong_price(frame(bids, asks)))
    for side, factor in (("b", 10.0), ("a", 0.1)):
        for (price, size), (moved, standing) in zip(good[side], wrong[side], strict=True):
            assert len(moved.partition(".")[2]) == 2
            assert float(moved) == pytest.approx(max(float(price) * factor, 0.01), abs=0.01)
            assert float(standing) == (float(size) or 1.0)
    assert {**wrong, "b": 0, "a": 0} == {**good, "b": 0, "a": 0}


def test_wrong_prices_cross_a_book() -> None:
    wrong = orjson.loads(wrong_price(frame([["61800.1", "2"]], [["61800.2", "0"]])))
    assert wrong["b"] == [["618001.0", "2"]]
    assert wrong["a"] == [["6180.0", "1"]]
    assert orjson.loads(wrong_price(frame([["7", "2"]])))["b"] == [["70", "2"]]


def test_wrong_sizes_are_negative() -> None:
    wrong = orjson.loads(wrong_size(frame([["1.0", "2"]], [["1.1", "0.0"]])))
    assert (wrong["b"], wrong["a"]) == ([["1.0", "-2"]], [["1.1", "-1"]])


def test_wrong_ids_take_turns() -> None:
    turns = [orjson.loads(wrong_sequence(frame(), turn)) for turn in range(4)]
    ids = [tuple(turn[name] for name in ("U", "u", "pu")) for turn in turns]
    far = 10**9
    assert ids == [(5, 9, 5), (5, 9 + far, 4), (5 - far, 9 - far, 4 - far), (5, 9, 5)]
    assert "pu" not in orjson.loads(wrong_sequence(b'{"U":1,"u":2,"b":[],"a":[]}', 2))


def test_stamps_move_with_the_clock_and_nothing_else_does() -> None:
    moved = orjson.loads(restamped(frame([["1.0", "2"]]), 2.5))
    assert (moved["E"], moved["T"]) == (1_700_000_002_500, 1_700_000_002_501)
    assert {**moved, "E": 0, "T": 0} == {**orjson.loads(frame([["1.0", "2"]])), "E": 0, "T": 0}
    mark = orjson.loads(restamped(frame(), -1.0, all_stamps=False))
    assert (mark["E"], mark["T"]) == (1_699_999_999_000, 1_700_000_000_001)
