"""Candles, funding, open interest and tiers of an exchange, by ccxt's unified methods.

A range is asked for in pages, oldest first, and each page is handed on as it comes, so a caller
can store it, show progress and begin again where it stopped. Whatever ccxt offers these methods
for can be asked; Binance's three markets and the local venue are tested here.
"""

import asyncio
import importlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import ccxt
import numpy as np
from pydantic import SecretStr

from alphaplus.errors import ConfigError, FeedError
from alphaplus.feeds.markets import (
    BINANCE_CLIENTS,
    client_id,
    exchange_name,
    instruments_from_markets,
    select_instruments,
)
from alphaplus.feeds.pacing import Backoff
from alphaplus.feeds.reasons import reason_of
from alphaplus.feeds.transport import frame_exchange, rebase
from alphaplus.instruments import Instrument
from alphaplus.leverage.tier_files import tiers_from_ccxt
from alphaplus.leverage.tiers import TierBook
from alphaplus.risk.history_files import CandleHistory, FundingHistory, OpenInterestHistory

MS_NS: Final = 1_000_000
HOUR_NS: Final = 3600 * 10**9
DAY_NS: Final = 24 * HOUR_NS
CANDLES_A_PAGE: Final = 1000
RATES_A_PAGE: Final = 1000
INTERESTS_A_PAGE: Final = 500
INTEREST_DAYS: Final = 30
"""How far back Binance tells open interest; it refuses an earlier beginning."""
ATTEMPTS: Final = 5
KEEP_ALIVE_S: Final = 30.0
LOCAL_KEY: Final = "local"
"""Key and secret at the local venue, which takes any."""

_log = logging.getLogger(__name__)

Page = list[Any]


class HistoryClient:
    """Asks one ccxt client for histories, one request after the other.

    `pause_s` is kept between requests, so that what runs beside them (books) has its share of
    the venue's request weight; no page has more than `page_rows`. A failed request is repeated
    `ATTEMPTS` times with growing waits.
    Every method raises FeedError with the venue's reason, and for what ccxt cannot ask it.
    """

    def __init__(
        self,
        client: Any,
        exchange: str,
        *,
        pause_s: float = 0.0,
        page_rows: int = CANDLES_A_PAGE,
        backoff: Backoff | None = None,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Use an open ccxt client of the exchange that we call `exchange`; see `open_client`."""
        self.exchange = exchange
        self.requests = 0
        self._client = client
        self._pause_s = pause_s
        self._page_rows = page_rows
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._sleep = sleep

    def now_ns(self) -> int:
        """Return the time by the client's clock."""
        return self._clock()

    async def close(self) -> None:
        """Close the ccxt client."""
        await self._client.close()

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Return the instruments of symbols (none: all); raises UnknownSymbol too."""
        markets = await self._ask("its markets", self._client.load_markets)
        listed = instruments_from_markets(
            markets.values(), self.exchange, self._client.precisionMode
        )
        return select_instruments(listed, symbols)

    async def candles(
        self,
        instrument: Instrument,
        *,
        step_ns: int,
        start_ns: int,
        end_ns: int,
        mark: bool = False,
    ) -> AsyncIterator[CandleHistory]:
        """Yield the closed candles of `step_ns` that open in [start, end), page by page."""
        name = "fetchMarkOHLCV" if mark else "fetchOHLCV"
        what = f"{'mark ' if mark else ''}candles of {instrument.symbol}"
        self._check_offered(name, what)
        fetch = self._client.fetch_mark_ohlcv if mark else self._client.fetch_ohlcv
        timeframe = self._timeframe(step_ns)
        size = min(self._page_rows, CANDLES_A_PAGE)

        async def page(since_ms: int) -> Page:
            symbol = instrument.ccxt_symbol
            rows = await self._ask(
                what, lambda: fetch(symbol, timeframe, since=since_ms, limit=size)
            )
            return list(rows)

        last_ns = min(end_ns, self._clock() - step_ns + 1)  # younger ones are still open
        async for rows in _pages(
            page, start_ns, last_ns, size=size, step_ns=step_ns, nearest_ns=step_ns
        ):
            yield _candles(rows)

    async def funding(
        self, instrument: Instrument, *, start_ns: int, end_ns: int
    ) -> AsyncIterator[FundingHistory]:
        """Yield the funding settled in [start, end), as it is stamped, page by page."""
        what = f"funding of {instrument.symbol}"
        self._check_offered("fetchFundingRateHistory", what)
        size = min(self._page_rows, RATES_A_PAGE)

        async def page(since_ms: int) -> Page:
            rows = await self._ask(
                what,
                lambda: self._client.fetch_funding_rate_history(
                    instrument.ccxt_symbol, since=since_ms, limit=size
                ),
            )
            return [[row["timestamp"], row["fundingRate"]] for row in rows]

        end_ns = min(end_ns, self._clock() + 1)
        async for rows in _pages(page, start_ns, end_ns, size=size, step_ns=HOUR_NS):
            table = _table(rows)
            yield FundingHistory(times=_times(rows), rates=table[:, 1])

    async def open_interest(
        self, instrument: Instrument, *, step_ns: int, start_ns: int, end_ns: int
    ) -> AsyncIterator[OpenInterestHistory]:
        """Yield the open interest of [start, end) every `step_ns`, page by page.

        Binance tells the last `INTEREST_DAYS` only: what is before is left out.
        """
        what = f"open interest of {instrument.symbol}"
        self._check_offered("fetchOpenInterestHistory", what)
        size = min(self._page_rows, INTERESTS_A_PAGE)
        timeframe = self._timeframe(step_ns)
        end_ns = min(end_ns, self._clock() + 1)
        if self._client.id in BINANCE_CLIENTS:
            oldest = self._clock() - INTEREST_DAYS * DAY_NS
            start_ns = max(start_ns, (oldest // step_ns + 2) * step_ns)

        async def page(since_ms: int) -> Page:
            rows = await self._ask(
                what,
                lambda: self._client.fetch_open_interest_history(
                    instrument.ccxt_symbol, timeframe, since=since_ms, limit=size
                ),
            )
            return [
                [row["timestamp"], row.get("openInterestAmount"), row.get("openInterestValue")]
                for row in rows
            ]

        async for rows in _pages(
            page, start_ns, end_ns, size=size, step_ns=step_ns, nearest_ns=step_ns
        ):
            yield _interests(_times(rows), _table(rows), instrument)

    async def tiers(self, symbols: Sequence[str] = ()) -> TierBook:
        """Return the leverage tiers in force now of symbols (none: all), effective from now on.

        Binance wants a key of any account for it, also one that may only read.
        """
        what = "leverage tiers"
        instruments = await self.instruments(symbols)
        names = [item.ccxt_symbol for item in instruments.values() if not _is_spot(item)]
        offered = self._client.has
        if offered.get("fetchLeverageTiers"):
            found = await self._ask(what, lambda: self._client.fetch_leverage_tiers(names))
        elif offered.get("fetchMarketLeverageTiers"):
            found = {}
            for name in names:
                found[name] = await self._ask(what, self._market_tiers(name))
        else:
            raise self._not_offered(what)
        return tiers_from_ccxt(
            {name: tiers for name, tiers in found.items() if tiers and name in names},
            venue=self.exchange,
            source=f"{self._client.id} by ccxt",
            effective_from=self._clock(),
        )

    def _market_tiers(self, name: str) -> Callable[[], Awaitable[Any]]:
        return lambda: self._client.fetch_market_leverage_tiers(name)

    async def _ask(self, what: str, request: Callable[[], Awaitable[Any]]) -> Any:
        """Send a request until it is answered, at most `ATTEMPTS` times."""
        for failures in range(1, ATTEMPTS + 1):
            if self.requests:
                await self._sleep(self._pause_s)
            self.requests += 1
            try:
                return await request()
            except ccxt.AuthenticationError as error:
                raise FeedError(
                    f"Expected {what} from {self.exchange}, was {reason_of(error)}; set "
                    "ALPHAPLUS_FEEDS__API_KEY and ALPHAPLUS_FEEDS__API_SECRET to a key that may "
                    "read, or name a file of tiers in risk.tiers_file."
                ) from error
            except ccxt.OperationFailed as error:
                reason = reason_of(error)
            except ccxt.BaseError as error:
                raise FeedError(
                    f"Expected {what} from {self.exchange}, was {reason_of(error)}."
                ) from error
            if failures < ATTEMPTS:
                delay_s = self._backoff.delay_s(failures, random.random())
                _log.warning(
                    "%s: %s failed: %s; again in %.2f s", self.exchange, what, reason, delay_s
                )
                await self._sleep(delay_s)
        raise FeedError(
            f"Expected {what} from {self.exchange}, was {reason} {ATTEMPTS} times; try again later."
        )

    def _check_offered(self, method: str, what: str) -> None:
        if not self._client.has.get(method):
            raise self._not_offered(what)

    def _not_offered(self, what: str) -> FeedError:
        return FeedError(f"Expected {what} from {self.exchange}, which ccxt does not offer for it.")

    def _timeframe(self, step_ns: int) -> str:
        """Return ccxt's name of a step; raises ConfigError where the exchange has none."""
        known = self._client.timeframes
        for name in known:
            if self._client.parse_timeframe(name) * 10**9 == step_ns:
                return str(name)
        raise ConfigError(
            f"Expected a step out of {', '.join(known)} at {self.exchange}, was "
            f"{step_ns / 1e9:g} s."
        )


def open_client(
    exchange: str,
    symbols: Sequence[str],
    *,
    base_url: str | None = None,
    api_key: SecretStr | None = None,
    api_secret: SecretStr | None = None,
) -> Any:
    """Return a ccxt client for histories of symbols of one market of an exchange.

    `base_url` is the address of a local venue. Raises ConfigError or UnknownSymbol.
    """
    ccxt_id = client_id(exchange, symbols)
    if ccxt_id in BINANCE_CLIENTS:
        client = frame_exchange(ccxt_id, base_url, KEEP_ALIVE_S)
    else:
        client = getattr(importlib.import_module("ccxt.async_support"), ccxt_id)()
        if base_url is not None:
            client.urls["api"] = rebase(client.urls["api"], base_url)
    set_credentials(client, base_url, api_key, api_secret)
    return client


def set_credentials(
    client: Any, base_url: str | None, api_key: SecretStr | None, api_secret: SecretStr | None
) -> None:
    """Give a client its key; at a local venue one that means nothing."""
    if base_url is not None:
        client.apiKey = client.secret = LOCAL_KEY
    elif api_key is not None and api_secret is not None:
        client.apiKey = api_key.get_secret_value()
        client.secret = api_secret.get_secret_value()


def history_client(
    exchange: str,
    symbols: Sequence[str],
    *,
    base_url: str | None = None,
    api_key: SecretStr | None = None,
    api_secret: SecretStr | None = None,
    pause_s: float = 0.0,
) -> HistoryClient:
    """Open a client and return what asks it; close it with `close`."""
    client = open_client(
        exchange, symbols, base_url=base_url, api_key=api_key, api_secret=api_secret
    )
    return HistoryClient(client, exchange_name(client.id), pause_s=pause_s)


async def _pages(
    fetch: Callable[[int], Awaitable[Page]],
    start_ns: int,
    end_ns: int,
    *,
    size: int,
    step_ns: int,
    nearest_ns: int = MS_NS,
) -> AsyncIterator[Page]:
    """Yield pages of rows, whose first field is ms, in [start, end): increasing, none twice.

    Rows are about `step_ns` and at least `nearest_ns` apart, a page has at most `size` of them.
    An empty page is not yet the end: some venues answer from `since` for a window only. So the
    beginning moves on by a window then, by what came otherwise, and always moves.
    """
    cursor = -(-start_ns // MS_NS)
    end, window = -(-end_ns // MS_NS), size * step_ns // MS_NS
    while cursor < end:
        rows = sorted(await fetch(cursor), key=lambda row: row[0])
        fresh: Page = []
        for row in rows:
            if cursor <= row[0] < end and (not fresh or row[0] > fresh[-1][0]):
                fresh.append(row)
        if fresh:
            yield fresh
            cursor = fresh[-1][0] + nearest_ns // MS_NS
        elif rows and rows[-1][0] >= end:
            return
        else:
            cursor += window


def _times(rows: Page) -> Any:
    return np.array([row[0] for row in rows], dtype=np.int64) * MS_NS


def _table(rows: Page) -> Any:
    """Return rows as floats; what a venue leaves out is nan."""
    return np.array([[np.nan if x is None else float(x) for x in row] for row in rows])


def _candles(rows: Page) -> CandleHistory:
    table = _table(rows)
    names = ("open", "high", "low", "close", "volume")
    columns = {name: table[:, 1 + at] for at, name in enumerate(names)}
    return CandleHistory(times=_times(rows), **columns)


def _interests(times: Any, table: Any, instrument: Instrument) -> OpenInterestHistory:
    """Venues state contracts; those of an inverse market are worth quote currency."""
    contracts, value = table[:, 1], table[:, 2]
    size = instrument.contract_size
    if instrument.inverse:
        return OpenInterestHistory(times=times, base=value, usd=contracts * size)
    return OpenInterestHistory(times=times, base=contracts * size, usd=value)


def _is_spot(instrument: Instrument) -> bool:
    return ":" not in instrument.ccxt_symbol
