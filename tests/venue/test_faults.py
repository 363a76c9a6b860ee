"""What a fault is, when it waits, when it lasts, and what is refused."""

from typing import Any

import pytest

from alphaplus.errors import ConfigError
from alphaplus.venue.faults import (
    OF_FRAMES,
    OF_REST,
    OF_SYMBOLS,
    OUTAGE_NOTICE_S,
    FaultKind,
    FaultOrder,
    Faults,
    fault_order,
)


def lasting(kind: str, **more: Any) -> FaultOrder:
    return fault_order({"kind": kind, **more})


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_can_be_ordered_by_its_name_and_views_as_it_was_ordered(kind: str) -> None:
    body = {"kind": str(kind)} | ({"symbol": "BTCUSDT"} if kind in OF_SYMBOLS else {})
    order = fault_order(body)
    assert fault_order(order.view()) == order
    assert ("count" in order.view()) == (kind in OF_FRAMES)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Expected kind to be one of drop_frame,"),
        ({"kind": ["outage"]}, "Expected kind to be one of"),
        ({"kind": "stall_socket"}, "Expected symbol to be one that the venue lists, was None."),
        ({"kind": "outage", "symbol": "BTCUSDT"}, "was 'symbol' too."),
        ({"kind": "outage", "count": 3}, "with the fields for_s, kind, was 'count' too."),
        ({"kind": "outage", "for_s": 0}, "Expected for_s to be from 0.001 to 600, was 0."),
        ({"kind": "outage", "for_s": float("nan")}, "Expected for_s"),
        ({"kind": "outage", "for_s": "long"}, "Expected for_s"),
        ({"kind": "outage", "for_s": True}, "Expected for_s"),
        ({"kind": "slow_rest", "delay_s": 61}, "Expected delay_s to be from 0.001 to 60"),
        ({"kind": "failing_rest", "status": 404}, "Expected status to be a whole number from 500"),
        ({"kind": "rate_limit", "status": 420}, "Expected status 429 or 418, was 420."),
        ({"kind": "rate_limit", "retry_after_s": 1.5}, "Expected retry_after_s to be a whole"),
        ({"kind": "clock_skew", "skew_s": 3601}, "Expected skew_s to be from -3600 to 3600"),
        ({"kind": "drop_frame", "symbol": "B", "count": 10_001}, "Expected count to be a whole"),
        ({"kind": "drop_frame", "symbol": "B", "for_s": 1}, "was 'for_s' too."),
    ],
)
def test_a_wrong_order_is_refused_in_one_sentence(body: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        fault_order(body)
    assert sentence in str(refused.value)


def test_frame_faults_wait_in_order_for_the_frames_of_their_symbol() -> None:
    faults = Faults()
    faults.request(fault_order({"kind": "drop_frame", "symbol": "A", "count": 2}), 0, now=5.0)
    faults.request(fault_order({"kind": "torn_json", "symbol": "A"}), 0, now=5.0)
    assert faults.next(1) is None
    taken = [faults.next(0) for _ in range(4)]
    assert taken == [FaultKind.DROP_FRAME, FaultKind.DROP_FRAME, FaultKind.TORN_JSON, None]
    assert faults.state(0) == {"drop_frame": 2, "torn_json": 1}
    assert faults.state(1) == faults.state(None) == {}


def test_a_fault_lasts_from_its_order_to_its_end() -> None:
    faults = Faults()
    slow = lasting("slow_rest", for_s=2.0, delay_s=0.5)
    faults.request(slow, None, now=10.0)
    assert faults.now(FaultKind.SLOW_REST, 9.9) is None
    assert faults.now(FaultKind.SLOW_REST, 11.9) == slow
    assert faults.lasting(11.0) == [{**slow.view(), "left_s": 1.0}]
    assert faults.now(FaultKind.SLOW_REST, 12.0) is None
    assert faults.lasting(11.0) == []


def test_an_outage_leaves_time_to_answer_who_ordered_it() -> None:
    faults = Faults()
    faults.request(lasting("outage", for_s=1.0), None, now=0.0)
    assert faults.now(FaultKind.OUTAGE, 0.0) is None
    assert faults.now(FaultKind.OUTAGE, OUTAGE_NOTICE_S) is not None
    assert faults.now(FaultKind.OUTAGE, OUTAGE_NOTICE_S + 1.0) is None


def test_stalls_are_told_apart_by_symbol_and_a_new_one_replaces_the_old() -> None:
    faults = Faults()
    for index, seconds in ((0, 1.0), (3, 5.0), (3, 2.0)):
        order = fault_order({"kind": "stall_socket", "symbol": "A", "for_s": seconds})
        faults.request(order, index, now=0.0)
    assert faults.stalled(0.5) == {0, 3}
    assert faults.stalled(1.5) == {3}
    assert faults.stalled(2.5) == frozenset()
    assert faults.state(3) == {"stall_socket": 2}


def test_rest_faults_count_requests_and_not_orders() -> None:
    faults = Faults()
    for kind in OF_REST:
        faults.request(lasting(kind), None, now=0.0)
    faults.request(lasting("clock_skew"), None, now=0.0)
    assert faults.state(None) == {"clock_skew": 1}


def test_clear_ends_everything_and_keeps_the_counts() -> None:
    faults = Faults()
    faults.request(fault_order({"kind": "drop_frame", "symbol": "A", "count": 2}), 0, now=0.0)
    faults.request(lasting("outage"), None, now=0.0)
    faults.next(0)
    faults.clear()
    assert faults.next(0) is None
    assert faults.lasting(0.0) == []
    assert faults.state(0) == {"drop_frame": 1}
