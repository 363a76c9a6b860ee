"""A native server for the tests of actors that write, and a migrated database for each."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from alphaplus.storage.migrations import NATIVE
from tests.storage.servers import Server, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An embedded server in a folder that its user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    folder.chmod(0o755)
    with running_server(NATIVE, folder / "shared") as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    """A migrated database of its own."""
    async with server.database() as found:
        yield found


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    """A connection to it."""
    found = await asyncpg.connect(dsn)
    yield found
    await found.close()
