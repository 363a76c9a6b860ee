import asyncio
import gc
import os
import random
import select
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from alphaplus.errors import StreamClosed
from alphaplus.streams import (
    Endpoint,
    EventReceiver,
    EventSender,
    LatestReceiver,
    LatestSender,
    RowReceiver,
    RowSender,
    StreamKeys,
    _sockets,
)
from tests.streams.helpers import drain, numbered, sequences, until

RECEIVERS = [EventReceiver, LatestReceiver, RowReceiver]


@pytest.mark.parametrize("kind", RECEIVERS)
def test_close_wakes_a_waiting_thread(kind, transport):
    receiver, outcome, started = kind(transport), [], threading.Event()

    def work():
        started.set()
        try:
            receiver.recv()
        except StreamClosed as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    receiver.close()
    thread.join()
    receiver.close()
    assert len(outcome) == 1
    with pytest.raises(StreamClosed):
        receiver.recv(timeout_ms=0)


@pytest.mark.parametrize("kind", RECEIVERS)
async def test_close_wakes_a_waiting_coroutine(kind, transport):
    receiver = kind(transport)
    waiting = asyncio.create_task(receiver.recv_async())
    await asyncio.sleep(0)
    receiver.close()
    with pytest.raises(StreamClosed):
        await waiting


async def test_close_from_a_thread_wakes_a_waiting_coroutine(ipc):
    receiver = EventReceiver(ipc)
    waiting = asyncio.create_task(receiver.recv_async())
    await asyncio.sleep(0)
    await asyncio.to_thread(receiver.close)
    with pytest.raises(StreamClosed):
        await waiting


async def test_nothing_arrives_within_the_timeout(ipc):
    with EventReceiver(ipc) as receiver:
        assert receiver.recv(timeout_ms=0) == []
        assert receiver.recv(timeout_ms=1) == []
        assert await receiver.recv_async(timeout_s=0.001) == []


async def test_cancelled_coroutine_loses_nothing(ipc):
    with (
        EventReceiver(ipc) as receiver,
        EventSender(receiver.endpoint, name="a", exchange="x") as sender,
    ):
        batches = []
        for number in range(200):
            waiting = asyncio.create_task(receiver.recv_async())
            await asyncio.sleep(0)
            sender.send(numbered(number, 1))
            await asyncio.sleep(0)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                batches += await waiting
        batches += drain(sender, receiver)
    assert sequences(batches) == list(range(200))


async def test_coroutine_misses_no_message_of_a_busy_sender(ipc):
    with (
        EventReceiver(ipc) as receiver,
        EventSender(receiver.endpoint, name="a", exchange="x") as sender,
    ):
        stop = threading.Event()

        def send():
            for number in range(3000):
                sender.send(numbered(number, 1))
            until(sender.pump)
            stop.set()

        thread = threading.Thread(target=send)
        thread.start()
        batches = []
        while len(sequences(batches)) < 3000:
            batches += await receiver.recv_async(timeout_s=60)
        thread.join()
    assert sequences(batches) == list(range(3000))


async def test_second_reader_is_refused(ipc):
    with EventReceiver(ipc) as receiver:
        waiting = asyncio.create_task(receiver.recv_async())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await receiver.recv_async()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


def test_wrong_client_key_is_refused_and_the_right_one_works(tcp):
    with EventReceiver(tcp) as receiver:
        with EventSender(
            receiver.endpoint, name="spy", exchange="x", keys=StreamKeys.generate()
        ) as spy:
            spy.send(numbered(666, 1))
            until(lambda: receiver.counters.refused, lambda: (spy.pump(), receiver.recv(10)))
            assert (spy.counters.sent, spy.backlog_events) == (0, 1)
        with EventSender(receiver.endpoint, name="a", exchange="x", keys=tcp.keys) as sender:
            sender.send(numbered(1, 1))
            assert sequences(drain(sender, receiver)) == [1]


@pytest.mark.parametrize("impostor", ["plaintext", "wrong server key"])
def test_peer_that_cannot_encrypt_for_the_server_is_refused(tcp, impostor):
    failures = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    with (
        EventReceiver(tcp) as receiver,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as peer,
    ):
        peer.linger = 0
        if impostor != "plaintext":
            peer.curve_publickey = tcp.keys.public.encode()
            peer.curve_secretkey = tcp.keys.secret.encode()
            peer.curve_serverkey = zmq.curve_keypair()[0]
        with peer.get_monitor_socket(failures | zmq.EVENT_DISCONNECTED) as monitor:
            peer.connect(receiver.endpoint.address)
            peer.send_multipart([b"hello", b""])
            assert monitor.poll(60_000)
            recv_monitor_message(monitor)
            peer.disable_monitor()
        assert receiver.recv(timeout_ms=50) == []
        assert (receiver.counters.rejected, receiver.counters.batches) == (0, 0)


def test_closed_streams_leave_no_descriptors_and_no_threads(ipc, tcp):
    def open_and_close():
        for transport in (ipc, tcp):
            keys = transport.keys
            with (
                EventReceiver(transport) as events,
                LatestReceiver(transport) as values,
                RowReceiver(transport) as rows,
                EventSender(events.endpoint, name="s", exchange="x", keys=keys) as one,
                LatestSender(values.endpoint, name="s", keys=keys) as two,
                RowSender(rows.endpoint, name="s", keys=keys) as three,
            ):
                one.send(numbered(0, 1))
                two.send("k", b"v")
                three.send("t", numbered(0, 1))
                drain(one, events)

    def alive():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    open_and_close()
    gc.collect()
    before = alive()
    for _ in range(3):
        open_and_close()
    gc.collect()
    until(lambda: alive() == before)  # a joined thread may leave /proc a moment later
    assert not [path for path in Path(ipc.directory).iterdir() if path.is_socket()]


def test_receiver_that_cannot_bind_gives_everything_back(ipc):
    before = len(os.listdir("/proc/self/fd"))
    for kind in RECEIVERS:
        with pytest.raises((zmq.ZMQError, OSError)):
            kind(ipc, address="ipc:///nowhere/at/all")
    assert len(os.listdir("/proc/self/fd")) == before


def test_sender_outlives_an_absent_receiver(ipc):
    with EventSender(Endpoint(ipc.new_address()), name="a", exchange="x") as sender:
        for number in range(1000):
            assert sender.send(numbered(number, 1))
        assert sender.backlog_events == 1000
        assert not sender.pump()


@pytest.mark.parametrize("kind", [EventReceiver, RowReceiver])
def test_a_peer_that_says_nothing_for_long_is_no_error(kind, tcp, monkeypatch):
    """Its first heartbeat brings its key: the socket is readable, and has no message."""
    monkeypatch.setattr(_sockets, "HEARTBEAT_MS", 20)
    with kind(tcp) as receiver, _sender_to(receiver, tcp) as sender:
        assert all(receiver.recv(timeout_ms=10) == [] for _ in range(30))
        sender.send(*_one_item(kind))
        until(lambda: receiver.recv(timeout_ms=10), sender.pump)


def _sender_to(receiver, transport):
    if isinstance(receiver, RowReceiver):
        return RowSender(receiver.endpoint, name="s", keys=transport.keys)
    return EventSender(receiver.endpoint, name="s", exchange="e", keys=transport.keys)


def _one_item(kind):
    return ("trades", np.zeros(1)) if kind is RowReceiver else (numbered(1, 1),)


def test_a_poll_of_many_receivers_leaves_nothing_behind(transport):
    """They are looked at between polls as well, which takes back what descriptors tell."""
    receivers = [EventReceiver(transport) for _ in range(3)]
    senders = [
        EventSender(each.endpoint, name="s", exchange="e", keys=transport.keys)
        for each in receivers
    ]
    owners = {descriptor: each for each in receivers for descriptor in each.descriptors}
    poller, hiding, looked = select.poll(), set(), random.Random(5)
    for descriptor in owners:
        poller.register(descriptor, select.POLLIN)

    def step():
        for sender in senders:
            sender.pump()
        ready = {owners[found] for found, _ in poller.poll(0 if hiding else 10)} | hiding
        hiding.clear()
        used = {receiver for receiver in ready if receiver.recv(timeout_ms=0)}
        if looked.random() < 0.5:
            used.add(looked.choice(receivers))
        for receiver in used:
            receiver._is_readable()
            if receiver.may_hide_more:
                hiding.add(receiver)

    for number in range(1, 201):
        for sender in senders:
            sender.send(numbered(number, 1))
        until(lambda n=number: all(each.counters.received == n for each in receivers), step)
    for each in (*senders, *receivers):
        each.close()


def test_what_was_read_ahead_is_known_and_no_descriptor_tells_of_it(ipc):
    with EventReceiver(ipc) as receiver, _sender_to(receiver, ipc) as sender:
        (descriptor,) = receiver.descriptors
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        sender.send(numbered(1, 1))
        until(lambda: poller.poll(0), sender.pump)
        assert not receiver.may_hide_more
        until(receiver._is_readable)
        assert receiver.may_hide_more
        assert not poller.poll(0)
        assert len(receiver.recv(timeout_ms=0)) == 1
        assert not receiver.may_hide_more
