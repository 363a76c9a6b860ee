"""The control side, which no exchange has: state, truth, and a market that stands still."""

import asyncio
import time
from typing import Any, Final

from aiohttp import web

from alphaplus.errors import ConfigError
from alphaplus.venue.clock import MarketClock
from alphaplus.venue.control_body import answering, json_object
from alphaplus.venue.hub import Hub
from alphaplus.venue.rest import RestApi, answer
from alphaplus.venue.source import Source

FASTEST: Final = 10_000
"""Market seconds per second, at most."""


class ControlApi:
    """GET /control/state, /control/book; POST /control/pause, resume, speed, stop_market."""

    def __init__(self, source: Source, hub: Hub, rest: RestApi, clock: MarketClock) -> None:
        self.stopped = False
        """True once the market was told to stand still for good."""
        self.waits_for_readers = True
        """Whether a market that is faster than life waits for readers that are behind."""
        self._source = source
        self._hub = hub
        self._rest = rest
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.get("/control/state", self._state),
            web.get("/control/book", answering(self._book)),
            web.post("/control/pause", self._pause),
            web.post("/control/resume", self._resume),
            web.post("/control/speed", answering(self._speed)),
            web.post("/control/stop_market", self._stop_market),
        ]

    async def _state(self, request: web.Request) -> web.Response:
        return answer(self._venue_state(symbols=request.query.get("symbols") != "false"))

    async def _book(self, request: web.Request) -> web.Response:
        index = self._hub.index(request.query.get("symbol", ""))
        if index is None:
            raise ConfigError("Expected symbol to be one that the venue lists, see /control/state.")
        while not self._source.catch_up(index):  # noqa: ASYNC110  # each round does work
            await asyncio.sleep(0)
        # nothing is awaited from here on: the book and the frames sent are of one moment
        return answer({**self._source.state(index), **self._source.book(index)})

    async def _pause(self, request: web.Request) -> web.Response:
        self._clock.pause(time.time_ns())
        return answer(self._venue_state(symbols=False))

    async def _resume(self, request: web.Request) -> web.Response:
        self._clock.resume(time.time_ns())
        return answer(self._venue_state(symbols=False))

    async def _speed(self, request: web.Request) -> web.Response:
        body = json_object(await request.read(), ("speed", "waits_for_readers"))
        speed = body.get("speed")
        if isinstance(speed, bool) or not isinstance(speed, int | float):
            raise ConfigError(f"Expected speed to be a number, was {speed!r}.")
        if not 0 < speed <= FASTEST:
            raise ConfigError(f"Expected speed above 0 and at most {FASTEST}, was {speed!r}.")
        waits = body.get("waits_for_readers", True)
        if not isinstance(waits, bool):
            raise ConfigError(f"Expected waits_for_readers to be true or false, was {waits!r}.")
        self._clock.change_speed(float(speed), time.time_ns())
        self.waits_for_readers = waits
        return answer(self._venue_state(symbols=False))

    async def _stop_market(self, request: web.Request) -> web.Response:
        self.stopped = True
        return answer(self._venue_state(symbols=False))

    def _venue_state(self, symbols: bool = True) -> dict[str, Any]:
        state: dict[str, Any] = {
            "market_ms": self._clock.now(time.time_ns()) // 1_000_000,
            "speed": self._clock.speed,
            "waits_for_readers": self.waits_for_readers,
            "paused": self._clock.paused,
            "stopped": self.stopped,
            "connections": len(self._hub.connections),
            "messages": self._hub.messages,
            "unsent_bytes": self._hub.unsent_bytes,
            "slow_clients": self._hub.slow_clients,
            "closed_by_fault": self._hub.closed_by_fault,
            "unknown_streams": self._hub.unknown_streams,
            "used_weight": self._rest.meter.used,
            "refused_requests": self._rest.meter.refused,
            "withheld": self._hub.withheld,
            "faults": self._hub.faults.state(None),
            "lasting_faults": self._hub.faults.lasting(time.monotonic()),
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
