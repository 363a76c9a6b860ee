"""A database of the benchmark's own: on a server that is named, or on an embedded one."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from alphaplus.storage.connection import connect
from alphaplus.storage.postgres import EmbeddedPostgres


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that the embedded server's user can enter too."""
    with tempfile.TemporaryDirectory(prefix="alphaplus-bench-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def own_database(dsn: str | None, folder: Path) -> Iterator[str]:
    """Give the DSN of an empty database that goes at the end.

    With `dsn`, its user must be allowed to create databases on that server.
    """
    if dsn is None:
        server = EmbeddedPostgres(folder / "database")
        try:
            yield server.start()
        finally:
            server.stop()
        return
    name = f"alphaplus_bench_{os.getpid()}"
    asyncio.run(_execute(dsn, f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    finally:
        asyncio.run(_execute(dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(dsn: str, statement: str) -> None:
    connection = await connect(dsn, write=True)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
