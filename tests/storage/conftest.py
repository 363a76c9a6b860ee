"""A server of each flavour for all storage tests, one migrated database for each test.

A test that takes `server`, or what is built on it, runs once on each flavour; the mark `native`
or `timescale` confines it to one.
"""

import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from tests.storage.servers import FLAVORS, running_server


def pytest_generate_tests(metafunc):
    if "server" in metafunc.fixturenames:
        marked = [mark.name for mark in metafunc.definition.iter_markers()]
        chosen = [flavor for flavor in FLAVORS if flavor in marked] or FLAVORS
        metafunc.parametrize("server", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def open_dir():
    """A folder that the server's user can enter too (pytest's own are private)."""
    directory = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def server(request, open_dir):
    """A running server of a flavour."""
    with running_server(request.param, open_dir / "shared") as running:
        yield running


@pytest.fixture
async def empty_dsn(server):
    """A database of its own without tables."""
    async with server.database(empty=True) as dsn:
        yield dsn


@pytest.fixture
async def dsn(server):
    """A migrated database of its own."""
    async with server.database() as dsn:
        yield dsn


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()
