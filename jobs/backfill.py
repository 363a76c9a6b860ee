"""Load candles, funding, open interest and leverage tiers into the database.

    python -m jobs.backfill --symbols BTC-USDT-PERP ETH-USDT-PERP --since 2026-01-01
    ray job submit --working-dir . -- python -m jobs.backfill --files FOLDER --json

From the exchange that `feeds` names (the local venue by default), or from files. It can be
stopped at any time and run again: candles that are there are not asked for again, and no row
is written twice. Progress goes to standard error.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from alphaplus.config import Settings
from alphaplus.errors import ConfigError, FeedError
from alphaplus.instruments import instrument_kind
from alphaplus.log import set_up_logging
from alphaplus.risk.history_folder import find_files
from alphaplus.storage.connection import connect
from alphaplus.storage.spool_folders import SPOOL
from alphaplus.storage.tables import MIN_TIME_NS
from alphaplus.storage.time_text import time_ns_of
from alphaplus.storage.writer import Writer
from jobs.arguments import finish, parser, settings_of
from jobs.backfill_exchange import load_exchange
from jobs.backfill_files import load_file
from jobs.backfill_store import BackfillStore
from jobs.services import Services

WHAT: Final = ("candles", "mark", "funding", "open_interest", "tiers")
DRAIN_S: Final = 300.0
DAY_NS: Final = 86_400 * 10**9


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the job; returns the summary."""
    begun = time.monotonic()
    settings = settings_of(arguments)
    set_up_logging(settings.log)
    what = _what(arguments.what)
    symbols = tuple(arguments.symbols or settings.feeds.symbols)
    for symbol in symbols:
        instrument_kind(symbol)  # a name of ours, before anything starts
    if arguments.files is not None:
        span = _span(arguments, default=None)
        find_files(arguments.files)
        feeds = settings.feeds.model_copy(update={"source": "live"})  # no venue is needed
        settings = settings.model_copy(update={"feeds": feeds})
    else:
        span = _span(arguments, default=settings.risk.history_days)
        if not symbols:
            raise ConfigError("Expected --symbols or feeds.symbols to name what to load.")
    with Services(settings) as services:
        loading = _load(settings, services, arguments.files, symbols, what=what, span=span)
        summary = asyncio.run(loading)
    return {**summary, "seconds": round(time.monotonic() - begun, 1)}


async def _load(
    settings: Settings,
    services: Services,
    folder: Path | None,
    symbols: Sequence[str],
    *,
    what: Sequence[str],
    span: tuple[int, int],
) -> dict[str, Any]:
    """Load into the database of `services`; returns the counts."""
    spool = settings.storage.data_dir / SPOOL / "backfill"
    async with Writer(services.dsn, spool, flush_rows=settings.storage.flush_rows) as writer:
        store = BackfillStore(writer)
        if folder is not None:
            for file in find_files(folder):
                if file.what in what:
                    await load_file(file, settings.feeds.exchange, symbols, span, store)
        else:
            connection = await connect(services.dsn)
            try:
                await load_exchange(
                    settings, services.venue_url, connection, symbols, what=what, span=span,
                    store=store,
                )  # fmt: skip
            finally:
                await connection.close()
        await writer.drain(DRAIN_S)
        summary = store.summary()
    if store.missing and not store.read:
        raise FeedError(next(iter(store.missing.values())))
    return {"exchange": settings.feeds.exchange, **summary}


def _what(text: str) -> tuple[str, ...]:
    wanted = tuple(item.strip() for item in text.split(",") if item.strip())
    unknown = [item for item in wanted if item not in WHAT]
    if unknown or not wanted:
        raise ConfigError(
            f"Expected --what out of {','.join(WHAT)}, was {','.join(unknown) or 'nothing'}."
        )
    return wanted


def _span(arguments: argparse.Namespace, default: float | None) -> tuple[int, int]:
    """Return the range in ns: by the arguments, else `default` days back, else all time."""
    now = time.time_ns()
    until = now if arguments.until is None else time_ns_of("--until", arguments.until)
    first = MIN_TIME_NS if default is None else now - round(default * DAY_NS)
    since = first if arguments.since is None else time_ns_of("--since", arguments.since)
    if since >= until:
        raise ConfigError(
            f"Expected --since before --until, was {arguments.since or 'unset'} and "
            f"{arguments.until or 'unset'}."
        )
    return since, until


def _parser() -> argparse.ArgumentParser:
    result = parser(__doc__.splitlines()[0])
    result.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="default feeds.symbols")
    result.add_argument("--since", help="first day or time, UTC; default risk.history_days ago")
    result.add_argument("--until", help="last day or time, not included; default now")
    result.add_argument("--files", type=Path, metavar="FOLDER", help="load these files instead")
    result.add_argument("--what", default=",".join(WHAT), help="default %(default)s")
    return result


if __name__ == "__main__":
    finish(run, _parser().parse_args())
