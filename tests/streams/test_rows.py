import asyncio
import threading
from collections import Counter

import numpy as np
import pytest
import zmq

from alphaplus.errors import StreamClosed
from alphaplus.streams import Endpoint, RowReceiver, RowSender, rows
from alphaplus.streams._sockets import MAX_MESSAGE_BYTES
from tests.streams.helpers import peer, until

ROW = np.dtype([("ts", "<i8"), ("price", "<f8")])


def some(number, count=3):
    batch = np.zeros(count, ROW)
    batch["ts"] = number
    return batch


def sender_to(receiver, transport, **options):
    return RowSender(receiver.endpoint, **({"name": "symbol", "keys": transport.keys} | options))


def receive(receiver, sender, count):
    """Receive `count` batches, acknowledging none."""
    batches = []
    until(
        lambda: len(batches) >= count,
        lambda: (sender.pump(), batches.extend(receiver.recv(timeout_ms=10))),
    )
    return batches


def acknowledge(receiver, sender, batches):
    wanted = sender.counters.acked + sum(batch.count for batch in batches)
    for batch in batches:
        receiver.ack(batch)
    until(
        lambda: sender.counters.acked >= wanted,
        lambda: (receiver.recv(timeout_ms=10), sender.pump()),
    )


def test_rows_cross_either_way_and_are_kept_until_acknowledged(transport):
    with RowReceiver(transport) as receiver, sender_to(receiver, transport) as sender:
        for number in range(100):
            assert sender.send("l2_delta", some(number))
        batches = receive(receiver, sender, 100)
        assert [batch.number for batch in batches] == list(range(1, 101))
        assert [int(batch.rows(ROW)["ts"][0]) for batch in batches] == list(range(100))
        assert {(batch.table, batch.count) for batch in batches} == {("l2_delta", 3)}
        assert {batch.sender for batch in batches} == {("symbol", sender.epoch)}
        assert (sender.unacked, receiver.pending) == (300, 100)
        assert not sender.wait_drained(timeout_s=0.01)
        acknowledge(receiver, sender, batches)
        assert (sender.unacked, receiver.pending) == (0, 0)
        assert sender.wait_drained(timeout_s=0)
    assert sender.counters.acked == receiver.counters.acked == sender.counters.sent == 300
    assert sender.counters.resent == sender.counters.dropped == 0


def test_acknowledgements_may_come_in_any_order(ipc):
    with RowReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        for number in range(50):
            sender.send("t", some(number))
        batches = receive(receiver, sender, 50)
        acknowledge(receiver, sender, batches[::-2])
        assert sender.unacked == 25 * 3
        acknowledge(receiver, sender, batches[::2])
        assert sender.unacked == 0


def test_past_the_bound_rows_are_refused_until_some_are_durable(ipc):
    with RowReceiver(ipc) as receiver, sender_to(receiver, ipc, max_unacked_rows=10) as sender:
        assert [sender.send("t", some(n)) for n in range(5)] == [True, True, True, False, False]
        assert (sender.counters.refused, sender.unacked) == (6, 9)
        acknowledge(receiver, sender, receive(receiver, sender, 3))
        assert sender.send("t", some(9))
        assert receive(receiver, sender, 1)[0].rows(ROW)["ts"][0] == 9
    assert sender.counters.dropped == 3  # closed before its last batch was durable


def test_bytes_are_bounded_too(ipc):
    with RowReceiver(ipc) as receiver:
        sender = sender_to(receiver, ipc, max_unacked_bytes=5 * ROW.itemsize)
    assert sender.send("t", some(1))
    assert not sender.send("t", some(2))
    with pytest.raises(ValueError, match="split it"):
        sender.send("t", some(3, count=6))
    sender.close()


def test_a_batch_leaves_room_in_its_message_for_what_is_said_of_it(ipc):
    full = np.zeros(64, np.dtype((np.void, MAX_MESSAGE_BYTES // 64)))
    with (
        RowReceiver(ipc) as receiver,
        sender_to(receiver, ipc) as sender,
        pytest.raises(ValueError, match="split it"),
    ):
        sender.send("t", full)


@pytest.mark.parametrize(("batches", "size", "messages"), [(200, 3, 4), (3, 40_000, 3)])
def test_batches_that_wait_travel_together_in_their_order(
    ipc, monkeypatch, batches, size, messages
):
    sent, really_send = [], rows.try_send

    def try_send(socket, *parts):
        if socket.type == zmq.DEALER:  # the receiver answers by the same function
            sent.append(parts)
        return really_send(socket, *parts)

    monkeypatch.setattr(rows, "try_send", try_send)
    with RowReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        for number in range(batches):
            assert sender.put("even" if number % 2 else "odd", some(number, size))
        found = receive(receiver, sender, batches)
        assert len(sent) == messages
        assert [batch.number for batch in found] == list(range(1, batches + 1))
        for number, batch in enumerate(found):
            assert batch.table == ("even" if number % 2 else "odd")
            assert np.array_equal(batch.rows(ROW), some(number, size))
        acknowledge(receiver, sender, found)
        assert sender.unacked == 0


def test_what_one_source_waits_for_is_not_what_another_does(ipc):
    with RowReceiver(ipc) as receiver, sender_to(receiver, ipc, max_unacked_rows=9) as sender:
        sender.sharers = 2
        taken = [sender.put("t", some(number), source="ab"[number % 2]) for number in range(8)]
        assert taken == [True] * 6 + [False] * 2, "the bound is that of each"
        acknowledge(receiver, sender, receive(receiver, sender, 6)[::2])
        assert (sender.unacked_of("a"), sender.unacked_of("b")) == (0, 9)
        assert sender.wait_drained(60.0, source="a")
        assert not sender.wait_drained(0.0, source="b")


def test_new_receiver_gets_what_was_not_acknowledged(ipc):
    address = ipc.new_address()
    with RowReceiver(ipc, address=address) as receiver:
        sender = sender_to(receiver, ipc)
        for number in range(20):
            sender.send("t", some(number))
        batches = receive(receiver, sender, 20)
        acknowledge(receiver, sender, batches[:5] + batches[8:10])
    with RowReceiver(ipc, address=address) as successor:
        again = receive(successor, sender, 13)
        assert {b.number for b in again} == {b.number for b in batches[5:8] + batches[10:]}
        acknowledge(successor, sender, again)
    assert sender.counters.resent >= 13 * 3
    sender.close()


def test_sender_points_to_another_receiver_and_keeps_its_numbers(ipc):
    with RowReceiver(ipc) as receiver, RowReceiver(ipc) as other:
        sender = sender_to(receiver, ipc)
        sender.send("t", some(1))
        (before,) = receive(receiver, sender, 1)
        sender.reconnect(other.endpoint)
        (after,) = receive(other, sender, 1)
        assert (after.sender, after.number) == (before.sender, before.number)
        acknowledge(other, sender, [after])
    sender.close()


def test_batches_known_as_durable_are_acknowledged_and_not_handed_out(ipc):
    with RowReceiver(ipc) as receiver:
        sender = sender_to(receiver, ipc)
    for number in range(6):
        sender.send("t", some(number))
    known = [(sender.epoch, number) for number in (1, 2, 5)]
    with RowReceiver(ipc, durable=known) as successor:
        sender.reconnect(successor.endpoint)
        batches = receive(successor, sender, 3)
        assert [batch.number for batch in batches] == [3, 4, 6]
        acknowledge(successor, sender, batches)
        assert successor.counters.duplicates == 9
    sender.close()


def test_killed_store_keeps_every_batch_exactly_once(ipc, tmp_path):
    address, spool = ipc.new_address(), tmp_path / "spool"
    spool.touch()
    sender = RowSender(Endpoint(address), name="symbol")
    sent = 0
    for life in range(3):
        with peer("rows", address, str(spool)):
            for _ in range(400):
                sender.send("t", some(sent))
                sent += 1
            # killed with some batches durable, some under way and some not even sent
            enough = life * 1200 + 300
            until(lambda enough=enough: sender.counters.acked > enough, sender.pump)
    with peer("rows", address, str(spool)):
        assert sender.wait_drained(timeout_s=60)
    sender.close()
    kept = Counter(spool.read_text().splitlines())
    assert kept == Counter(f"{sender.epoch} {number}" for number in range(1, sent + 1))


def test_silence_makes_the_sender_ask_and_asking_makes_no_duplicates(ipc):
    now = [0.0]
    with (
        RowReceiver(ipc) as receiver,
        sender_to(receiver, ipc, ack_timeout_s=10.0, clock=lambda: now[0]) as sender,
    ):
        sender.send("t", some(1))
        sender.send("t", some(2))
        batches = receive(receiver, sender, 2)
        for seconds, asked in ((9, 0), (11, 1), (21, 1), (32, 2)):
            now[0] = float(seconds)
            sender.pump()
            assert sender.counters.resent == asked * 3
        until(
            lambda: receiver.counters.duplicates == 6,
            lambda: batches.extend(receiver.recv(timeout_ms=10)),
        )
        assert [batch.number for batch in batches] == [1, 2]
        acknowledge(receiver, sender, batches)


def test_many_threads_may_send(ipc):
    with RowReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        threads = [
            threading.Thread(target=lambda n=n: [sender.send("t", some(n)) for _ in range(200)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        batches = receive(receiver, sender, 800)
        for thread in threads:
            thread.join()
        acknowledge(receiver, sender, batches)
    assert Counter(int(b.rows(ROW)["ts"][0]) for b in batches) == dict.fromkeys(range(4), 200)


async def test_acknowledgement_leaves_while_a_coroutine_waits(transport):
    with RowReceiver(transport) as receiver, sender_to(receiver, transport) as sender:
        sender.send("t", some(1))
        drained = asyncio.create_task(asyncio.to_thread(sender.wait_drained, 60.0))
        (batch,) = await receiver.recv_async()
        waiting = asyncio.create_task(receiver.recv_async())
        await asyncio.sleep(0)
        receiver.ack(batch)
        assert await drained
        sender.send("t", some(2))
        (second,) = await waiting
        assert second.number == 2


def test_rows_of_another_version_are_refused(ipc):
    with RowReceiver(ipc) as receiver, sender_to(receiver, ipc) as sender:
        sender.send("trade", some(1))
        (batch,) = receive(receiver, sender, 1)
    with pytest.raises(ValueError, match="Expected rows of trade to have 8 bytes, was 16"):
        batch.rows(np.dtype("<i8"))


def test_foreign_messages_are_counted_and_harm_nothing(ipc):
    with (
        RowReceiver(ipc) as receiver,
        sender_to(receiver, ipc) as sender,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as stranger,
    ):
        stranger.linger = 0
        stranger.connect(receiver.endpoint.address)
        for message in ([b"hello"], [b"a", b"b"], [b"x" * 80, b"y"], [b"1", b"2", b"3"]):
            stranger.send_multipart(message)
        until(lambda: receiver.counters.rejected == 4, lambda: receiver.recv(timeout_ms=10))
        sender.send("t", some(1))
        acknowledge(receiver, sender, receive(receiver, sender, 1))


def test_idle_senders_are_forgotten_past_the_bound(ipc, monkeypatch):
    monkeypatch.setattr(rows, "MAX_SENDERS", 2)
    with RowReceiver(ipc) as receiver:
        senders = [sender_to(receiver, ipc) for _ in range(4)]
        for sender in senders:
            sender.send("t", some(1))
            acknowledge(receiver, sender, receive(receiver, sender, 1))
            assert len(receiver._ledgers) <= 2
        senders[0].send("t", some(2))
        (batch,) = receive(receiver, senders[0], 1)
        assert batch.number == 2
        for sender in senders:
            sender.close()


def test_closed_sender_says_so(ipc):
    with RowReceiver(ipc) as receiver:
        sender = sender_to(receiver, ipc)
        sender.close()
        sender.close()
        with pytest.raises(StreamClosed):
            sender.send("t", some(1))
        with pytest.raises(StreamClosed):
            sender.wait_drained(timeout_s=1)
