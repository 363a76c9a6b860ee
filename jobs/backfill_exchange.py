"""A backfill from an exchange: each symbol's histories page by page, tiers at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from alphaplus.config import Settings
from alphaplus.errors import ConfigError, FeedError, MissingTier
from alphaplus.feeds.history import HistoryClient, history_client
from alphaplus.feeds.markets import client_id
from alphaplus.instruments import Instrument, InstrumentKind
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.storage.history import candle_histories
from alphaplus.storage.history_gaps import missing_ranges
from alphaplus.storage.history_rows import (
    CandleKind,
    candle_rows,
    funding_rows,
    open_interest_rows,
    tier_rows,
)
from alphaplus.storage.tables import TableBatch
from jobs.backfill_store import BackfillStore

Rows = tuple[TableBatch, int]


async def load_exchange(
    settings: Settings,
    venue_url: str | None,
    connection: Any,
    symbols: Sequence[str],
    *,
    what: Sequence[str],
    span: tuple[int, int],
    store: BackfillStore,
) -> None:
    """Load what is wanted of symbols, which may be of several markets of the exchange."""
    groups: dict[str, list[str]] = {}
    for symbol in symbols:
        groups.setdefault(client_id(settings.feeds.exchange, [symbol]), []).append(symbol)
    for group in groups.values():
        client = history_client(
            settings.feeds.exchange,
            group,
            base_url=venue_url,
            api_key=settings.feeds.api_key,
            api_secret=settings.feeds.api_secret,
        )
        loader = _Loader(settings, client, connection, span, store)
        try:
            await loader.load(group, what)
        finally:
            await client.close()


class _Loader:
    """One market's histories."""

    def __init__(
        self,
        settings: Settings,
        client: HistoryClient,
        connection: Any,
        span: tuple[int, int],
        store: BackfillStore,
    ) -> None:
        self._settings = settings
        self._client = client
        self._connection = connection
        self._start, self._end = span
        self._store = store

    async def load(self, symbols: Sequence[str], what: Sequence[str]) -> None:
        instruments = await self._client.instruments(symbols)
        for instrument in instruments.values():
            is_spot = instrument.kind is InstrumentKind.SPOT
            if "candles" in what:
                await self._candles(instrument, "trade")
            if "mark" in what and not is_spot:
                await self._candles(instrument, "mark")
            if "funding" in what and instrument.kind is InstrumentKind.PERPETUAL:
                pages = self._client.funding(instrument, start_ns=self._start, end_ns=self._end)
                await self._take("funding", instrument, pages, funding_rows)
            if "open_interest" in what and not is_spot:
                pages_ = self._client.open_interest(
                    instrument,
                    step_ns=max(self._settings.risk.history_step_ns, 300 * 10**9),
                    start_ns=self._start,
                    end_ns=self._end,
                )
                await self._take("open interest", instrument, pages_, open_interest_rows)
        contracts = [s for s, i in instruments.items() if i.kind is not InstrumentKind.SPOT]
        if "tiers" in what and contracts:
            await self._tiers(contracts)

    async def _candles(self, instrument: Instrument, kind: CandleKind) -> None:
        """Ask for the candles that the database does not have."""
        step = self._settings.risk.history_step_ns
        there = await candle_histories(
            self._connection,
            instrument.exchange,
            [instrument.symbol],
            step,
            start_ns=self._start,
            end_ns=self._end,
            kind=kind,
        )
        known = there[instrument.symbol].times if there else np.empty(0, np.int64)
        make = partial(candle_rows, step_ns=step, kind=kind, source="exchange")
        for start, end in missing_ranges(
            known, step_ns=step, start_ns=self._start, end_ns=self._end
        ):
            pages = self._client.candles(
                instrument, step_ns=step, start_ns=start, end_ns=end, mark=kind == "mark"
            )
            await self._take(f"{kind} candles", instrument, pages, make)

    async def _take(
        self,
        what: str,
        instrument: Instrument,
        pages: AsyncIterator[Any],
        make: Callable[..., Rows],
    ) -> None:
        """Store pages as they come; a refusal is noted, and the rest goes on."""
        name = f"{what} of {instrument.symbol}"
        try:
            async for page in pages:
                rows = make(
                    instrument.exchange, instrument.symbol, page, recv_ns=self._client.now_ns()
                )
                await self._store.put(name, *rows)
        except FeedError as error:
            self._store.miss(name, str(error))
        await self._store.flush(name)

    async def _tiers(self, symbols: Sequence[str]) -> None:
        file, exchange = self._settings.risk.tiers_file, self._client.exchange
        try:
            if file is None:
                book = await self._client.tiers(symbols)
            else:
                book = await asyncio.to_thread(lambda: read_tiers(file, venue=exchange))
        except (ConfigError, FeedError) as error:
            self._store.miss("leverage tiers", str(error))
            return
        for symbol in symbols:
            name = f"leverage tiers of {symbol}"
            try:
                table = book.table(symbol)
            except MissingTier as error:
                self._store.miss(name, str(error))
                continue
            batch, _ = tier_rows(exchange, table, recv_ns=self._client.now_ns())
            if batch is None:
                self._store.miss(name, f"Expected tiers of {symbol} that fit into a row.")
            else:
                await self._store.put(name, batch, 0)
