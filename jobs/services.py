"""What the stream job needs beside Ray: a database and a venue, its own where none is named."""

import asyncio
import logging
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from alphaplus.config import Settings
from alphaplus.storage.connection import connect
from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres
from alphaplus.streams import make_run_directory
from alphaplus.venue.process import VenueProcess, venue_arguments
from jobs.keeper import DatabaseKeeper

log = logging.getLogger(__name__)


class Services:
    """The database, migrated, and the local venue if it is wanted; both end with the block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._postgres: EmbeddedPostgres | None = None
        self._venue: VenueProcess | None = None
        self.dsn = ""
        self.venue_url: str | None = None
        self.run_directory = Path()
        """A private folder for the sockets of this run."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.run_directory = make_run_directory()
            stack.callback(shutil.rmtree, self.run_directory, ignore_errors=True)
            self.dsn = self._start_database(stack)
            self.venue_url = self._start_venue(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def usage(self) -> dict[str, Any]:
        """Return process ids and CPU seconds of database and venue."""
        usage: dict[str, Any] = {}
        for name, owner in (("database", self._postgres), ("venue", self._venue)):
            if owner is None or owner.pid is None:
                continue
            try:
                process = psutil.Process(owner.pid)
                family = [process, *process.children(recursive=True)]
                times = [item.cpu_times() for item in family]
            except psutil.Error as error:
                log.warning("the %s cannot be measured: %s", name, error)
                continue
            ended = times[0].children_user + times[0].children_system
            usage[name] = {
                "pid": owner.pid,
                "cpu_s": round(sum(t.user + t.system for t in times) + ended, 2),
            }
        return usage

    def _start_database(self, stack: ExitStack) -> str:
        storage = self._settings.storage
        if storage.dsn is not None:
            dsn = storage.dsn.get_secret_value()
            asyncio.run(_check(dsn))
        else:
            self._postgres = EmbeddedPostgres(storage.data_dir)
            dsn = self._postgres.start()
            stack.callback(self._postgres.stop)
            keeper = DatabaseKeeper(self._postgres)
            keeper.start()
            stack.callback(keeper.stop)
        asyncio.run(migrate(dsn))
        return dsn

    def _start_venue(self, stack: ExitStack) -> str | None:
        feeds, venue = self._settings.feeds, self._settings.venue
        if feeds.source == "live":
            return None
        if feeds.url:
            return feeds.url
        self._venue = stack.enter_context(VenueProcess(venue_arguments(venue)))
        return self._venue.url


async def _check(dsn: str) -> None:
    """Raise StorageError unless the database can be reached and written to."""
    connection = await connect(dsn, write=True)
    await connection.close()
