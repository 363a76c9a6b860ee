"""A backfill from files: each as it is, stamps put on their grid, holes left as holes."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from alphaplus.errors import MissingTier, UnknownSymbol
from alphaplus.feeds.discover import split_pair
from alphaplus.instruments import symbol_from_ccxt
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.risk.history_files import read_candles, read_funding
from alphaplus.risk.history_folder import HistoryFile
from alphaplus.storage.history_rows import candle_rows, funding_rows, tier_rows
from jobs.backfill_store import BackfillStore

PIECE_ROWS: Final = 20_000
EXCHANGES: Final = {"hl": "hyperliquid"}
"""What files call an exchange, where it is not our name."""
QUOTES: Final = {"hyperliquid": "USDC"}
"""The quote currency of a file that names the coin only; else USDT."""


async def load_file(
    file: HistoryFile,
    exchange: str,
    symbols: Sequence[str],
    span: tuple[int, int],
    store: BackfillStore,
) -> None:
    """Load one file's rows of a range; with `symbols` only of these.

    Raises ConfigError if the file cannot be read.
    """
    where = EXCHANGES.get(file.exchange, file.exchange) or exchange
    if file.what == "tiers":
        await _load_tiers(file, where, symbols, store)
        return
    symbol = symbol_of(file.name, where if file.exchange else "")
    if symbols and symbol not in symbols:
        return
    reader = read_funding if file.what == "funding" else read_candles
    history: Any = await asyncio.to_thread(reader, file.path)
    names = [name for name in history.__slots__ if name != "__weakref__"]
    inside = np.flatnonzero((history.times >= span[0]) & (history.times < span[1]))
    for begin in range(0, len(inside), PIECE_ROWS):
        chosen = inside[begin : begin + PIECE_ROWS]
        piece = type(history)(**{name: getattr(history, name)[chosen] for name in names})
        now = time.time_ns()
        if file.what == "funding":
            rows = funding_rows(where, symbol, piece, recv_ns=now)
        else:
            rows = candle_rows(
                where,
                symbol,
                piece,
                step_ns=file.step_ns,
                kind="mark" if file.what == "mark" else "trade",
                source=file.path.name,
                recv_ns=now,
            )
        await store.put(file.path.name, *rows)
    await store.flush(file.path.name)


def symbol_of(name: str, exchange: str = "") -> str:
    """Return our symbol of a file's name; a perpetual, as that is what such files are of.

    >>> symbol_of("BTC_USDT_USDT"), symbol_of("ETHUSDT"), symbol_of("BTC", "hyperliquid")
    ('BTC-USDT-PERP', 'ETH-USDT-PERP', 'BTC-USDC-PERP')
    """
    parts = name.split("_")
    if len(parts) == 3:
        return symbol_from_ccxt(f"{parts[0]}/{parts[1]}:{parts[2]}")
    if exchange:
        return f"{name}-{QUOTES.get(exchange, 'USDT')}-PERP"
    base, quote = split_pair(name)
    return symbol_from_ccxt(f"{base}/{quote}:{quote}")


async def _load_tiers(
    file: HistoryFile, exchange: str, symbols: Sequence[str], store: BackfillStore
) -> None:
    """Load tiers; a table that breaks the rules of tiers is noted, not stored."""
    book = await asyncio.to_thread(lambda: read_tiers(file.path, venue=exchange))
    for tables in book.tables.values():
        for table in tables:
            name = f"{file.path.name} {table.symbol}"
            try:
                if symbols and symbol_from_ccxt(table.symbol) not in symbols:
                    continue
                table.usable()
            except (MissingTier, UnknownSymbol) as error:
                store.miss(name, str(error))
                continue
            batch, _ = tier_rows(exchange, table, source=file.path.name, recv_ns=time.time_ns())
            if batch is None:
                store.miss(name, f"Expected tiers of {table.symbol} that fit into a row.")
            else:
                await store.put(name, batch, 0)
    await store.flush(file.path.name)
