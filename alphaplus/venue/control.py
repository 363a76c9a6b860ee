"""The control side, which no exchange has: state, truth and faults."""

import asyncio
import time
from typing import Any

import orjson
from aiohttp import web

from alphaplus.errors import ConfigError
from alphaplus.venue.clock import MarketClock
from alphaplus.venue.hub import Hub
from alphaplus.venue.rest import RestApi, answer
from alphaplus.venue.source import Source


class ControlApi:
    """GET /control/state, /control/book; POST /control/faults, pause, resume, stop_market."""

    def __init__(self, source: Source, hub: Hub, rest: RestApi, clock: MarketClock) -> None:
        self.stopped = False
        """True once the market was told to stand still for good."""
        self._source = source
        self._hub = hub
        self._rest = rest
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.get("/control/state", self._state),
            web.get("/control/book", self._book),
            web.post("/control/faults", self._faults),
            web.post("/control/pause", self._pause),
            web.post("/control/resume", self._resume),
            web.post("/control/stop_market", self._stop_market),
        ]

    async def _state(self, request: web.Request) -> web.Response:
        return answer(self._venue_state())

    async def _book(self, request: web.Request) -> web.Response:
        index = self._hub.index(request.query.get("symbol", ""))
        if index is None:
            return _refuse("Expected symbol to be one that the venue lists, see /control/state.")
        while not self._source.catch_up(index):  # noqa: ASYNC110  # each round does work
            await asyncio.sleep(0)
        # nothing is awaited from here on: the book and the frames sent are of one moment
        return answer({**self._source.state(index), **self._source.book(index)})

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            order = orjson.loads(await request.read())
            symbol, kind, count = order["symbol"], order["kind"], int(order.get("count", 1))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            return _refuse(
                'Expected a body like {"symbol": "BTCUSDT", "kind": "drop_frame", "count": 1}.'
            )
        index = self._hub.index(symbol) if isinstance(symbol, str) else None
        if index is None:
            return _refuse(f"Expected symbol to be one that the venue lists, was {symbol!r}.")
        try:
            self._hub.faults.request(index, kind, count)
        except ConfigError as error:
            return _refuse(str(error))
        return answer({"symbol": symbol, "kind": kind, "count": count})

    async def _pause(self, request: web.Request) -> web.Response:
        self._clock.pause(time.time_ns())
        return answer(self._venue_state(symbols=False))

    async def _resume(self, request: web.Request) -> web.Response:
        self._clock.resume(time.time_ns())
        return answer(self._venue_state(symbols=False))

    async def _stop_market(self, request: web.Request) -> web.Response:
        self.stopped = True
        return answer(self._venue_state(symbols=False))

    def _venue_state(self, symbols: bool = True) -> dict[str, Any]:
        state: dict[str, Any] = {
            "market_ms": self._clock.now(time.time_ns()) // 1_000_000,
            "speed": self._clock.speed,
            "paused": self._clock.paused,
            "stopped": self.stopped,
            "connections": len(self._hub.connections),
            "messages": self._hub.messages,
            "slow_clients": self._hub.slow_clients,
            "closed_by_fault": self._hub.closed_by_fault,
            "unknown_streams": self._hub.unknown_streams,
            "used_weight": self._rest.meter.used,
            "refused_requests": self._rest.meter.refused,
        }
        if symbols:
            state["symbols"] = {
                listing.symbol: {
                    **self._source.state(index),
                    "faults": self._hub.faults.state(index),
                }
                for index, listing in enumerate(self._source.listings)
            }
        return state


def _refuse(sentence: str) -> web.Response:
    response = answer({"error": sentence})
    response.set_status(400)
    return response
