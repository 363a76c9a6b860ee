from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import StreamClosed
from alphaplus.streams import LatestReceiver, LatestSender, Transport, latest, make_run_directory
from alphaplus.streams._unix import UnixPush
from tests.streams.helpers import until


def receive_all(sender, receiver):
    """Return the values in the order of their arrival, until nothing is on its way."""
    values = []
    until(
        lambda: sender.unsent == 0 and receiver.counters.batches == sender.counters.batches,
        lambda: (sender.pump(), values.extend(receiver.recv(timeout_ms=10))),
    )
    return values


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_newest_value_of_every_key_arrives_last(steps):
    folder = make_run_directory()
    transport = Transport.ipc(folder)
    with (
        LatestReceiver(transport) as receiver,
        LatestSender(receiver.endpoint, name="symbol") as sender,
    ):
        values, newest = [], {}
        for number, (key, look) in enumerate(steps):
            newest[key] = str(number).encode()
            assert sender.send(key, newest[key])
            if look:
                values += receiver.recv(timeout_ms=0)
        values += receive_all(sender, receiver)
    folder.rmdir()
    assert {value.key: value.payload for value in values} == newest
    assert receiver.counters.holes == 0


def test_record_crosses_either_way(transport):
    record = np.array([(1, 2.5)], dtype=[("a", "<i8"), ("b", "<f8")])
    with (
        LatestReceiver(transport) as receiver,
        LatestSender(receiver.endpoint, name="s", keys=transport.keys) as sender,
    ):
        sender.send("state", record)
        (value,) = receive_all(sender, receiver)
    assert (value.sender, value.key) == ("s", "state")
    assert np.array_equal(np.frombuffer(value.payload, record.dtype), record)


def test_busy_receiver_costs_one_value_per_key(ipc):
    with LatestReceiver(ipc) as receiver:
        sender = LatestSender(receiver.endpoint, name="s")
    for number in range(1000):
        sender.send(f"k{number % 4}", str(number).encode())
    assert sender.unsent == 4
    assert sender.counters.coalesced == 996
    with LatestReceiver(ipc) as successor:
        sender.reconnect(successor.endpoint)
        values = receive_all(sender, successor)
    assert {int(value.payload) for value in values} == {996, 997, 998, 999}
    sender.close()


def test_keys_past_the_bound_are_refused_and_counted(ipc):
    with LatestReceiver(ipc) as receiver:
        sender = LatestSender(receiver.endpoint, name="s", max_keys=2)
    assert sender.send("a", b"1")
    assert sender.send("b", b"1")
    assert not sender.send("c", b"1")
    assert sender.send("a", b"2")
    assert (sender.counters.refused, sender.unsent) == (1, 2)
    sender.close()
    assert sender.counters.dropped == 2
    with pytest.raises(StreamClosed):
        sender.send("a", b"3")


def test_same_key_of_two_senders_is_two_values(ipc):
    with (
        LatestReceiver(ipc) as receiver,
        LatestSender(receiver.endpoint, name="one") as one,
        LatestSender(receiver.endpoint, name="two") as two,
    ):
        one.send("k", b"1")
        two.send("k", b"2")
        values = []
        until(
            lambda: receiver.counters.batches == 2,
            lambda: (one.pump(), two.pump(), values.extend(receiver.recv(timeout_ms=10))),
        )
    assert {(value.sender, value.payload) for value in values} == {("one", b"1"), ("two", b"2")}


def test_lost_and_foreign_messages_are_counted(ipc):
    def message(number):
        head = latest._HEADER.pack(latest._MAGIC, 1, 1, 1, 5, number, 0)
        return head + b"sk" + b"%d" % number

    with (
        LatestReceiver(ipc) as receiver,
        closing(UnixPush(Path(receiver.endpoint.address.removeprefix("ipc://")), 4096)) as raw,
    ):
        for foreign in (message(1), message(2), b"?", b"x" * 40, b"x", b"y", message(9)):
            assert raw.send(foreign)
        values = []
        until(
            lambda: receiver.counters.batches == 3,
            lambda: values.extend(receiver.recv(timeout_ms=10)),
        )
    assert values[-1].payload == b"9"
    assert (receiver.counters.holes, receiver.counters.rejected) == (1, 4)
