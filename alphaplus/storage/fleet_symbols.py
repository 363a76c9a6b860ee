"""The symbols that a fleet was told to watch, or not to, beside those of the settings.

What was told survives the supervisor, the job and the machine: a call returns when the database
has committed. All functions raise StorageError if it does not answer in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

import asyncpg

from alphaplus.errors import StorageError
from alphaplus.storage.connection import LOST, connect

T = TypeVar("T")

PATIENCE_S: Final = 5.0


async def told_symbols(dsn: str, exchange: str) -> dict[str, bool]:
    """Return each symbol that was told of, and whether it is watched, the oldest order first."""

    async def read(connection: Any) -> dict[str, bool]:
        rows = await connection.fetch(
            "SELECT symbol, watched FROM fleet_symbols WHERE exchange = $1 "
            "ORDER BY changed_at, symbol",
            exchange,
        )
        return {row["symbol"]: row["watched"] for row in rows}

    return await _ask(dsn, read)


async def tell_symbols(dsn: str, exchange: str, symbols: Iterable[str], *, watched: bool) -> None:
    """Keep that symbols are watched from now on, or are not."""

    async def write(connection: Any) -> None:
        await connection.executemany(
            "INSERT INTO fleet_symbols (exchange, symbol, watched) VALUES ($1, $2, $3) "
            "ON CONFLICT (exchange, symbol) DO UPDATE "
            "SET watched = excluded.watched, changed_at = clock_timestamp()",
            [(exchange, symbol, watched) for symbol in symbols],
        )

    await _ask(dsn, write)


async def _ask(dsn: str, question: Callable[[Any], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(PATIENCE_S):
            connection = await connect(dsn)
            try:
                return await question(connection)
            finally:
                connection.terminate()
    except (*LOST, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        raise StorageError(
            f"Expected the database to keep the fleet's symbols, was: {reason}; "
            "nothing was changed, try again once it is back."
        ) from error
