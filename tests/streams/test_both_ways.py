"""A receiver on two ways at once: a file for its own node, an encrypted port for all others."""

import pickle
import socket
from pathlib import Path

import pytest

from alphaplus.errors import ConfigError
from alphaplus.streams import (
    EventReceiver,
    EventSender,
    LatestReceiver,
    LatestSender,
    RowReceiver,
    RowSender,
    StreamKeys,
    Transport,
)
from tests.streams.helpers import drain, numbered, sequences, until


@pytest.fixture
def both(ipc: Transport, tcp: Transport) -> Transport:
    assert ipc.directory is not None
    return tcp.with_near_way("node-1", ipc.directory)


def test_the_way_is_chosen_by_the_node_of_the_sender(both):
    with EventReceiver(both) as receiver:
        endpoint = pickle.loads(pickle.dumps(receiver.endpoint))
        assert endpoint.seen_from("node-1").address.startswith("ipc://")
        assert endpoint.seen_from("node-1").server_key is None
        for elsewhere in ("node-2", ""):
            assert endpoint.seen_from(elsewhere).address.startswith("tcp://127.0.0.1:")


def test_a_receiver_with_one_way_is_the_same_from_everywhere(ipc, tcp):
    for transport in (ipc, tcp):
        with EventReceiver(transport) as receiver:
            assert receiver.endpoint.seen_from("") == receiver.endpoint
            assert receiver.endpoint.seen_from("node-1") == receiver.endpoint


def test_senders_of_both_ways_arrive_each_in_its_order(both):
    with (
        EventReceiver(both) as receiver,
        EventSender(receiver.endpoint.seen_from("node-1"), name="near", exchange="x") as near,
        EventSender(receiver.endpoint, name="far", exchange="x", keys=both.keys) as far,
    ):
        for number in range(200):
            near.send(numbered(number, 1))
            far.send(numbered(1000 + number, 1))
        batches = []
        until(
            lambda: near.pump() and far.pump() and receiver.counters.received == 400,
            lambda: batches.extend(receiver.recv(timeout_ms=20)),
        )
        of = {
            name: sequences([batch for batch in batches if batch.sender == name])
            for name in ("near", "far")
        }
        assert of == {"near": list(range(200)), "far": list(range(1000, 1200))}
        assert receiver.counters.holes == 0


def test_a_sender_moves_from_one_way_to_the_other(both):
    with (
        EventReceiver(both) as receiver,
        EventSender(receiver.endpoint, name="a", exchange="x", keys=both.keys) as sender,
    ):
        sender.send(numbered(0, 1))
        assert sequences(drain(sender, receiver)) == [0]
        sender.reconnect(receiver.endpoint.seen_from("node-1"))
        sender.send(numbered(1, 1))
        (batch,) = drain(sender, receiver)
        assert batch.hole, "it began anew, and the book has to as well"


def test_states_and_rows_arrive_on_both_ways(both):
    with LatestReceiver(both) as board, RowReceiver(both) as store:
        for name, node in (("near", "node-1"), ("far", "node-2")):
            told, kept = board.endpoint.seen_from(node), store.endpoint.seen_from(node)
            with (
                LatestSender(told, name=name, keys=both.keys) as states,
                RowSender(kept, name=name, keys=both.keys) as rows,
            ):
                states.send("key", name.encode())
                rows.send("table", numbered(0, 3))
                values = []
                until(lambda v=values: v, lambda s=states, v=values: (
                    s.pump(), v.extend(board.recv(timeout_ms=20)),
                ))  # fmt: skip
                assert [value.payload for value in values] == [name.encode()]
                until(rows.pump, lambda: store.ack(*store.recv(timeout_ms=20)))
                assert rows.counters.acked == 3


def test_the_port_refuses_who_is_not_of_the_fleet_though_a_file_is_open_beside_it(both):
    with (
        EventReceiver(both) as receiver,
        EventSender(receiver.endpoint, name="spy", exchange="x", keys=StreamKeys.generate()) as spy,
    ):
        spy.send(numbered(666, 1))
        until(lambda: receiver.counters.refused, lambda: (spy.pump(), receiver.recv(10)))
        assert receiver.counters.received == 0


def test_closing_gives_up_both_ways(both):
    with EventReceiver(both) as receiver:
        file = Path(receiver.endpoint.near.removeprefix("ipc://"))
        assert file.is_socket()
    assert not file.exists()
    port = int(receiver.endpoint.address.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def free_range(length: int) -> tuple[int, int]:
    """Return ports in a row that are free now."""
    for first in range(21_000, 60_000, length):
        with_all = [socket.socket() for _ in range(length)]
        try:
            for at, item in enumerate(with_all):
                item.bind(("127.0.0.1", first + at))
        except OSError:
            continue
        finally:
            for item in with_all:
                item.close()
        return first, first + length - 1
    raise AssertionError("no ports in a row are free")


def test_ports_come_from_the_range_and_one_too_many_is_refused():
    first, last = free_range(3)
    transport = Transport.tcp("127.0.0.1", StreamKeys.generate(), (first, last))
    receivers = [EventReceiver(transport) for _ in range(3)]
    ports = {int(item.endpoint.address.rpartition(":")[2]) for item in receivers}
    assert ports == set(range(first, last + 1))
    with pytest.raises(ConfigError, match=r"free port from \d+ to \d+.*widen streams.ports"):
        EventReceiver(transport)
    for item in receivers:
        item.close()
