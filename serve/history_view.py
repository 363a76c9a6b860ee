"""The stored rows as HTTP asks for them: failures as problems, connections shared."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from alphaplus.errors import StorageError
from serve import problems
from serve.deps import FleetView, closest

if TYPE_CHECKING:
    from alphaplus.storage.history_query import HistoryQuery
    from alphaplus.storage.read_pool import ReadPool


class HistoryView:
    """The database behind a fleet; it is reached at the first question.

    `dsn` unset is asked of the fleet, as an embedded server is known to nobody else. Libraries of
    storage are imported at the first question too: most replicas are never asked for history.
    """

    def __init__(self, view: FleetView, dsn: str | None = None) -> None:
        self.fleet = view
        self._dsn = dsn
        self._pool: ReadPool | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Give a connection; without one, or if it fails, the unavailable problem."""
        from alphaplus.storage.read_pool import ReadPool

        if self._pool is None:
            dsn = self._dsn
            if dsn is None:
                dsn = await self.fleet.ask(self.fleet.fleet.database())
            self._pool = self._pool or ReadPool(dsn)
        pool = self._pool
        try:
            async with pool.connection() as connection:
                yield connection
        except StorageError as error:
            raise problems.unavailable(str(error)) from error

    async def require_known(self, connection: Any, query: "HistoryQuery") -> None:
        """Raise the problem that names the closest symbol unless all asked for are stored."""
        from alphaplus.storage.series import all_series

        stored = await all_series(connection, query.table)
        for symbol in query.symbols:
            listed = [exchange for exchange, name in stored if name == symbol]
            if stored and not listed:
                near = closest(symbol, [name for _, name in stored])
                raise problems.not_stored(query.table, symbol, near)
            if listed and query.exchange not in (None, *listed):
                raise problems.unknown_exchange(symbol, str(query.exchange), listed)

    async def close(self) -> None:
        """End the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


@contextmanager
def checked(field: str = "query") -> Iterator[None]:
    """Turn what the storage says of a question into the invalid-request problem."""
    try:
        yield
    except StorageError as error:
        raise problems.invalid([{"field": field, "detail": str(error)}]) from error


def check_table(name: str) -> None:
    """Raise the problem that names the closest table unless there is one of this name."""
    from alphaplus.storage.tables import TABLES

    if name not in TABLES:
        raise problems.unknown_table(name, closest(name, list(TABLES)), list(TABLES))


def _history_view(request: Request) -> HistoryView:
    view: HistoryView = request.app.state.history
    return view


History = Annotated[HistoryView, Depends(_history_view)]
"""The parameter by which a route receives the history."""
