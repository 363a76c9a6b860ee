"""The message from a launcher to its template, and the folder where they meet."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.template.handover import (
    HandoverError,
    Request,
    meeting_folder,
    meeting_point,
    receive_request,
    send_request,
)

WORDS = st.binary(max_size=40)
SIZE = 4


def fields(request: Request) -> tuple[list[bytes], dict[bytes, bytes], bytes]:
    return request.arguments, request.environment, request.folder


@given(arguments=st.lists(WORDS), environment=st.dictionaries(WORDS, WORDS), folder=WORDS)
def test_request_comes_back_from_its_bytes(
    arguments: list[bytes], environment: dict[bytes, bytes], folder: bytes
) -> None:
    message = Request(arguments, environment, folder).to_bytes()

    assert int.from_bytes(message[:SIZE], "big") == len(message) - SIZE
    found = Request.from_bytes(message[SIZE:])
    assert fields(found) == (arguments, environment, folder)
    assert list(found.environment) == list(environment)


@given(
    body=st.binary(max_size=60)
    | st.integers(0, 200).map(
        lambda size: Request([b"program", b"--x=1"], {b"A": b"1"}, b"/").to_bytes()[SIZE:][:size]
    )
)
def test_other_bytes_are_refused_and_nothing_else_is_raised(body: bytes) -> None:
    whole = Request([b"program", b"--x=1"], {b"A": b"1"}, b"/").to_bytes()[SIZE:]
    try:
        found = Request.from_bytes(body)
    except HandoverError:
        assert body != whole
    else:
        assert Request.from_bytes(found.to_bytes()[SIZE:]).arguments == found.arguments


def test_large_request_arrives_with_the_streams_of_its_sender() -> None:
    near, far = socket.socketpair()
    request = Request([b"program"], {b"LARGE": b"x" * 100_000}, b"/tmp")
    with near, far:
        send_request(near, request)
        found, streams = receive_request(far)

    assert fields(found) == fields(request)
    try:
        assert [os.fstat(stream).st_ino for stream in streams] == [
            os.fstat(number).st_ino for number in (0, 1, 2)
        ]
    finally:
        for stream in streams:
            os.close(stream)


def test_request_that_breaks_off_is_refused_and_its_streams_are_closed() -> None:
    near, far = socket.socketpair()
    before = len(os.listdir("/proc/self/fd"))
    message = Request([b"program"], {b"A": b"1"}, b"/").to_bytes()
    with far:
        with near:
            socket.send_fds(near, [message[:-3]], [0, 1, 2])
        with pytest.raises(HandoverError, match="was the end after"):
            receive_request(far)
    assert len(os.listdir("/proc/self/fd")) == before - 2


def test_request_without_streams_is_refused() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.sendall(Request([b"program"], {}, b"/").to_bytes())
        with pytest.raises(HandoverError, match="Expected 3 streams, was 0"):
            receive_request(far)


def test_meeting_folder_is_private_and_long_paths_are_reached(tmp_path: Path) -> None:
    session = "session_" + "x" * 120
    (tmp_path / session).mkdir()
    folder = meeting_folder([f"--temp-dir={tmp_path}", f"--session-name={session}"])
    try:
        assert (tmp_path / session / "templates").stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
            listener.bind(meeting_point(folder, "here"))
            listener.listen()
            caller.connect(meeting_point(folder, "here"))
        assert (tmp_path / session / "templates" / "here").exists()
    finally:
        os.close(folder)


def test_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "session" / "templates").mkdir(parents=True)
    (tmp_path / "session" / "templates").chmod(0o777)
    with pytest.raises(HandoverError, match="this user's alone"):
        meeting_folder([f"--temp-dir={tmp_path}", "--session-name=session"])


def test_arguments_of_another_ray_are_refused() -> None:
    with pytest.raises(HandoverError, match="--session-name"):
        meeting_folder(["worker.py", "--temp-dir=/tmp"])
