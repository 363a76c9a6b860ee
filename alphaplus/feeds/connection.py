"""A live connection to Binance: ccxt's sockets and requests, our frames, clocks and patience.

`VenueConnection` keeps symbols subscribed until it is closed; they may come and go. Every
market-data frame goes to `on_frame` as the bytes that came with the time they were received;
nothing is parsed on the way. Symbols share sockets: a *route* is what one socket carries, and
routes live and die on their own.

A route is lost when its socket closes or fails, when a subscription is refused, or when it
has been silent for `silent_after_s` although its streams never rest. It is then dialled again
after a wait that grows with each failure in a row, and everything on it is subscribed anew.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import ccxt
import orjson
from pydantic import SecretStr

from alphaplus.errors import ConfigError, FeedDisconnected, FeedError, UnknownSymbol
from alphaplus.feeds.history import HistoryClient, set_credentials
from alphaplus.feeds.markets import (
    BINANCE_CLIENTS,
    client_id,
    exchange_name,
    instruments_from_markets,
    select_instruments,
)
from alphaplus.feeds.pacing import Backoff
from alphaplus.feeds.reasons import reason_of
from alphaplus.feeds.transport import frame_exchange
from alphaplus.instruments import Instrument, symbol_to_ccxt

T = TypeVar("T")

CHANNELS: Final = {
    "depth": "depth",
    "book_ticker": "bookTicker",
    "trade": "trade",
    "mark_price": "markPrice",
    "liquidation": "forceOrder",
}
"""Our stream names, and the venue's."""

CONTRACT_STREAMS: Final = frozenset({"mark_price", "liquidation"})
"""Streams that a spot market does not have."""

RESTLESS_STREAMS: Final = frozenset({"depth", "book_ticker", "mark_price"})
"""Streams whose silence means a dead socket. Trades and liquidations may rest for hours."""

STREAMS_PER_SOCKET: Final = 200
MARKET_ATTEMPTS: Final = 5
RELOAD_S: Final = 10.0
"""So long the list of markets is taken for complete, whatever is asked for."""

VOLUME_ATTEMPTS: Final = 3
"""The volume of 24 hours is asked for again later anyway."""

_REQUESTS: Final = {
    "binance": ("publicGetDepth", None, "publicGetTicker24hr"),
    "binanceusdm": (
        "fapiPublicGetDepth",
        "fapiPublicGetOpenInterest",
        "fapiPublicGetTicker24hr",
    ),
    "binancecoinm": (
        "dapiPublicGetDepth",
        "dapiPublicGetOpenInterest",
        "dapiPublicGetTicker24hr",
    ),
}
"""ccxt's names of the requests: depth snapshot, open interest, volume of 24 hours."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ConnectionCounters:
    """What a connection has done since it was made."""

    frames: int = 0
    bytes: int = 0
    losses: int = 0
    reconnects: int = 0
    failed_dials: int = 0
    watchdog_closes: int = 0
    requests: int = 0
    """Snapshots, open interest and volumes asked for, repetitions included."""
    failed_requests: int = 0
    rate_limited: int = 0
    """Refusals with 418 or 429, of these requests and of those for histories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one socket carries: these streams of these symbols."""

    streams: tuple[str, ...]
    symbols: tuple[str, ...]

    @property
    def carries_depth(self) -> bool:
        """Whether the books of its symbols hang on it."""
        return "depth" in self.streams

    def __str__(self) -> str:
        more = f" and {len(self.symbols) - 1} more" if len(self.symbols) > 1 else ""
        return f"{', '.join(self.streams)} of {self.symbols[0]}{more}"


@dataclass(slots=True)
class _Socket:
    """A route and how its socket does."""

    route: Route
    address: str
    is_open: bool = False
    opened_before: bool = False
    frames: int = 0
    """Since it was last opened."""
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class VenueConnection:
    """Streams and requests of one Binance market for a set of symbols.

    Callbacks are plain functions on the event loop: `on_frame(frame, ts_recv_ns)`,
    `on_connect(route)` and `on_disconnect(route, reason)`, the last once per loss. An error
    that one of them raises ends `run` with that error. No symbols mean all that trade.

    `depth_interval_ms` defaults to the fastest the market has: 0 (as it happens) on USD-M, 100
    elsewhere. Use `FrameDecoder` and `MarketFeed` on what comes out; for other exchanges see
    `recorder`.
    """

    def __init__(
        self,
        exchange: str,
        symbols: Sequence[str],
        streams: Sequence[str],
        *,
        on_frame: Callable[[bytes, int], None],
        on_connect: Callable[[Route], None],
        on_disconnect: Callable[[Route, str], None],
        base_url: str | None = None,
        depth_interval_ms: int | None = None,
        silent_after_s: float = 10.0,
        backoff: Backoff | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client_id = client_id(exchange, symbols)
        if self._client_id not in BINANCE_CLIENTS:
            raise ConfigError(
                f"Expected an exchange whose frames are decoded here, was {exchange}; "
                "its book is available through the recorder."
            )
        unknown = [stream for stream in streams if stream not in CHANNELS]
        if unknown or not streams:
            raise ConfigError(
                f"Expected streams out of {', '.join(CHANNELS)}, "
                f"was {', '.join(unknown) or 'none'}."
            )
        is_spot = self._client_id == "binance"
        self.counters = ConnectionCounters()
        self.instruments: dict[str, Instrument] = {}
        self._exchange_name = exchange_name(self._client_id)
        self._symbols = tuple(dict.fromkeys(symbols))
        self._streams = tuple(
            s for s in CHANNELS if s in streams and not (is_spot and s in CONTRACT_STREAMS)
        )
        self._on_frame = on_frame
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        fastest = 0 if self._client_id == "binanceusdm" else 100
        self._depth_interval_ms = fastest if depth_interval_ms is None else depth_interval_ms
        self._silent_after_s = silent_after_s
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._base_url = base_url
        self._exchange = frame_exchange(self._client_id, base_url, silent_after_s / 2)
        self._exchange.opened = self._socket_opened
        self._exchange.limited = self._was_limited
        self._sockets: dict[str, _Socket] = {}
        self._loaded = 0.0
        """When the markets were loaded, s of the monotonic clock; 0: never."""
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[None] | None = None
        """What a callback raised; None until `run` begins."""
        self._requests: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def load_markets(self) -> dict[str, Instrument]:
        """Return the instruments of the connection's symbols, in their order.

        Raises UnknownSymbol with the closest name, FeedDisconnected if the venue does not answer.
        """
        self.instruments = await self.look_up(self._symbols)
        return self.instruments

    async def look_up(self, symbols: Sequence[str] = ()) -> dict[str, Instrument]:
        """Return instruments of the venue, also such as it has listed since; none named: all.

        Markets are loaded once, and again for a symbol that was not among them, at most every
        `RELOAD_S`: there may be hundreds. Raises as `load_markets`, and ConfigError for symbols of
        another market.
        """
        if client_id(self._exchange_name, symbols) != self._client_id and symbols:
            raise ConfigError(
                f"Expected symbols of the market that is open ({self._client_id}), "
                f"was {symbols[0]}; watch it with a fleet of its own."
            )
        wanted = {symbol_to_ccxt(symbol) for symbol in symbols}
        markets = await self._until_closed(self._ask_markets())
        if not wanted <= markets.keys() and time.monotonic() - self._loaded > RELOAD_S:
            markets = await self._until_closed(self._ask_markets(reload=True))
        chosen = [markets[name] for name in wanted] if wanted <= markets.keys() else []
        mode = self._exchange.precisionMode
        listed = instruments_from_markets(chosen or markets.values(), self._exchange_name, mode)
        return select_instruments(listed, symbols)

    def subscribe(self, instruments: Mapping[str, Instrument]) -> None:
        """Subscribe to more instruments while `run` runs, on sockets of their own."""
        self.instruments |= instruments
        self._open(tuple(instruments))

    async def unsubscribe(self, symbols: Collection[str]) -> None:
        """Carry these symbols no longer; the others on their sockets do not notice."""
        left = {name: self.instruments.pop(name) for name in symbols if name in self.instruments}
        for socket in list(self._sockets.values()):
            gone = [left[name] for name in socket.route.symbols if name in left]
            if gone:
                await self._shrink(socket, gone)

    async def run(self) -> None:
        """Keep everything subscribed until `close`; raises what a callback raised."""
        if not self.instruments:
            await self.load_markets()
        self._idle.clear()
        failed = self._failed = asyncio.get_running_loop().create_future()
        self._open(tuple(self.instruments))
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait([closing, failed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(closing, *self._keepers.values())
            self._idle.set()
        if failed.done():
            failed.result()

    async def close(self) -> None:
        """End `run` and all requests, close every socket; nothing is left running."""
        self._closing.set()
        await self._idle.wait()
        await _cancel(*self._requests)
        await self._exchange.close()

    async def fetch_snapshot(self, symbol: str, limit: int = 1000) -> bytes:
        """Return the venue's depth snapshot as JSON, asked for again until it comes.

        Raises FeedError if the venue refuses the request for good, FeedDisconnected if the
        connection is closed meanwhile.
        """
        method, _, _ = _REQUESTS[self._client_id]
        query = {"symbol": self._instrument(symbol).venue_symbol, "limit": limit}
        return await self._until_closed(self._ask(method, query, "lastUpdateId"))

    async def fetch_open_interest(self, symbol: str) -> bytes:
        """Return the venue's open interest as JSON; errors as for `fetch_snapshot`."""
        _, method, _ = _REQUESTS[self._client_id]
        if method is None:
            raise FeedError(f"Expected a contract, was {symbol}: spot has no open interest.")
        query = {"symbol": self._instrument(symbol).venue_symbol}
        return await self._until_closed(self._ask(method, query, "openInterest"))

    async def fetch_day_volume(self, symbol: str) -> bytes:
        """Return the venue's ticker of 24 hours as JSON, whatever it says of the volume.

        Raises FeedError if the venue does not answer `VOLUME_ATTEMPTS` requests or refuses
        one, FeedDisconnected if the connection is closed meanwhile.
        """
        _, _, method = _REQUESTS[self._client_id]
        query = {"symbol": self._instrument(symbol).venue_symbol}
        return await self._until_closed(
            self._ask(method, query, "weightedAvgPrice", attempts=VOLUME_ATTEMPTS)
        )

    def history(
        self,
        *,
        pause_s: float,
        page_rows: int,
        api_key: SecretStr | None = None,
        api_secret: SecretStr | None = None,
    ) -> HistoryClient:
        """Return what asks for histories within this connection's request weight."""
        set_credentials(self._exchange, self._base_url, api_key, api_secret)
        return HistoryClient(
            self._exchange,
            self._exchange_name,
            pause_s=pause_s,
            page_rows=page_rows,
            backoff=self._backoff,
            clock=self._clock,
        )

    async def _ask_markets(self, *, reload: bool = False) -> dict[str, Any]:
        for failures in range(1, MARKET_ATTEMPTS + 1):
            try:
                found = dict(await self._exchange.load_markets(reload))
                if reload or not self._loaded:
                    self._loaded = time.monotonic()
                return found
            except ccxt.OperationFailed as error:
                reason = reason_of(error)
            except ccxt.BaseError as error:
                raise FeedError(
                    f"Expected {self._exchange_name} to list its markets, was {reason_of(error)}."
                ) from error
            if failures < MARKET_ATTEMPTS:
                await self._pause(f"the list of markets failed: {reason}", failures)
        raise FeedDisconnected(
            f"Expected {self._exchange_name} to list its markets, was {reason}; "
            "check the network and feeds.url."
        )

    async def _ask(
        self, method: str, query: dict[str, Any], proof: str, attempts: int | None = None
    ) -> bytes:
        """Ask until the answer holds the field `proof`; None: for ever."""
        failures = 0
        while True:
            self.counters.requests += 1
            try:
                answer = await getattr(self._exchange, method)(query)
                if isinstance(answer, list) and len(answer) == 1:
                    answer = answer[0]  # COIN-M lists the one ticker that was asked for
                if isinstance(answer, dict) and proof in answer:
                    return orjson.dumps(answer)
                reason = f"an answer without {proof}"
            except ccxt.OperationFailed as error:
                reason = reason_of(error)
            except ccxt.BaseError as error:
                raise FeedError(
                    f"Expected {proof} of {query['symbol']}, was {reason_of(error)}."
                ) from error
            failures += 1
            self.counters.failed_requests += 1
            if failures == attempts:
                raise FeedError(f"Expected {proof} of {query['symbol']}, was {reason}.")
            await self._pause(f"{proof} of {query['symbol']} failed: {reason}", failures)

    async def _until_closed(self, request: Coroutine[Any, Any, T]) -> T:
        """Await a request in a task that `close` can end."""
        if self._closing.is_set():
            request.close()
            raise FeedDisconnected("Expected an open connection, was closed.")
        task = asyncio.ensure_future(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
            raise FeedDisconnected("Expected an open connection, was closed.") from None

    async def _pause(self, what: str, failures: int) -> None:
        delay_s = self._backoff.delay_s(failures, random.random())
        _log.warning("%s: %s; again in %.2f s", self._exchange_name, what, delay_s)
        await asyncio.sleep(delay_s)

    def _instrument(self, symbol: str) -> Instrument:
        try:
            return self.instruments[symbol]
        except KeyError:
            raise UnknownSymbol(f"Expected a symbol of this connection, was {symbol}.") from None

    def _open(self, symbols: tuple[str, ...]) -> None:
        for socket in self._plan(symbols):
            self._sockets[socket.address] = socket
            self._begin_keeping(socket)

    def _begin_keeping(self, socket: _Socket) -> None:
        keeper = asyncio.create_task(self._keep(socket), name=f"keep {socket.address}")
        self._keepers[socket.address] = keeper
        keeper.add_done_callback(self._fail_with)

    def _fail_with(self, keeper: asyncio.Task[None]) -> None:
        """End `run` with what a keeper raised; keepers end in no other way by themselves."""
        error = None if keeper.cancelled() else keeper.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _shrink(self, socket: _Socket, gone: Sequence[Instrument]) -> None:
        """Take instruments off a socket: the venue is told, a socket with no others is closed."""
        names = {item.symbol for item in gone}
        rest = tuple(name for name in socket.route.symbols if name not in names)
        if rest:
            socket.route = replace(socket.route, symbols=rest)
            # dialled again it carries the rest, at the same address
            number = socket.address.rpartition("/")[2]
            self._exchange.socket_numbers[",".join(self._ccxt_symbols(rest))] = number
            client = self._exchange.made.get(socket.address)
            if socket.is_open and client is not None:
                begins = [f"{item.venue_symbol.lower()}@" for item in gone]
                telling = asyncio.create_task(client.unsubscribe(begins))
                await asyncio.wait([telling])  # the socket's own: it ends with the socket
                if not telling.cancelled():
                    telling.result()
                return
        await _cancel(self._keepers.pop(socket.address))
        if rest:
            self._begin_keeping(socket)
            return
        del self._sockets[socket.address]
        self._exchange.forget(socket.address)

    def _plan(self, symbols: tuple[str, ...]) -> Iterator[_Socket]:
        """Lay the streams out on sockets: by the venue's address, and by its limit."""
        exchange = self._exchange
        kind = exchange.options["fetchMarkets"]["types"][0]
        by_address: dict[str, list[str]] = {}
        for stream in self._streams:
            category = exchange.get_future_ws_category(CHANNELS[stream])
            by_address.setdefault(exchange.get_ws_url(kind, category), []).append(stream)
        size = STREAMS_PER_SOCKET // max(len(streams) for streams in by_address.values())
        for start in range(0, len(symbols), size):
            chunk = symbols[start : start + size]
            number = exchange.stream(kind, "::" + ",".join(self._ccxt_symbols(chunk)))
            for address, streams in by_address.items():
                socket = _Socket(
                    Route(streams=tuple(streams), symbols=chunk), f"{address}/{number}"
                )
                exchange.deliveries[socket.address] = self._delivery(socket)
                yield socket

    def _delivery(self, socket: _Socket) -> Callable[[bytes], None]:
        counters, clock, on_frame = self.counters, self._clock, self._on_frame

        def deliver(frame: bytes) -> None:
            ts_recv = clock()
            socket.frames += 1
            counters.frames += 1
            counters.bytes += len(frame)
            on_frame(frame, ts_recv)

        return deliver

    async def _keep(self, socket: _Socket) -> None:
        """Hold a socket open for ever."""
        failures = 0
        while True:
            socket.frames = 0
            socket.opened.clear()
            reason = await self._hold(socket)
            failures = 1 if socket.frames else failures + 1
            if socket.is_open:
                socket.is_open = False
                self.counters.losses += 1
                self._on_disconnect(socket.route, reason)
            else:
                self.counters.failed_dials += 1
            await self._pause(f"lost {socket.route}: {reason}", failures)

    async def _hold(self, socket: _Socket) -> str:
        """Open a socket and keep it until it is lost; returns why."""
        watches = [asyncio.create_task(watch) for watch in self._watches(socket.route)]
        silence = asyncio.create_task(self._silence(socket))
        try:
            done, _ = await asyncio.wait([silence, *watches], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(silence, *watches)
            self._exchange.clients.pop(socket.address, None)
            client = self._exchange.made.pop(socket.address, None)
            if client is not None:
                await client.close()
        return _outcome(done.pop())

    def _watches(self, route: Route) -> Iterator[Coroutine[Any, Any, Any]]:
        """Subscribe through ccxt. Its calls never return, as it sees no data: they fail."""
        names = self._ccxt_symbols(route.symbols)
        exchange = self._exchange
        rate = {"watchOrderBookRate": str(self._depth_interval_ms)}
        calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "depth": lambda: exchange.watch_order_book_for_symbols(names, params=rate),
            "book_ticker": lambda: exchange.watch_bids_asks(names),
            "trade": lambda: exchange.watch_trades_for_symbols(names, params={"name": "trade"}),
            "mark_price": lambda: exchange.watch_mark_prices(names),
            "liquidation": lambda: exchange.watch_liquidations_for_symbols(names),
        }
        for stream in reversed(route.streams):  # depth last: what it is checked against is there
            yield calls[stream]()

    async def _silence(self, socket: _Socket) -> str:
        """Return once a socket that never rests has been silent for too long."""
        if RESTLESS_STREAMS.isdisjoint(socket.route.streams):
            await asyncio.Event().wait()  # pings alone tell
        await socket.opened.wait()
        heard, silent_quarters = 0, 0
        while silent_quarters < 4:
            await asyncio.sleep(self._silent_after_s / 4)
            silent_quarters = silent_quarters + 1 if socket.frames == heard else 0
            heard = socket.frames
        self.counters.watchdog_closes += 1
        return f"silent for {self._silent_after_s:g} s"

    def _socket_opened(self, address: str) -> None:
        socket = self._sockets[address]
        socket.is_open = True
        self.counters.reconnects += socket.opened_before
        socket.opened_before = True
        socket.opened.set()
        _log.info("%s: connected %s", self._exchange_name, socket.route)
        self._on_connect(socket.route)

    def _was_limited(self, code: int, seconds: float) -> None:
        self.counters.rate_limited += 1
        _log.warning(
            "%s: too many requests (HTTP %d); none is sent for %g s",
            self._exchange_name,
            code,
            seconds,
        )

    def _ccxt_symbols(self, symbols: Sequence[str]) -> list[str]:
        return [self.instruments[symbol].ccxt_symbol for symbol in symbols]


def _outcome(task: asyncio.Task[Any]) -> str:
    """Say why a socket was lost; raises what is no fault of the venue or the network."""
    if task.cancelled():
        return "cancelled by ccxt"
    error = task.exception()
    if error is None:
        return str(task.result())
    if isinstance(error, ccxt.BaseError | OSError):
        return reason_of(error)
    raise error


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
