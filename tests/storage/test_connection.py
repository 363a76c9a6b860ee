"""Connecting: what is wrong with a server is one sentence, and never shows a password."""

import asyncio
import pickle
from urllib.parse import urlsplit

import pytest
from asyncpg import exceptions as pg

from alphaplus.errors import StorageError
from alphaplus.storage.connection import LOST, connect, describe, explained
from tests.storage.servers import execute, other_database, other_user, with_options

SECRET = "s3cret-w0rd"


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgresql://me:{SECRET}@127.0.0.1:1/db", "127.0.0.1:1/db cannot be reached"),
        (f"postgresql://me:{SECRET}@no-such-host.invalid/db", "cannot be reached"),
        (f"postgresql://me:{SECRET}@/db?host=/nowhere/at/all", "/nowhere/at/all:5432/db cannot"),
        (f"mysql://me:{SECRET}@host/db", "to be like postgresql://"),
        (f"host=x password={SECRET}", "to be like postgresql://"),
        (f"postgresql://me:{SECRET}@host:port/db", "malformed"),
        (f"postgresql://me:{SECRET}@[::1/db", "malformed"),
    ],
)
async def test_wrong_address(dsn, said):
    with pytest.raises(StorageError) as caught:
        await connect(dsn)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)


@pytest.mark.db
async def test_missing_database(server):
    with pytest.raises(StorageError, match="no such database; create it"):
        await connect(other_database(server.dsn, "nothing"))


@pytest.mark.db
async def test_read_only_server_is_refused_for_writing_only(server):
    read_only = with_options(server.dsn, default_transaction_read_only="on")
    await (await connect(read_only)).close()
    with pytest.raises(StorageError, match="read-only; name the primary server"):
        await connect(read_only, write=True)


@pytest.mark.db
async def test_no_free_connection(dsn):
    role = urlsplit(dsn).path.strip("/") + "_narrow"
    await execute(dsn, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    try:
        with pytest.raises(StorageError, match="no free connection"):
            await connect(other_user(dsn, role))
    finally:
        await execute(dsn, f"DROP ROLE {role}")


async def test_a_server_that_is_too_old_is_refused():
    """A server that only gets as far as to say its version."""

    async def greet(reader, writer):
        head = await reader.readexactly(4)
        await reader.readexactly(int.from_bytes(head) - 4)  # the startup message
        writer.write(b"R" + (8).to_bytes(4) + (0).to_bytes(4))  # no password is asked for
        for name, value in (("server_version", "14.22"), ("client_encoding", "UTF8")):
            said = f"{name}\0{value}\0".encode()
            writer.write(b"S" + (4 + len(said)).to_bytes(4) + said)
        writer.write(b"Z" + (5).to_bytes(4) + b"I")
        await reader.readexactly(5)  # the client takes its leave
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StorageError, match=r"PostgreSQL 15 or newer at .*/db, was 14\.$"):
            await connect(f"postgresql://me@127.0.0.1:{port}/db?sslmode=disable")


def test_every_kind_of_error_has_a_sentence():
    dsn = f"postgresql://me:{SECRET}@db.example:6000/market"
    for error in (
        OSError(111, "Connection refused"),
        TimeoutError(),
        asyncio.IncompleteReadError(b"", 5),
        pg.ConnectionDoesNotExistError("connection was closed"),
        pg.InterfaceError("closed"),
        pg.InternalClientError("cannot switch to state 12"),
        pg.CannotConnectNowError("the database system is starting up"),
        pg.AdminShutdownError("terminating connection"),
        pg.CrashShutdownError("terminating connection"),
        pg.InvalidPasswordError("password authentication failed"),
        pg.InsufficientPrivilegeError("permission denied for table trades"),
        pg.DiskFullError("no space left"),
        pg.ReadOnlySQLTransactionError("cannot execute INSERT"),
        pg.UndefinedTableError("no table"),
    ):
        said = explained(error, dsn)
        assert "database db.example:6000/market " in str(said)
        assert str(said).endswith(".")
        assert SECRET not in str(said)
        assert str(pickle.loads(pickle.dumps(said))) == str(said)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        pg.ConnectionDoesNotExistError("x"),
        pg.InterfaceError("x"),
        pg.InternalClientError("x"),
        pg.CannotConnectNowError("x"),
        pg.AdminShutdownError("x"),
        pg.CrashShutdownError("x"),
    ],
)
def test_lost_connections_are_told_from_bad_data(error):
    assert isinstance(error, LOST)
    assert not isinstance(pg.DataError("x"), LOST)
    assert not isinstance(pg.UniqueViolationError("x"), LOST)


def test_describe_leaves_user_and_password_out():
    assert describe("postgresql://u:p@h:1/d") == "h:1/d"
    assert describe("postgresql://u@/d?host=%2Ftmp%2Fx&port=7") == "/tmp/x:7/d"
