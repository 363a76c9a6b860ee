"""The history of a feed's symbols: asked for beside the streams, and sent to the store as rows.

A plain class without Ray, on the feed's event loop. It begins once the symbols are subscribed,
asks for small pages with pauses between, so that frames never wait for long, and then again
whenever a candle has closed. What fails is tried again with the next candle.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from pydantic import SecretStr

from alphaplus.config import Settings
from alphaplus.errors import ConfigError, FeedError, MissingTier
from alphaplus.feeds.history import HistoryClient
from alphaplus.instruments import Instrument, InstrumentKind
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.leverage.tiers import TierBook
from alphaplus.storage.history_rows import (
    candle_rows,
    funding_rows,
    open_interest_rows,
    tier_rows,
)
from alphaplus.storage.tables import TableBatch
from alphaplus.streams import RowSender

log = logging.getLogger(__name__)

DAY_NS: Final = 86_400 * 10**9
PAGE_ROWS: Final = 200
"""Parsing so many holds the event loop up for a millisecond or two."""
INTEREST_STEP_NS: Final = 300 * 10**9
"""Open interest is told no more often."""
SETTLE_S: Final = 5.0
"""How long after a candle's end it is asked for."""
SEND_AGAIN_S: Final = 0.2

Rows = tuple[TableBatch, int]
Pages = AsyncIterator[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryOptions:
    """What the history needs of the settings."""

    days: float
    step_ns: int
    pause_s: float
    tiers_file: Path | None
    api_key: SecretStr | None
    api_secret: SecretStr | None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Pick the fields."""
        risk, feeds = settings.risk, settings.feeds
        return cls(
            days=risk.history_days,
            step_ns=risk.history_step_ns,
            pause_s=risk.history_pause_s,
            tiers_file=risk.tiers_file,
            api_key=feeds.api_key,
            api_secret=feeds.api_secret,
        )


class FeedHistory:
    """Candles, funding, open interest and leverage tiers of some instruments of one exchange."""

    def __init__(
        self,
        name: str,
        client: HistoryClient,
        instruments: Sequence[Instrument],
        options: HistoryOptions,
        rows: RowSender,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.rows_sent = 0
        self._name = name
        self._client = client
        self._instruments = tuple(instruments)
        self._new: list[Instrument] = []
        self._has_new = asyncio.Event()
        self._options = options
        self._rows = rows
        self._clock = clock
        self._loaded: dict[tuple[str, str], int] = {}  # (what, symbol): asked for until here

    async def run(self) -> None:
        """Load the history and keep it up, until cancelled."""
        if not self._options.days:
            return
        due = 0
        while True:
            self._has_new.clear()
            new, self._new = self._new, []
            now, step = self._clock(), self._options.step_ns
            if now >= due:  # a candle has closed
                due = now - now % step + step + int(SETTLE_S * 1e9)
                await self.load()
            else:
                await self.load(new)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due - self._clock(), 0) / 1e9):
                    await self._has_new.wait()

    def follow(self, instruments: Sequence[Instrument]) -> None:
        """Ask for these from now on, for those that are new at once."""
        self._new += [item for item in instruments if item not in self._instruments]
        self._instruments = tuple(instruments)
        if self._new:
            self._has_new.set()

    async def load(self, instruments: Sequence[Instrument] | None = None) -> None:
        """Ask for everything since the last time, of all or of some: candles first."""
        asked = tuple(self._instruments if instruments is None else instruments)
        contracts = [i for i in asked if i.kind is not InstrumentKind.SPOT]
        perpetuals = [i for i in contracts if i.kind is InstrumentKind.PERPETUAL]
        before = self.rows_sent
        for what, wanted in (
            ("candles", asked),
            ("funding", perpetuals),
            ("open interest", contracts),
        ):
            for instrument in wanted:
                await self._load(what, instrument)
        log.info("%s: history has %d rows more", self._name, self.rows_sent - before)

    async def tiers(self, symbols: Sequence[str]) -> TierBook:
        """Return the tiers of symbols, from the file or from the exchange; they go to the store.

        Raises FeedError or ConfigError that says what to do.
        """
        file = self._options.tiers_file
        if file is None:
            book = await self._client.tiers(symbols)
        else:
            exchange = self._client.exchange
            book = await asyncio.to_thread(lambda: read_tiers(file, venue=exchange))
        for symbol in symbols:
            try:
                table = book.table(symbol)
            except MissingTier as error:
                log.warning("%s: %s", self._name, error)
                continue
            batch, refused = tier_rows(self._client.exchange, table, recv_ns=self._clock())
            if batch is None:
                log.warning("%s: tiers of %s cannot be stored", self._name, symbol)
                continue
            await self._send((batch, refused))
        return book

    async def _load(self, what: str, instrument: Instrument) -> None:
        key = what, instrument.symbol
        now = self._clock()
        start = self._loaded.get(key, now - int(self._options.days * DAY_NS))
        pages, rows = self._request(what, instrument, start, now)
        try:
            async for page in pages:
                await self._send(rows(page))
                self._loaded[key] = int(page.times[-1]) + 1
        except (ConfigError, FeedError) as error:
            log.warning("%s: %s", self._name, error)

    def _request(
        self, what: str, instrument: Instrument, start: int, end: int
    ) -> tuple[Pages, Callable[[Any], Rows]]:
        """Return the pages of a request, and what makes rows of one."""
        client, step = self._client, self._options.step_ns
        where = instrument.exchange, instrument.symbol
        now = self._clock()
        if what == "candles":
            make = partial(candle_rows, *where, step_ns=step, source="exchange", recv_ns=now)
            pages = client.candles(instrument, step_ns=step, start_ns=start, end_ns=end)
            return pages, make
        if what == "funding":
            rates = client.funding(instrument, start_ns=start, end_ns=end)
            return rates, partial(funding_rows, *where, recv_ns=now)
        step = max(step, INTEREST_STEP_NS)
        interests = client.open_interest(instrument, step_ns=step, start_ns=start, end_ns=end)
        return interests, partial(open_interest_rows, *where, recv_ns=now)

    async def _send(self, made: Rows) -> None:
        """Hand rows to the store, however long it is busy."""
        batch, left_out = made
        if left_out:
            log.warning("%s: %d rows of %s are no good", self._name, left_out, batch.key)
        while not self._rows.send(batch.key, batch.rows):  # noqa: ASYNC110  # each round tries
            await asyncio.sleep(SEND_AGAIN_S)
        self.rows_sent += len(batch)
