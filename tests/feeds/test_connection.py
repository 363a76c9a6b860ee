"""The real ccxt.pro client over real sockets, against a server that misbehaves on request."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import orjson
import pytest
from aiohttp import WSMsgType, web

from alphaplus.errors import ConfigError, FeedDisconnected, FeedError, UnknownSymbol
from alphaplus.feeds.connection import VOLUME_ATTEMPTS, Route, VenueConnection
from alphaplus.feeds.pacing import Backoff
from alphaplus.venue.process import VenueProcess

NAMES = ("BTC", "ETH", "SOL")
SYMBOLS = tuple(f"{name}-USDT-PERP" for name in NAMES)
STREAMS = ("depth", "book_ticker", "trade", "mark_price", "liquidation")
TICKER = b'{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"1.0","B":"2","a":"1.1","A":"3"}'


class Server:
    """As much of Binance USD-M as ccxt needs, with the connection's own faults on request."""

    def __init__(self, names: tuple[str, ...] = NAMES) -> None:
        self.names = names
        self.sockets: dict[str, list[web.WebSocketResponse]] = {}
        self.subscribed: list[tuple[str, tuple[str, ...]]] = []
        self.unsubscribed: list[tuple[str, tuple[str, ...]]] = []
        self.asked: list[str] = []
        self.failures: list[web.Response] = []
        """Answers to the next depth requests, instead of a snapshot."""
        self.stall = asyncio.Event()
        """While it is not set depth requests wait."""
        self.stall.set()
        self.refuse = False
        """Refuse subscriptions."""
        self.has_day_volumes = True

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/fapi/v1/exchangeInfo", self.exchange_info)
        app.router.add_get("/fapi/v1/depth", self.depth)
        app.router.add_get("/fapi/v1/openInterest", self.open_interest)
        app.router.add_get("/{category}/ws/{number}", self.socket)
        for version in ("/api/v3", "/dapi/v1"):
            app.router.add_get(f"{version}/exchangeInfo", self.exchange_info)
            app.router.add_get(f"{version}/depth", self.depth)
        for version in ("/api/v3", "/dapi/v1", "/fapi/v1"):
            app.router.add_get(f"{version}/ticker/24hr", self.day_volume)
        app.router.add_get("/ws/{number}", self.socket)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self.runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for socket in self.open_sockets():
            await socket.close()
        await self.runner.cleanup()

    def open_sockets(self) -> list[web.WebSocketResponse]:
        return [ws for sockets in self.sockets.values() for ws in sockets if not ws.closed]

    async def exchange_info(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": 2400}]
        listing = {"api": _spot_listing, "dapi": _coin_listing}.get(
            request.path.split("/")[1], _listing
        )
        symbols = [listing(name) for name in self.names]
        return web.json_response({"rateLimits": limits, "symbols": symbols})

    async def depth(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        await self.stall.wait()
        if self.failures:
            return self.failures.pop(0)
        return web.Response(
            text='{"lastUpdateId":7,"bids":[["1.00","2.0"]],"asks":[]}',
            content_type="application/json",
            headers={"X-MBX-USED-WEIGHT-1M": "20"},
        )

    async def open_interest(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        return web.json_response({"openInterest": "12.5", "symbol": "BTCUSDT", "time": 1})

    async def day_volume(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if not self.has_day_volumes:
            return web.Response(status=404, text="<html>")
        told = {"symbol": request.query["symbol"], "weightedAvgPrice": "9.0", "volume": "4.5"}
        return web.json_response([told] if "dapi" in request.path else told)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        self.sockets.setdefault(request.path, []).append(response)
        async for message in response:
            assert message.type is WSMsgType.TEXT
            asked = orjson.loads(message.data)
            if asked["method"] == "UNSUBSCRIBE":
                self.unsubscribed.append((request.path, tuple(asked["params"])))
                await response.send_str(orjson.dumps({"result": None, "id": asked["id"]}).decode())
                continue
            assert asked["method"] == "SUBSCRIBE"
            self.subscribed.append((request.path, tuple(asked["params"])))
            refusal = {"error": {"code": 2, "msg": "invalid stream"}, "id": asked["id"]}
            answer = refusal if self.refuse else {"result": None, "id": asked["id"]}
            await response.send_str(orjson.dumps(answer).decode())
        return response

    async def send(self, frame: bytes, path: str = "/public/ws/0") -> None:
        await self.sockets[path][-1].send_str(frame.decode())


class Log:
    """What a connection told its owner."""

    def __init__(self) -> None:
        self.frames: list[tuple[bytes, int]] = []
        self.connected: list[Route] = []
        self.lost: list[tuple[Route, str]] = []

    def on_frame(self, frame: bytes, ts_recv: int) -> None:
        self.frames.append((frame, ts_recv))

    def on_disconnect(self, route: Route, reason: str) -> None:
        self.lost.append((route, reason))

    @property
    def payloads(self) -> list[bytes]:
        return [frame for frame, _ in self.frames]


def _listing(name: str) -> dict[str, Any]:
    return {
        "symbol": f"{name}USDT",
        "pair": f"{name}USDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": name,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "9", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "9", "stepSize": "0.001"},
        ],
    }


def _has_subscribed(server: Server, times: int) -> bool:
    return len(server.subscribed) == times


def _spot_listing(name: str) -> dict[str, Any]:
    whole = _listing(name)
    kept = ("symbol", "status", "baseAsset", "quoteAsset", "filters")
    return {field: whole[field] for field in kept} | {"permissions": ["SPOT"]}


def _coin_listing(name: str) -> dict[str, Any]:
    return _listing(name) | {
        "symbol": f"{name}USD_PERP",
        "pair": f"{name}USD",
        "contractStatus": "TRADING",
        "contractSize": 100,
        "quoteAsset": "USD",
        "marginAsset": name,
    }


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def connection(
    server: Server | SimpleNamespace,
    log: Log,
    symbols: tuple[str, ...] = SYMBOLS,
    streams: tuple[str, ...] = STREAMS,
    **options: Any,
) -> AsyncIterator[tuple[VenueConnection, "asyncio.Task[None]"]]:
    """Run a connection; leave only if it leaves nothing behind."""
    before = asyncio.all_tasks()
    made = VenueConnection(
        "binance",
        symbols,
        streams,
        on_frame=options.pop("on_frame", log.on_frame),
        on_connect=log.connected.append,
        on_disconnect=log.on_disconnect,
        base_url=server.url,
        backoff=Backoff(first_s=0.01, cap_s=0.05),
        **options,
    )
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    running = asyncio.create_task(made.run())
    try:
        yield made, running
    finally:
        await made.close()
        await asyncio.gather(running, return_exceptions=True)
        del made, running
        gc.collect()  # futures that were never looked at complain now
        await asyncio.sleep(0)
        assert noise == []
        left = [task for task in asyncio.all_tasks() - before if "web_protocol" not in repr(task)]
        assert left == []


async def test_subscribes_every_stream_through_ccxt_and_delivers_bytes() -> None:
    log = Log()
    ticks = iter(range(100, 200))
    async with Server() as server, connection(server, log, clock=lambda: next(ticks)) as (made, _):
        await until(lambda: len(server.subscribed) == 5)
        await until(lambda: len(log.connected) == 2)
        wanted = {
            ("/public/ws/0", tuple(f"{name.lower()}usdt@{channel}" for name in NAMES))
            for channel in ("depth@0ms", "bookTicker", "trade")
        } | {
            ("/market/ws/0", tuple(f"{name.lower()}usdt@{channel}" for name in NAMES))
            for channel in ("markPrice@1s", "forceOrder")
        }
        assert set(server.subscribed) == wanted
        await server.send(TICKER)
        await server.send(b'{"e":"markPriceUpdate"}', "/market/ws/0")
        await until(lambda: len(log.frames) == 2)
        assert sorted(log.frames) == [(TICKER, 100), (b'{"e":"markPriceUpdate"}', 101)]
        assert made.counters.frames == 2
        assert made.counters.bytes == len(TICKER) + 23
        assert sorted(server.asked) == ["/fapi/v1/exchangeInfo"]  # no snapshot for ccxt's own book
    assert log.lost == []


@pytest.mark.parametrize(
    ("symbol", "venue_symbol", "channels", "request_path"),
    [
        ("BTC-USDT-SPOT", "BTCUSDT", {"depth@100ms", "bookTicker", "trade"}, "/api/v3"),
        (
            "BTC-USD-BTC-PERP",
            "BTCUSD_PERP",
            {"depth@100ms", "bookTicker", "trade", "markPrice@1s", "forceOrder"},
            "/dapi/v1",
        ),
    ],
)
async def test_spot_and_coin_margined_markets_use_one_socket(
    symbol: str, venue_symbol: str, channels: set[str], request_path: str
) -> None:
    log = Log()
    async with Server() as server, connection(server, log, (symbol,)) as (made, _):
        await until(lambda: len(server.subscribed) == len(channels))
        name = venue_symbol.lower()
        assert set(server.subscribed) == {("/ws/0", (f"{name}@{channel}",)) for channel in channels}
        await server.send(b'{"u":1,"s":"BTCUSDT"}', "/ws/0")  # spot's tickers name no event
        await until(lambda: log.frames)
        await made.fetch_snapshot(symbol, limit=100)
        assert f"{request_path}/depth?symbol={venue_symbol}&limit=100" in server.asked
        assert f"{request_path}/exchangeInfo" in server.asked
        if symbol.endswith("SPOT"):
            with pytest.raises(FeedError, match="spot has no open interest"):
                await made.fetch_open_interest(symbol)


async def test_instruments_come_from_the_venue_in_the_order_asked() -> None:
    async with Server() as server, connection(server, Log(), (SYMBOLS[1], SYMBOLS[0])) as (made, _):
        await until(lambda: made.instruments)
        assert list(made.instruments) == [SYMBOLS[1], SYMBOLS[0]]
        assert made.instruments[SYMBOLS[0]].venue_symbol == "BTCUSDT"
        assert str(made.instruments[SYMBOLS[0]].tick_size) == "0.1"


async def test_no_symbols_mean_all() -> None:
    async with Server() as server, connection(server, Log(), ()) as (made, _):
        await until(lambda: made.instruments)
        assert tuple(made.instruments) == SYMBOLS


async def test_snapshot_and_open_interest_are_the_venues_json() -> None:
    async with Server() as server, connection(server, Log()) as (made, _):
        await until(lambda: made.instruments)
        snapshot = await made.fetch_snapshot(SYMBOLS[0], limit=1000)
        assert snapshot == b'{"lastUpdateId":7,"bids":[["1.00","2.0"]],"asks":[]}'
        assert b'"openInterest":"12.5"' in await made.fetch_open_interest(SYMBOLS[0])
        assert "/fapi/v1/depth?symbol=BTCUSDT&limit=1000" in server.asked
        with pytest.raises(UnknownSymbol):
            await made.fetch_snapshot("XRP-USDT-PERP")


@pytest.mark.parametrize(
    ("symbol", "venue_symbol", "path", "weight"),
    [
        ("BTC-USDT-PERP", "BTCUSDT", "/fapi/v1", 1.0),
        ("BTC-USD-BTC-PERP", "BTCUSD_PERP", "/dapi/v1", 1.0),
        ("BTC-USDT-SPOT", "BTCUSDT", "/api/v3", 2.0),
    ],
)
async def test_volume_of_24_hours_is_one_symbols_ticker_and_costs_its_weight(
    symbol: str, venue_symbol: str, path: str, weight: float
) -> None:
    async with Server() as server, connection(server, Log(), (symbol,)) as (made, _):
        await until(lambda: made.instruments)
        budget = made._exchange.budget
        before = sum(spent for _, spent in budget._spent)
        told = orjson.loads(await made.fetch_day_volume(symbol))
        assert told == {"symbol": venue_symbol, "weightedAvgPrice": "9.0", "volume": "4.5"}
        assert f"{path}/ticker/24hr?symbol={venue_symbol}" in server.asked
        assert sum(spent for _, spent in budget._spent) - before == pytest.approx(weight)


async def test_a_venue_without_volumes_is_not_asked_for_ever() -> None:
    async with Server() as server, connection(server, Log()) as (made, _):
        await until(lambda: made.instruments)
        server.has_day_volumes = False
        with pytest.raises(FeedError, match=r"of BTCUSDT, was ExchangeNotAvailable"):
            await made.fetch_day_volume(SYMBOLS[0])
        assert made.counters.failed_requests == VOLUME_ATTEMPTS
        server.has_day_volumes = True
        assert b'"volume":"4.5"' in await made.fetch_day_volume(SYMBOLS[0])


async def test_failing_snapshot_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    async with Server() as server, connection(server, Log()) as (made, _):
        await until(lambda: made.instruments)
        server.failures = [
            web.Response(status=500, text='{"code":-1000,"msg":"broken"}'),
            web.Response(status=503, text="<html>"),
            web.Response(status=429, text="{}", headers={"Retry-After": "0.1"}),
            web.Response(text='{"lastUpdateId":7,"bids"', content_type="application/json"),
            web.Response(text='{"bids":[]}', content_type="application/json"),
        ]
        assert b"lastUpdateId" in await made.fetch_snapshot(SYMBOLS[0])
        assert made.counters.requests == 6
        assert made.counters.failed_requests == 5
        assert "lastUpdateId of BTCUSDT failed: ExchangeNotAvailable (HTTP 500" in caplog.text
        assert server.url.removeprefix("http://") not in caplog.text


async def test_refused_snapshot_is_an_error() -> None:
    async with Server() as server, connection(server, Log()) as (made, _):
        await until(lambda: made.instruments)
        server.failures = [web.Response(status=400, text='{"code":-1121,"msg":"Invalid symbol."}')]
        with pytest.raises(FeedError, match=r"Expected lastUpdateId of BTCUSDT, was BadSymbol"):
            await made.fetch_snapshot(SYMBOLS[0])


async def test_socket_closed_by_the_venue_is_lost_once_and_opened_again() -> None:
    log = Log()
    async with Server() as server, connection(server, log) as (made, _):
        await until(lambda: len(server.subscribed) == 5)
        await server.send(TICKER)
        await until(lambda: log.frames)
        await server.sockets["/public/ws/0"][0].close()
        await until(lambda: len(server.subscribed) == 8)
        assert [(path, len(params)) for path, params in server.subscribed[5:]] == [
            ("/public/ws/0", 3)
        ] * 3
        ((route, reason),) = log.lost
        assert route.carries_depth
        assert route.symbols == SYMBOLS
        assert "closed by remote server" in reason
        await server.send(TICKER)
        await until(lambda: len(log.frames) == 2)
        assert len(log.connected) == 3
        assert made.counters.losses == 1
        assert made.counters.reconnects == 1
        assert len(server.sockets["/market/ws/0"]) == 1  # the other socket never noticed


async def test_server_that_vanishes_is_dialled_until_it_is_back() -> None:
    log = Log()
    async with Server() as server, connection(server, log, streams=("depth",)) as (made, _):
        await until(lambda: server.subscribed)
        server.sockets["/public/ws/0"][0]._req.transport.abort()  # type: ignore[union-attr]
        for times in (2, 3, 4, 5):
            # subscribed, not only connected: a socket closed in between would never subscribe
            await until(partial(_has_subscribed, server, times))
            assert len(log.lost) == times - 1
            if times < 5:
                await server.sockets["/public/ws/0"][-1].close()
        assert made.counters.losses == made.counters.reconnects == 4


async def test_torn_frames_reach_the_decoder_and_the_socket_lives() -> None:
    log = Log()
    torn = [b'{"e":"depthUpdate","U":1,', b"}{", b'{"result":nul', b'{"id":', b"", b"[1,2"]
    async with Server() as server, connection(server, log, streams=("depth",)) as (made, _):
        await until(lambda: server.subscribed)
        for frame in torn:
            await server.send(frame)
        await server.send(TICKER)
        await until(lambda: len(log.frames) == len(torn) + 1)
        assert log.payloads == [*torn, TICKER]
        assert log.lost == []
        assert made.counters.losses == 0


async def test_bytes_that_are_no_utf8_reach_the_decoder() -> None:
    log = Log()
    async with Server() as server, connection(server, log, streams=("depth",)):
        await until(lambda: server.subscribed)
        await server.sockets["/public/ws/0"][0].send_frame(b'{"e":"\xff\xfe', WSMsgType.TEXT)
        await server.send(TICKER)
        await until(lambda: len(log.frames) == 2)
        assert log.payloads == [b'{"e":"\xff\xfe', TICKER]


async def test_silent_socket_is_closed_and_opened_again() -> None:
    log = Log()
    async with (
        Server() as server,
        connection(server, log, streams=("depth", "trade"), silent_after_s=0.2) as (made, _),
    ):
        await until(lambda: len(log.connected) == 2)
        assert [reason for _, reason in log.lost] == ["silent for 0.2 s"]
        assert made.counters.watchdog_closes == 1


async def test_socket_of_streams_that_rest_may_be_silent() -> None:
    log = Log()
    async with (
        Server() as server,
        connection(server, log, streams=("liquidation",), silent_after_s=0.1) as (made, _),
    ):
        await until(lambda: server.subscribed)
        await asyncio.sleep(0.5)
        # on a busy machine a pong may be late at this pace; silence must never be the reason
        assert not any("silent" in reason for _, reason in log.lost)
        assert made.counters.watchdog_closes == 0


async def test_refused_subscription_loses_the_socket() -> None:
    log = Log()
    async with Server() as server:
        server.refuse = True
        async with connection(server, log, streams=("depth", "liquidation")):
            await until(lambda: len(log.lost) == 2)
            assert all("subscription refused" in reason for _, reason in log.lost)
            server.refuse = False
            await until(lambda: len(log.connected) >= 4)


async def test_hundreds_of_symbols_share_few_sockets() -> None:
    names = tuple(f"C{number}" for number in range(150))
    log = Log()
    async with Server(names) as server, connection(server, log, ()):
        await until(lambda: sum(len(params) for _, params in server.subscribed) == 150 * 5)
        assert len(log.connected) == len(server.sockets) == 6
        for path in server.sockets:
            carried = [params for where, params in server.subscribed if where == path]
            assert sum(len(params) for params in carried) <= 200


async def test_error_of_the_owner_ends_the_run() -> None:
    def broken(frame: bytes, ts_recv: int) -> None:
        raise ZeroDivisionError

    async with Server() as server, connection(server, Log(), on_frame=broken) as (_, running):
        await until(lambda: len(server.subscribed) == 5)
        await server.send(TICKER)
        await until(running.done)
        assert isinstance(running.exception(), ZeroDivisionError)


async def test_close_ends_a_request_under_way() -> None:
    async with Server() as server, connection(server, Log()) as (made, _):
        await until(lambda: made.instruments)
        server.stall.clear()
        asking = asyncio.create_task(made.fetch_snapshot(SYMBOLS[0]))
        await until(lambda: any("depth" in path for path in server.asked))
        await made.close()
        with pytest.raises(FeedDisconnected, match="was closed"):
            await asking
        with pytest.raises(FeedDisconnected):
            await made.fetch_snapshot(SYMBOLS[0])
        server.stall.set()


async def test_close_before_anything_was_opened() -> None:
    made = VenueConnection(
        "binance",
        SYMBOLS,
        STREAMS,
        on_frame=Log().on_frame,
        on_connect=print,
        on_disconnect=print,
    )
    await made.close()


async def test_unknown_symbol_names_the_closest() -> None:
    async with Server() as server, connection(server, Log(), ("BTC-USDC-PERP",)) as (_, running):
        await until(running.done)
        assert isinstance(running.exception(), UnknownSymbol)
        assert "did you mean BTC-USDT-PERP?" in str(running.exception())


async def test_venue_that_is_not_there_is_an_error_without_its_address() -> None:
    async with Server() as server:
        url = server.url
    server.url = url
    async with connection(server, Log()) as (_, running):
        await until(running.done)
        error = running.exception()
        assert isinstance(error, FeedDisconnected)
        assert "check the network" in str(error)
        assert "127.0.0.1" not in str(error)


@pytest.mark.parametrize(
    ("exchange", "symbols", "streams", "sentence"),
    [
        ("bybit", (), ("depth",), "available through the recorder"),
        ("binanse", (), ("depth",), "did you mean binance"),
        ("binance", (), ("depht",), "Expected streams out of"),
        ("binance", (), (), "was none"),
    ],
)
def test_wrong_arguments_are_refused(
    exchange: str, symbols: tuple[str, ...], streams: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        VenueConnection(
            exchange,
            symbols,
            streams,
            on_frame=Log().on_frame,
            on_connect=print,
            on_disconnect=print,
        )


async def test_against_the_local_venue_with_a_socket_closed_on_the_way() -> None:
    seen: set[tuple[bytes, bytes]] = set()
    field = re.compile(rb'"e":"(\w+)".*?"s":"(\w+)"')

    def on_frame(frame: bytes, ts_recv: int) -> None:
        kind_and_symbol = field.search(frame)
        if kind_and_symbol:
            seen.add((kind_and_symbol[1], kind_and_symbol[2]))

    log = Log()
    every = {
        (kind, symbol)
        for kind in (b"depthUpdate", b"bookTicker", b"markPriceUpdate")
        for symbol in (b"BTCUSDT", b"ETHUSDT")
    }
    with VenueProcess(["--symbols", "2"]) as venue:
        server = SimpleNamespace(url=venue.url)
        async with connection(server, log, (), on_frame=on_frame) as (made, _):
            await until(lambda: every <= seen)
            snapshot = orjson.loads(await made.fetch_snapshot(SYMBOLS[0]))
            assert len(snapshot["bids"]) > 100
            fault = {"symbol": "BTCUSDT", "kind": "close_socket"}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{venue.url}/control/faults", json=fault) as answer,
            ):
                assert answer.status == 200
            await until(lambda: made.counters.reconnects >= 1)
            seen.clear()
            await until(lambda: every <= seen)
            assert made.counters.losses == len(log.lost) == made.counters.reconnects
