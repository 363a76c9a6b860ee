"""One embedded server for all storage tests, one migrated database for each."""

import asyncio
import itertools
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def open_dir():
    """A folder that the server's user can enter too (pytest's own are private)."""
    directory = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def small(directory, **options):
    """An embedded server that starts fast."""
    options.setdefault("sync", False)
    return EmbeddedPostgres(directory, settings={"shared_buffers": "32MB"}, **options)


def other_database(dsn, name):
    return dsn.replace("@/alphaplus?", f"@/{name}?")


async def execute(dsn, *statements):
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def server(open_dir):
    """The DSN of a running server whose database `alphaplus` is migrated."""
    postgres = small(open_dir / "shared")
    dsn = postgres.start()
    try:
        asyncio.run(migrate(dsn))
        yield dsn
    finally:
        postgres.stop()


@pytest.fixture
async def empty_dsn(server):
    """A database of its own without tables."""
    name = f"empty_{next(_NUMBERS)}"
    await execute(server, f"CREATE DATABASE {name} TEMPLATE template0")
    yield other_database(server, name)
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def dsn(server):
    """A migrated database of its own."""
    name = f"migrated_{next(_NUMBERS)}"
    admin = other_database(server, "postgres")
    await execute(admin, f"CREATE DATABASE {name} TEMPLATE alphaplus")
    yield other_database(server, name)
    await execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()
