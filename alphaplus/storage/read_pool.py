"""Connections for reading: few, shared, and unable to write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from asyncpg import exceptions as pg

from alphaplus.errors import StorageError
from alphaplus.storage.connection import CONNECT_S, LOST, SETTINGS, explained

MAX_CONNECTIONS: Final = 8
WAIT_S: Final = 5.0
"""How long a question waits for a connection while all are busy."""
STATEMENT_TIMEOUT_MS: Final = 30_000


class ReadPool:
    """Connections to one database, made when they are needed; `close` ends them."""

    def __init__(self, dsn: str, size: int = MAX_CONNECTIONS) -> None:
        self.dsn = dsn
        self._size = size
        self._pool: Any = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Give a connection that is in no transaction.

        Raises StorageError, with what to do, if the database cannot be asked, and for errors of
        the driver within the block.
        """
        try:
            if self._pool is None:
                self._pool = self._create()
                await self._pool
            connection = await self._pool.acquire(timeout=WAIT_S)
        except TimeoutError as error:
            raise StorageError(
                f"All {self._size} connections to the history are in use; try again in a moment."
            ) from error
        except (*LOST, pg.PostgresError, ValueError) as error:
            raise explained(error, self.dsn) from error
        try:
            yield connection
        except pg.QueryCanceledError as error:
            raise StorageError(
                f"The question took longer than {STATEMENT_TIMEOUT_MS // 1000} s; ask for a "
                "shorter range."
            ) from error
        except (*LOST, pg.PostgresError) as error:
            raise explained(error, self.dsn) from error
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        """End all connections, in use or not."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    def _create(self) -> Any:
        return asyncpg.create_pool(
            self.dsn,
            min_size=0,
            max_size=self._size,
            timeout=CONNECT_S,
            server_settings={
                **SETTINGS,
                "default_transaction_read_only": "on",
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            },
        )
