"""Messages over Unix sockets: whole, in order, never blocking, whatever the other side does."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.streams._unix import UnixPull, UnixPush
from alphaplus.streams.endpoint import make_run_directory
from tests.streams.helpers import until

BUFFER = 1 << 18
MOST = 1 << 22


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    folder = make_run_directory()  # pytest's own folders have names too long for a socket
    yield folder / "s"
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def pull_at(path: Path, bad: list[str] | None = None) -> "closing[UnixPull]":
    refused = [] if bad is None else bad
    return closing(UnixPull(path, max_bytes=MOST, on_bad=refused.append))


def push_to(path: Path) -> "closing[UnixPush]":
    return closing(UnixPush(path, BUFFER))


def received(pull: UnixPull, push: UnixPush, count: int) -> list[bytes]:
    found: list[bytes] = []

    def step() -> None:
        push.flush()
        message = pull.recv()
        if message is not None:
            found.append(message)

    until(lambda: len(found) == count, step)
    return found


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 700_000) | st.integers(0, 50), min_size=1, max_size=12))
def test_messages_of_any_size_arrive_whole_and_in_order(sizes: list[int]) -> None:
    folder = make_run_directory()
    with pull_at(folder / "s") as pull, push_to(folder / "s") as push:
        wanted, found = [os.urandom(size) for size in sizes], []
        waiting = list(wanted)

        def step() -> None:
            if waiting and push.send(waiting[0]):
                waiting.pop(0)
            push.flush()
            message = pull.recv()
            if message is not None:
                found.append(message)

        until(lambda: len(found) == len(wanted), step)
    (folder / "s").unlink()
    folder.rmdir()
    assert found == wanted


def test_a_full_receiver_takes_no_more_and_loses_nothing(path: Path) -> None:
    with pull_at(path) as pull, push_to(path) as push:
        sent = 0
        while push.send(bytes(1000)):
            sent += 1
            assert sent < 10_000
        assert not push.is_writable
        assert received(pull, push, sent) == [bytes(1000)] * sent
        assert push.is_writable
        assert pull.recv() is None


def test_the_rest_of_a_message_goes_before_the_next_one(path: Path) -> None:
    with pull_at(path) as pull, push_to(path) as push:
        large = os.urandom(1_500_000)
        assert push.send(large)
        assert not push.is_flushed
        assert not push.send(b"next")
        assert received(pull, push, 1) == [large]
        assert push.is_flushed
        assert push.send(b"next")
        assert received(pull, push, 1) == [b"next"]


def test_a_sender_waits_for_a_receiver_that_is_not_there_yet(path: Path) -> None:
    now = [0.0]
    with closing(UnixPush(path, BUFFER, clock=lambda: now[0])) as push:
        assert not push.send(b"early")
        with pull_at(path) as pull:
            assert not push.send(b"early")  # it does not try again at once
            now[0] += 1.0
            assert push.send(b"early")
            assert received(pull, push, 1) == [b"early"]


def test_a_sender_finds_the_successor_of_a_dead_receiver(path: Path) -> None:
    with push_to(path) as push:
        with pull_at(path) as pull:
            assert push.send(b"one")
            assert received(pull, push, 1) == [b"one"]
        assert not push.send(b"lost")
        with pull_at(path) as pull:
            until(lambda: push.send(b"two"))
            assert received(pull, push, 1) == [b"two"]


def test_a_sender_that_dies_within_a_message_leaves_the_others_alone(path: Path) -> None:
    with pull_at(path) as pull, push_to(path) as push:
        with closing(socket.socket(socket.AF_UNIX)) as dying:
            dying.connect(str(path))
            dying.sendall(struct.pack("<I", 100) + b"begun")
            assert pull.recv() is None
        assert push.send(b"whole")
        assert received(pull, push, 1) == [b"whole"]
        assert pull.recv() is None


def test_a_length_beyond_all_bounds_ends_the_connection(path: Path) -> None:
    bad: list[str] = []
    with pull_at(path, bad) as pull, push_to(path) as push:
        with closing(socket.socket(socket.AF_UNIX)) as stranger:
            stranger.connect(str(path))
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            until(lambda: bad, pull.recv)
            assert stranger.recv(1) == b""
        assert "announces" in bad[0]
        assert push.send(b"fine")
        assert received(pull, push, 1) == [b"fine"]


def test_many_senders_keep_their_own_order(path: Path) -> None:
    with pull_at(path) as pull:
        pushes = [UnixPush(path, BUFFER) for _ in range(100)]
        for number in range(10):
            for at, push in enumerate(pushes):
                assert push.send(f"{at} {number}".encode())
        found = [message.decode().split() for message in received(pull, pushes[0], 1000)]
        for push in pushes:
            push.close()
        assert pull.recv() is None
    for at in range(100):
        assert [n for who, n in found if who == str(at)] == [str(n) for n in range(10)]
