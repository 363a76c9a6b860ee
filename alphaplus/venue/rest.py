"""The REST side: parameters in, Binance's JSON and request weights out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

from alphaplus.venue import protocol
from alphaplus.venue.hub import Hub
from alphaplus.venue.source import Source

HOLD_S: Final = 30.0
"""How long a request for the book is held until playback has reached it."""
_HOLD_POLL_S: Final = 0.002
_PERIOD_MS: Final = protocol.FUNDING_INTERVAL_MS
_DEPTH_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """A request that Binance answers with an error code."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


class WeightMeter:
    """Request weight used in the current minute; one address, as all clients are local."""

    def __init__(self) -> None:
        self.used = 0
        self.refused = 0
        self._minute = 0

    def charge(self, weight: int, wall_ns: int) -> int | None:
        """Count a request; returns the seconds to wait if the limit is passed."""
        minute, rest_ns = divmod(wall_ns, 60 * 10**9)
        if minute != self._minute:
            self._minute, self.used = minute, 0
        self.used += weight
        if self.used <= protocol.WEIGHT_LIMIT:
            return None
        self.refused += 1
        return 60 - rest_ns // 10**9


class RestApi:
    """Public endpoints of /fapi/v1 over one source."""

    def __init__(self, source: Source, hub: Hub) -> None:
        self.meter = WeightMeter()
        self._source = source
        self._hub = hub

    def routes(self) -> list[web.RouteDef]:
        """Return all routes with what each weighs."""
        handlers: list[tuple[str, Callable[[web.Request], int], Handler]] = [
            ("ping", _weighs(1), self._ping),
            ("time", _weighs(1), self._time),
            ("exchangeInfo", _weighs(1), self._exchange_info),
            ("depth", lambda r: protocol.depth_weight(limit_of(r, 500, 1000)), self._depth),
            ("premiumIndex", _weighs(1, 10), self._premium_index),
            ("fundingRate", _weighs(1), self._funding_rate),
            ("fundingInfo", _weighs(1), self._funding_info),
            ("openInterest", _weighs(1), self._open_interest),
            ("ticker/24hr", _weighs(1, 40), self._ticker_24h),
            ("ticker/bookTicker", _weighs(2, 5), self._book_ticker),
            ("trades", _weighs(5), self._trades),
            ("aggTrades", _weighs(20), self._agg_trades),
            ("leverageBracket", _weighs(1), self._leverage_bracket),
        ]
        return [
            web.get(f"/fapi/v1/{path}", self.metered(weight, handler))
            for path, weight, handler in handlers
        ]

    def metered(self, weight: Callable[[web.Request], int], handler: Handler) -> Handler:
        """Return a handler that charges the weight, and answers refusals as Binance does."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                wait_s = self.meter.charge(weight(request), time.time_ns())
                if wait_s is not None:
                    raise Refused(
                        -1003, f"Too many requests; the limit is {protocol.WEIGHT_LIMIT}.", 429
                    )
                response = await handler(request)
            except Refused as refusal:
                response = web.Response(
                    body=protocol.error(refusal.code, refusal.message),
                    status=refusal.status,
                    content_type="application/json",
                )
                if refusal.status == 429:
                    response.headers["Retry-After"] = str(wait_s)
            response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.meter.used)
            return response

        return handle

    async def _ping(self, request: web.Request) -> web.Response:
        return answer({})

    async def _time(self, request: web.Request) -> web.Response:
        return answer({"serverTime": time.time_ns() // 1_000_000})

    async def _exchange_info(self, request: web.Request) -> web.Response:
        return answer(protocol.exchange_info(self._source.listings, time.time_ns() // 1_000_000))

    async def _depth(self, request: web.Request) -> web.Response:
        index, limit = self.symbol(request), limit_of(request, 500, 1000)
        if limit not in _DEPTH_LIMITS:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        body = await self._snapshot(index, limit, held=False)
        waited = 0.0
        while body is None:
            if waited > HOLD_S:
                raise Refused(-1007, "Timeout waiting for response from backend server.", 408)
            await asyncio.sleep(_HOLD_POLL_S)
            waited += _HOLD_POLL_S
            body = await self._snapshot(index, limit, held=True)
        return web.Response(body=body, content_type="application/json")

    async def _snapshot(self, index: int, limit: int, held: bool) -> bytes | None:
        while not self._source.catch_up(index):  # noqa: ASYNC110  # each round does work
            await asyncio.sleep(0)
        return self._source.snapshot(index, limit, time.time_ns(), held)

    async def _premium_index(self, request: web.Request) -> web.Response:
        return self._per_symbol(request, protocol.premium_index)

    async def _ticker_24h(self, request: web.Request) -> web.Response:
        return self._per_symbol(request, protocol.ticker_24h)

    async def _book_ticker(self, request: web.Request) -> web.Response:
        return self._per_symbol(request, protocol.book_ticker)

    async def _open_interest(self, request: web.Request) -> web.Response:
        index = self.symbol(request)
        return answer(protocol.open_interest(self._source.listings[index], self._ticker(index)))

    async def _funding_info(self, request: web.Request) -> web.Response:
        return answer([protocol.funding_info(listing) for listing in self._source.listings])

    async def _funding_rate(self, request: web.Request) -> web.Response:
        limit = limit_of(request, 100, 1000)
        end = integer_of(request, "endTime", time.time_ns() // 1_000_000)
        start = integer_of(request, "startTime", end - limit * _PERIOD_MS)
        last = min(end // _PERIOD_MS, -(-start // _PERIOD_MS) + limit - 1)
        settled = []
        for index in self._symbols(request):
            listing, mark = self._source.listings[index], self._ticker(index).mark_price
            for period in range(max(1, -(-start // _PERIOD_MS)), last + 1):
                rate = self._source.funding_rate(index, period)
                if rate is not None:
                    time_ms = period * _PERIOD_MS
                    settled.append(protocol.funding_rate(listing, rate, time_ms, mark))
        return answer(settled)

    async def _trades(self, request: web.Request) -> web.Response:
        trades = self._source.trades(self.symbol(request), limit_of(request, 500, 1000))
        return answer(
            [
                {
                    "id": t["t"], "price": t["p"], "qty": t["q"], "time": t["T"],
                    "quoteQty": protocol.decimal(float(t["p"]) * float(t["q"]), 2),
                    "isBuyerMaker": t["m"],
                }
                for t in trades
            ]
        )  # fmt: skip

    async def _agg_trades(self, request: web.Request) -> web.Response:
        trades = self._source.trades(self.symbol(request), limit_of(request, 500, 1000))
        return answer(
            [
                {
                    "a": t["t"], "p": t["p"], "q": t["q"], "f": t["t"], "l": t["t"], "T": t["T"],
                    "m": t["m"],
                }
                for t in trades
            ]
        )  # fmt: skip

    async def _leverage_bracket(self, request: web.Request) -> web.Response:
        _check_signed(request)
        return answer(
            [
                protocol.leverage_brackets(self._source.listings[index])
                for index in self._symbols(request)
            ]
        )

    def _per_symbol(
        self,
        request: web.Request,
        shape: Callable[[protocol.Listing, protocol.Ticker], dict[str, Any]],
    ) -> web.Response:
        """Answer one symbol with an object and no symbol with a list of all."""
        listings = self._source.listings
        if "symbol" in request.query:
            index = self.symbol(request)
            return answer(shape(listings[index], self._ticker(index)))
        return answer([shape(listings[i], self._ticker(i)) for i in range(len(listings))])

    def _ticker(self, index: int) -> protocol.Ticker:
        return self._source.ticker(index, time.time_ns())

    def _symbols(self, request: web.Request) -> list[int]:
        if "symbol" in request.query:
            return [self.symbol(request)]
        return list(range(len(self._source.listings)))

    def symbol(self, request: web.Request) -> int:
        """Return the place of the symbol asked for; raises Refused."""
        name = request.query.get("symbol")
        if not name:
            raise Refused(
                -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            )
        index = self._hub.index(name)
        if index is None:
            raise Refused(-1121, "Invalid symbol.")
        return index


def answer(body: Any) -> web.Response:
    """Return a JSON response."""
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _check_signed(request: web.Request) -> None:
    """Refuse what lacks a key or a signature; any will do, as the venue holds no secrets."""
    if not request.headers.get("X-MBX-APIKEY"):
        raise Refused(-2014, "API-key format invalid.", 401)
    for name in ("timestamp", "signature"):
        if not request.query.get(name):
            raise Refused(
                -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            )


def _weighs(weight: int, without_symbol: int | None = None) -> Callable[[web.Request], int]:
    all_symbols = weight if without_symbol is None else without_symbol
    return lambda request: weight if "symbol" in request.query else all_symbols


def limit_of(request: web.Request, default: int, largest: int) -> int:
    """Return the parameter `limit`; raises Refused outside 1 to `largest`."""
    limit = integer_of(request, "limit", default)
    if not 1 <= limit <= largest:
        raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def integer_of(request: web.Request, name: str, default: int) -> int:
    """Return a whole number among the parameters; raises Refused for anything else."""
    try:
        return int(request.query.get(name, default))
    except ValueError:
        raise Refused(-1130, f"Data sent for parameter '{name}' is not valid.") from None
