"""Transports over both ways, each test with its own folder of sockets."""

import shutil
from collections.abc import Iterator

import pytest

from alphaplus.streams import StreamKeys, Transport, make_run_directory


@pytest.fixture
def ipc() -> Iterator[Transport]:
    folder = make_run_directory()
    yield Transport.ipc(folder)
    shutil.rmtree(folder)


@pytest.fixture
def tcp() -> Transport:
    return Transport.tcp("127.0.0.1", StreamKeys.generate())


@pytest.fixture(params=["ipc", "tcp"])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.getfixturevalue(request.param)
    return found
