"""Portfolios and their equity in the database, for the desk: read once, written at once.

A change is saved before its caller hears of it, if the database answers; else it is kept here
and tried again with every `retry`, and `saved` says so. Not safe for threads by itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage import portfolios
from alphaplus.storage.connection import LOST, connect

T = TypeVar("T")
Records = list[dict[str, Any]]
Curve = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

PATIENCE_S: Final = 2.0
"""How long a change may wait for the database before it goes on without."""

log = logging.getLogger(__name__)


class DeskArchive:
    """What portfolios hold, kept through restarts; without a DSN nothing is, and it says so."""

    def __init__(self, dsn: str | None) -> None:
        self._dsn = dsn
        self._unsaved: dict[str, Records] = {}
        self.failures = 0
        """Times that the database did not take something."""

    def saved(self, portfolio_id: str) -> bool:
        """Say whether a portfolio, as it is now, would survive a restart."""
        return self._dsn is not None and portfolio_id not in self._unsaved

    def load(self) -> tuple[dict[str, Records], dict[str, Curve]]:
        """Return the accounts and the equity curve of every portfolio; raises StorageError."""

        async def read(connection: Any) -> tuple[dict[str, Records], dict[str, Curve]]:
            found = await portfolios.load_portfolios(connection)
            curves = {name: await portfolios.equity_curve(connection, name) for name in found}
            return found, curves

        return ({}, {}) if self._dsn is None else self._do(read)

    def save(self, portfolio_id: str, accounts: Records) -> None:
        """Keep what a portfolio holds now; no accounts: it is forgotten."""
        self._unsaved[portfolio_id] = accounts
        self.retry()

    def retry(self) -> None:
        """Write what is not saved yet."""
        if self._dsn is None or not self._unsaved:
            return
        waiting = dict(self._unsaved)

        async def write(connection: Any) -> None:
            for name, accounts in waiting.items():
                if accounts:
                    await portfolios.save_portfolio(connection, name, accounts)
                else:
                    await portfolios.delete_portfolio(connection, name)

        if self._try(write, "what portfolios hold"):
            self._unsaved.clear()

    def save_equity(self, now_ns: int, equities: Mapping[str, float]) -> None:
        """Note the equity of portfolios at a time, ns UTC."""

        async def write(connection: Any) -> None:
            for name, equity in equities.items():
                await portfolios.save_equity(connection, name, now_ns, equity)

        if self._dsn is not None and equities:
            self._try(write, "the equity of portfolios")

    def _try(self, work: Callable[[Any], Awaitable[None]], what: str) -> bool:
        try:
            self._do(work)
        except StorageError as error:
            self.failures += 1
            log.error("%s is not saved, and will be tried again: %s", what, error)
            return False
        return True

    def _do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async def run() -> T:
            assert self._dsn is not None  # asked before
            async with asyncio.timeout(PATIENCE_S):
                connection = await connect(self._dsn)
                try:
                    return await work(connection)
                finally:
                    connection.terminate()

        try:
            return asyncio.run(run())
        except LOST as error:
            reason = str(error) or type(error).__name__
            raise StorageError(f"The database did not answer: {reason}.") from error
