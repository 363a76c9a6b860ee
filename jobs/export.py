"""Write stored rows to files: Parquet, Arrow or CSV, one for each table, instrument and UTC day.

    python -m jobs.export --tables market_trades --symbols BTC-USDT-PERP --start 2026-01-01 --out X
    ray job submit --working-dir . -- python -m jobs.export --tables all --out /data/export --json

Rows come out of their tables and of the archive alike. A file gets its name when it is complete,
and `manifest.json`, with rows, bytes and SHA-256 of each, comes last: without it the export is not
whole. Run again after it was stopped, it goes on; a folder with anything else is refused.
Progress goes to standard error.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alphaplus.config import Settings
from alphaplus.errors import ConfigError
from alphaplus.log import set_up_logging
from alphaplus.storage.export import export, question_of, require_known
from alphaplus.storage.export_folder import ExportedFile, ExportFolder
from alphaplus.storage.history_formats import ENDINGS
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.read_pool import ReadPool
from alphaplus.storage.tables import MIN_TIME_NS, TABLES
from alphaplus.storage.time_text import time_ns_of
from jobs.arguments import finish, parser, settings_of
from jobs.services import Services

log = logging.getLogger("jobs.export")

ALL: Final = "all"


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the job; returns the summary."""
    begun = time.monotonic()
    settings = settings_of(arguments)
    set_up_logging(settings.log)
    queries = _queries(arguments)
    with _database(settings) as dsn:
        summary = asyncio.run(_export(dsn, queries, arguments))
    return {**summary, "seconds": round(time.monotonic() - begun, 1)}


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """Give the DSN of the server that is configured, as it is, else of the embedded one."""
    if settings.storage.dsn is not None:
        yield settings.storage.dsn.get_secret_value()
        return
    feeds = settings.feeds.model_copy(update={"source": "live"})  # no venue is needed
    with Services(settings.model_copy(update={"feeds": feeds})) as services:
        yield services.dsn


async def _export(
    dsn: str, queries: list[HistoryQuery], arguments: argparse.Namespace
) -> dict[str, Any]:
    pool = ReadPool(dsn, size=1)
    progress = _Progress()
    try:
        async with pool.connection() as connection:
            await require_known(connection, queries)
            folder = ExportFolder(arguments.out, question_of(queries, arguments.format))
            taken_up = len(folder.files)
            await export(connection, queries, folder, form=arguments.format, tell=progress.tell)
    finally:
        progress.end()
        await pool.close()
    return {
        "manifest": str(folder.finish()),
        **{name: folder.question[name] for name in ("tables", "start", "end")},
        "files": len(folder.files),
        "files_taken_up": taken_up,
        "rows": sum(file.rows for file in folder.files),
        "bytes": sum(file.bytes for file in folder.files),
    }


class _Progress:
    """How far it is: one line that moves on a terminal, a log line a file elsewhere."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._rows = 0

    def tell(self, file: ExportedFile) -> None:
        """Hear of a finished file."""
        self._rows += file.rows
        text = f"{file.path}: {file.rows} rows, {self._rows} in all"
        if self._shows:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            log.info("%s", text)

    def end(self) -> None:
        """Leave the line."""
        if self._shows:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _queries(arguments: argparse.Namespace) -> list[HistoryQuery]:
    """Return one query per table; raises StorageError or ConfigError for what cannot be asked."""
    names = dict.fromkeys(arguments.tables)
    if ALL in names and len(names) > 1:
        raise ConfigError("Expected --tables all, or names of tables, was both.")
    start = MIN_TIME_NS if arguments.start is None else time_ns_of("--start", arguments.start)
    end = time.time_ns() if arguments.end is None else time_ns_of("--end", arguments.end)
    return [
        HistoryQuery(
            table=table,
            exchange=arguments.exchange,
            symbols=tuple(dict.fromkeys(arguments.symbols or ())),
            start_ns=start,
            end_ns=end,
        )
        for table in (TABLES if ALL in names else names)
    ]


def _parser() -> argparse.ArgumentParser:
    result = parser(__doc__.splitlines()[0])
    result.add_argument(
        "--tables", nargs="+", required=True, metavar="TABLE", help="all, or see /v1/history"
    )
    result.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="default all")
    result.add_argument("--exchange", help="default all")
    result.add_argument("--start", help="first time: ISO 8601 (UTC), or ns; default the oldest")
    result.add_argument("--end", help="end, not included; default now")
    result.add_argument("--format", choices=tuple(ENDINGS), default="parquet")
    result.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return result


if __name__ == "__main__":
    finish(run, _parser().parse_args())
