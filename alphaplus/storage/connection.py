"""Connections to the database, and its errors in words that say what to do.

A DSN holds a password, so no message here contains one: servers are named by host, port and
database only.
"""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from asyncpg import exceptions as pg

from alphaplus.errors import StorageError

MIN_VERSION: Final = 15
CONNECT_S: Final = 10.0
SETTINGS: Final = {"application_name": "alphaplus", "timezone": "UTC"}

LOST: Final = (
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    pg.PostgresConnectionError,
    pg.InterfaceError,
    pg.InternalClientError,
    pg.CannotConnectNowError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.TooManyConnectionsError,
)
"""The connection is gone or cannot be made: what it was doing may or may not have happened."""

READ_ONLY: Final = (pg.ReadOnlySQLTransactionError,)


def describe(dsn: str) -> str:
    """Name the server of a DSN without user or password: `host:port/database`."""
    try:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        host = parts.hostname or query.get("host", ["localhost"])[0]
        port = parts.port or int(query.get("port", ["5432"])[0])
    except ValueError:
        return "the configured address"
    return f"{unquote(host)}:{port}/{unquote(parts.path.lstrip('/'))}"


async def connect(dsn: str, *, write: bool = False) -> asyncpg.Connection:
    """Connect, and check the server's version and, for `write`, that it takes writes.

    Raises StorageError that says what is wrong and what to do.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise StorageError(
            "Expected storage.dsn to be like postgresql://user:password@host:5432/database; "
            "correct ALPHAPLUS_STORAGE__DSN."
        )
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_S, server_settings=SETTINGS)
    except (*LOST, pg.PostgresError, ValueError) as error:
        raise explained(error, dsn) from None
    try:
        await _check(connection, dsn, write)
    except (*LOST, pg.PostgresError) as error:
        connection.terminate()
        raise explained(error, dsn) from error
    except StorageError:
        await connection.close()
        raise
    return connection


def explained(error: BaseException, dsn: str) -> StorageError:
    """Translate an error of the driver to a sentence with what to do."""
    where = describe(dsn)
    for kinds, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return StorageError(sentence.format(where=where, error=_reason(error)))
    return StorageError(f"The database {where} refused: {_reason(error)}.")


_SENTENCES: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    (
        (pg.InvalidPasswordError, pg.InvalidAuthorizationSpecificationError),
        "The database {where} refused user or password; correct ALPHAPLUS_STORAGE__DSN.",
    ),
    (
        (pg.InvalidCatalogNameError,),
        "The server of {where} has no such database; create it with createdb, or correct "
        "ALPHAPLUS_STORAGE__DSN.",
    ),
    (
        READ_ONLY,
        "The database {where} is read-only; name the primary server in ALPHAPLUS_STORAGE__DSN, "
        "or turn default_transaction_read_only off.",
    ),
    (
        (pg.InsufficientPrivilegeError,),
        "The database {where} denies a right that is needed ({error}); grant it to the user.",
    ),
    (
        (pg.CannotConnectNowError,),
        "The database {where} is starting or stopping; try again.",
    ),
    (
        (pg.TooManyConnectionsError,),
        "The database {where} has no free connection; raise its max_connections.",
    ),
    (
        (pg.DiskFullError,),
        "The disk of the database {where} is full; make room there.",
    ),
    (
        LOST,
        "The database {where} cannot be reached ({error}); start it, or correct "
        "ALPHAPLUS_STORAGE__DSN.",
    ),
    (
        (pg.ClientConfigurationError, ValueError),
        "The address in ALPHAPLUS_STORAGE__DSN is malformed; expected one like "
        "postgresql://user:password@host:5432/database.",
    ),
)


def _reason(error: BaseException) -> str:
    """Return the first line of an error; the driver never puts a password there."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


async def _check(connection: Any, dsn: str, write: bool) -> None:
    version = connection.get_server_version()
    if version.major < MIN_VERSION:
        raise StorageError(
            f"Expected PostgreSQL {MIN_VERSION} or newer at {describe(dsn)}, was {version.major}."
        )
    read_only = await connection.fetchval(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"
    )
    if write and read_only:
        raise explained(pg.ReadOnlySQLTransactionError("read-only"), dsn)
