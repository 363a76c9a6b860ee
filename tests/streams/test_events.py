from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import StreamClosed
from alphaplus.events import EVENT
from alphaplus.streams import Endpoint, EventReceiver, EventSender, Transport, make_run_directory
from alphaplus.streams._unix import UnixPush
from tests.streams.helpers import drain, numbered, peer, sequences, until


def sender_to(receiver, transport, **options):
    named = {"name": "feed:venue:0", "exchange": "venue", "keys": transport.keys} | options
    return EventSender(receiver.endpoint, **named)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3000) | st.just("recv"), max_size=40))
def test_events_arrive_exactly_and_in_order(steps):
    folder = make_run_directory()
    transport = Transport.ipc(folder)
    with EventReceiver(transport) as receiver, sender_to(receiver, transport) as sender:
        batches, total = [], 0
        for step in steps:
            if step == "recv":
                batches += receiver.recv(timeout_ms=0)
            else:
                assert sender.send(numbered(total, step))
                total += step
        batches += drain(sender, receiver)
    folder.rmdir()
    assert sequences(batches) == list(range(total))
    assert not any(batch.hole for batch in batches)
    ranges = [n for batch in batches for n in range(batch.first, batch.last + 1)]
    assert ranges == list(range(1, len(ranges) + 1))
    assert receiver.counters.holes == sender.counters.dropped == 0


def test_events_cross_either_way(transport):
    with EventReceiver(transport) as receiver, sender_to(receiver, transport) as sender:
        sender.send(numbered(7, 3))
        (batch,) = drain(sender, receiver)
    assert (batch.sender, batch.exchange) == ("feed:venue:0", "venue")
    assert (batch.first, batch.last, batch.hole) == (1, 1, False)
    assert batch.ts_send > 0


def test_each_sender_keeps_its_own_order(ipc):
    with (
        EventReceiver(ipc) as receiver,
        sender_to(receiver, ipc, name="a", exchange="x") as first,
        sender_to(receiver, ipc, name="b", exchange="y") as second,
    ):
        batches = []
        for n in range(0, 300, 3):
            first.send(numbered(n, 3))
            second.send(numbered(1000 + n, 3))
            batches += receiver.recv(timeout_ms=0)
        wanted = first.counters.sent + second.counters.sent
        until(
            lambda: receiver.counters.received == 600,
            lambda: (first.pump(), second.pump(), batches.extend(receiver.recv(timeout_ms=20))),
        )
    assert wanted <= 600
    assert sequences([b for b in batches if b.exchange == "x"]) == list(range(300))
    assert sequences([b for b in batches if b.exchange == "y"]) == list(range(1000, 1300))
    assert receiver.counters.holes == 0


def test_slow_receiver_gets_fewer_and_bigger_batches(ipc):
    with EventReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        for n in range(20_000):
            assert sender.send(numbered(n * 5, 5))
        batches = drain(sender, receiver)
    assert sequences(batches) == list(range(100_000))
    assert sender.counters.coalesced + sender.counters.batches == 20_000
    assert sender.counters.batches < 10_000
    assert receiver.counters.holes == 0


def test_full_backlog_is_dropped_once_and_the_hole_is_seen(ipc):
    # Big batches, so that sockets and kernel hold a small part of them.
    size, bound = 4000, 40_000
    with (
        EventReceiver(ipc) as receiver,
        sender_to(receiver, ipc, max_backlog_events=bound) as sender,
    ):
        sender.send(numbered(0, size))
        batches = drain(sender, receiver)
        sent = 1
        while sender.send(numbered(sent * size, size)):
            sent += 1
            assert sender.backlog_events <= bound
            assert sent < 1000
        dropped = sender.counters.dropped
        assert bound < dropped <= bound + size
        assert sender.backlog_events == 0
        assert sender.send(numbered(10**9, 10))
        batches += drain(sender, receiver)
    assert sender.counters.dropped == dropped
    assert [batch.hole for batch in batches].count(True) == receiver.counters.holes == 1
    fresh = next(batch for batch in batches if batch.hole)
    assert fresh.events["sequence"][0] == 10**9
    before = sequences(batches)[:-10]
    assert before == list(range(len(before)))
    assert len(before) + dropped == (sent + 1) * size


def test_killed_receiver_leaves_a_hole_and_a_moved_one_does_not(ipc):
    address = ipc.new_address()
    with peer("events", address) as first:
        sender = EventSender(Endpoint(address), name="feed:venue:0", exchange="venue")
        until(lambda: sender.counters.sent, lambda: sender.pump() and sender.send(numbered(0, 1)))
        assert first.read()[0] == 1
    sender.send(numbered(0, 1))  # to nobody
    with peer("events", address) as second:
        until(lambda: sender.backlog_events == 0, lambda: sender.send(numbered(0, 1)))
        first_number, _, hole = second.read()
        assert first_number > 1
        assert hole
        sender.reconnect(sender.endpoint)
        sender.send(numbered(0, 1))
        until(sender.pump)
        line = second.read()
        while line[0] != 1:
            line = second.read()
        assert line == [1, 1, True]  # a sender that started anew
    with EventReceiver(ipc) as moved:
        sender.reconnect(moved.endpoint)
        elsewhere = sender.counters.sent
        sender.send(numbered(0, 1))
        (batch,) = drain(sender, moved, lost=elsewhere)
        assert (batch.first, batch.hole) == (1, False)
    sender.close()


def test_reconnect_drops_what_waits_for_the_old_receiver(ipc):
    with EventReceiver(ipc) as receiver:
        sender = sender_to(receiver, ipc)
    sender.send(numbered(0, 5))
    assert sender.backlog_events == 5
    with EventReceiver(ipc) as successor:
        sender.reconnect(successor.endpoint)
        sender.send(numbered(100, 2))
        assert sequences(drain(sender, successor)) == [100, 101]
    assert sender.counters.dropped == 5
    sender.close()


def test_array_may_be_used_again_after_send(ipc):
    with EventReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        events = numbered(0, 100)
        for n in range(50):
            events["sequence"] = n
            sender.send(events)
        arrived = sequences(drain(sender, receiver))
    assert arrived == [n for n in range(50) for _ in range(100)]


def test_received_array_is_like_a_decoded_one(ipc):
    with EventReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        sender.send(numbered(0, 10)[::2])
        (batch,) = drain(sender, receiver)
    assert batch.events.dtype == EVENT
    assert batch.events.flags.writeable
    assert batch.events.flags.aligned
    assert batch.events.flags.c_contiguous
    assert sequences([batch]) == [0, 2, 4, 6, 8]


def test_foreign_messages_are_counted_and_harm_nothing(ipc):
    with (
        EventReceiver(ipc) as receiver,
        sender_to(receiver, ipc) as sender,
        closing(UnixPush(Path(receiver.endpoint.address.removeprefix("ipc://")), 4096)) as stranger,
    ):
        for message in (b"hello", b"", b"\xe1\xa1" + b"\0" * 60, b"x"):
            assert stranger.send(message)
        until(lambda: receiver.counters.rejected == 4, lambda: receiver.recv(timeout_ms=10))
        sender.send(numbered(0, 3))
        assert sequences(drain(sender, receiver)) == [0, 1, 2]


def test_other_dtypes_are_refused(ipc):
    with (
        EventReceiver(ipc) as receiver,
        sender_to(receiver, ipc) as sender,
        pytest.raises(TypeError, match="dtype EVENT, was float64"),
    ):
        sender.send(np.zeros(3))


def test_closed_sender_says_so(ipc):
    with EventReceiver(ipc) as receiver:
        sender = sender_to(receiver, ipc)
        sender.close()
        sender.close()
        with pytest.raises(StreamClosed):
            sender.send(numbered(0, 1))
        with pytest.raises(StreamClosed):
            sender.pump()
