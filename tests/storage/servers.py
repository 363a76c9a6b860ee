"""The servers that storage tests run on, and databases of their own there.

`native` is an embedded PostgreSQL that the tests start. `timescale` is a running TimescaleDB
that ALPHAPLUS_TEST_TIMESCALE_DSN names, as a user that may create databases.
"""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg
import pytest

from alphaplus.storage.migrations import NATIVE, TIMESCALE, find_directory, load, migrate
from alphaplus.storage.postgres import EmbeddedPostgres

FLAVORS = (NATIVE, TIMESCALE)
TIMESCALE_VARIABLE = "ALPHAPLUS_TEST_TIMESCALE_DSN"
_NUMBERS = itertools.count()


def small(directory: Path, **options: Any) -> EmbeddedPostgres:
    """An embedded server that starts fast."""
    options.setdefault("sync", False)
    return EmbeddedPostgres(directory, settings={"shared_buffers": "32MB"}, **options)


def other_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def other_user(dsn: str, name: str) -> str:
    """The same database as another user, who has no password."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))


def with_options(dsn: str, **options: str) -> str:
    """The same database, with settings of the session."""
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query)) | options
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


async def execute(dsn: str, *statements: str) -> None:
    """Run statements one by one on a connection of their own."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def first_files(folder: Path, count: int) -> Path:
    """Make a folder with the first migrations: the schema of an earlier version."""
    folder.mkdir()
    for migration in load()[:count]:
        shutil.copy(find_directory() / str(migration), folder)
    return folder


@dataclass(frozen=True, slots=True)
class Server:
    """A server of one flavour; `dsn` names a database that exists."""

    flavor: str
    dsn: str
    template: str | None = None
    """A database with the schema that can be copied, as nobody is connected to it."""

    @asynccontextmanager
    async def database(self, *, empty: bool = False) -> AsyncIterator[str]:
        """Make a database, with the schema unless it shall be empty, and drop it at the end."""
        name = f"alphaplus_test_{os.getpid()}_{next(_NUMBERS)}"
        admin, dsn = other_database(self.dsn, "postgres"), other_database(self.dsn, name)
        copied = None if empty else self.template
        await execute(admin, f"CREATE DATABASE {name} TEMPLATE {copied or 'template0'}")
        try:
            if not empty and copied is None:
                await migrate(dsn)
            yield dsn
        finally:
            await execute(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def running_server(flavor: str, directory: Path) -> Iterator[Server]:
    """Start the embedded server, or take the TimescaleDB that is named; skip if none is."""
    if flavor == NATIVE:
        postgres = small(directory)
        dsn = postgres.start()
        try:
            asyncio.run(migrate(dsn))
            yield Server(flavor, dsn, "alphaplus")
        finally:
            postgres.stop()
        return
    named = os.environ.get(TIMESCALE_VARIABLE)
    if not named:
        pytest.skip(f"no TimescaleDB: {TIMESCALE_VARIABLE} names no server")
    # Its background workers sit in every database, and a busy one cannot be copied.
    yield Server(flavor, named)


async def rows_in_default(connection: Any, table: str) -> int:
    """How many rows wait in a table's default partition, which TimescaleDB does not have."""
    name = f"{table}_default"
    if await connection.fetchval("SELECT to_regclass($1)", name) is None:
        return 0
    return int(await connection.fetchval(f"SELECT count(*) FROM {name}"))


async def chunks_of(connection: Any, table: str) -> int:
    """How many chunks (partitions with a range) a table has."""
    sql = "SELECT count(*) FROM ap_chunk_stats() WHERE table_name = $1 AND from_time IS NOT NULL"
    return int(await connection.fetchval(sql, table))
