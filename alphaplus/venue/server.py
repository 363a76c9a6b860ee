"""The server: routes, sockets, and the pump that moves the market."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from alphaplus.errors import ConfigError
from alphaplus.venue import protocol
from alphaplus.venue.clock import MarketClock
from alphaplus.venue.control import ControlApi
from alphaplus.venue.fault_control import FaultControl
from alphaplus.venue.fault_rest import rest_faults
from alphaplus.venue.fault_schedule import PlannedFault
from alphaplus.venue.faults import FaultKind
from alphaplus.venue.history_rest import HistoryApi
from alphaplus.venue.hub import Connection, Hub
from alphaplus.venue.market_control import MarketControl
from alphaplus.venue.protocol import Channel
from alphaplus.venue.rest import RestApi
from alphaplus.venue.source import Source

log = logging.getLogger(__name__)

MIN_TURN_S: Final = 0.002
"""Frames due within such a turn are written together."""
MAX_TURN_S: Final = 0.02
MARK_PRICE_S: Final = 1.0
_SOCKET_PATH: Final = r"/{route:(?:(?:public|market)/)?(?:ws|stream)}{streams:(?:/.*)?}"


class VenueServer:
    """A venue on one address: `await start()`, then `url`; `await run()` until it fails."""

    def __init__(self, source: Source, *, speed: float = 1.0) -> None:
        self._source = source
        self._clock = MarketClock(speed, time.time_ns())
        self._hub = Hub(source)
        self._rest = RestApi(source, self._hub)
        self._control = ControlApi(source, self._hub, self._rest, self._clock)
        self._faults = FaultControl(self._hub, [listing.symbol for listing in source.listings])
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._address = ("", 0)
        self.url = ""
        """Where it listens, http://host:port, once started."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any free one. Raises ConfigError if it is not to be had."""
        app = web.Application(middlewares=[rest_faults(self._hub.faults)])
        app.add_routes(self._rest.routes())
        app.add_routes(HistoryApi(self._source, self._rest).routes())
        app.add_routes(self._control.routes())
        app.add_routes(self._faults.routes())
        app.add_routes(MarketControl(self._source, self._hub, self._clock).routes())
        app.router.add_get(_SOCKET_PATH, self._socket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, host, port)
        try:
            await self._site.start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"The local venue cannot listen on {host}:{port} ({error}); "
                "free the port or choose another."
            ) from error
        self._address = bound_host, bound_port = self._runner.addresses[0][:2]
        self.url = f"http://{bound_host}:{bound_port}"

    def follow(self, planned: Sequence[PlannedFault]) -> None:
        """Commit faults at their times, counted from now."""
        self._faults.follow(planned, time.monotonic())

    async def stop(self) -> None:
        """Close all sockets and stop listening."""
        for connection in list(self._hub.connections):
            connection.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def run(self) -> None:
        """Move the market and send what it says, until cancelled."""
        mark_due = time.monotonic()
        while True:
            wall_ns = time.time_ns()
            wait_s = MAX_TURN_S
            now = time.monotonic()
            self._faults.commit_due(now)
            self._hub.begin_turn(now)
            await self._listen_or_not(now)
            if self._control.stopped or self._must_wait():
                self._clock.hold(wall_ns)
            else:
                market_ns = self._clock.now(wall_ns)
                due_ns = self._source.advance(market_ns, wall_ns, self._hub.publish)
                wait_s = (due_ns - market_ns) / 1e9 / self._clock.speed
                if time.monotonic() >= mark_due and not self._clock.paused:
                    mark_due = time.monotonic() + MARK_PRICE_S
                    self._publish_mark_prices(wall_ns)
            self._hub.flush()
            await asyncio.sleep(min(MAX_TURN_S, max(MIN_TURN_S, wait_s)))

    def _must_wait(self) -> bool:
        """Tell whether the market is to stand still until its readers have caught up."""
        return self._clock.speed > 1 and self._control.waits_for_readers and self._hub.is_busy()

    async def _listen_or_not(self, now: float) -> None:
        """Be away while an outage lasts: no listener, no connection; then be back."""
        assert self._runner is not None
        is_out = self._hub.faults.now(FaultKind.OUTAGE, now) is not None
        if is_out and self._site is not None:
            site, self._site = self._site, None
            await site.stop()
            assert self._runner.server is not None
            for handler in self._runner.server.connections:
                if handler.transport is not None:
                    handler.transport.abort()
        elif not is_out and self._site is None:
            back = web.TCPSite(self._runner, *self._address, reuse_address=True)
            try:
                await back.start()
            except OSError as error:  # somebody has the port; it is tried with every turn
                await back.stop()
                log.error("the venue cannot listen again: %s", error)
                return
            self._site = back

    def _publish_mark_prices(self, wall_ns: int) -> None:
        if self._source.has_mark_price:
            return
        for index, listing in enumerate(self._source.listings):
            if self._hub.listens(index, Channel.MARK_PRICE):
                ticker = self._source.ticker(index, wall_ns)
                payload = protocol.mark_price(listing, ticker)
                self._hub.publish(index, Channel.MARK_PRICE, payload)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        # Compression is offered by clients and declined here: on one machine it only costs CPU.
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        if request.transport is None:  # gone during the handshake
            return socket
        combined = request.match_info["route"].endswith("stream")
        connection = Connection(request.transport, combined)
        self._hub.connections.add(connection)
        names = request.match_info["streams"].split("/") + request.query.get("streams", "").split(
            "/"
        )
        # ccxt numbers its sockets in the path, /ws/3: what is no stream is no error there
        streams = [name for name in names if "@" in name]
        try:
            self._hub.subscribe(connection, streams, self._clock.now(time.time_ns()))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    reply = self._answer(connection, message.data)
                    self._hub.flush()
                    await socket.send_str(reply)
        except ConnectionError:
            log.info("a client went away while it was answered")
        finally:
            self._hub.remove(connection)
        return socket

    def _answer(self, connection: Connection, text: str) -> str:
        """Carry out one request of a socket and return the acknowledgement."""
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return _socket_error(None, 3, f"Invalid JSON: {error}")
        if not isinstance(request, dict):
            return _socket_error(None, 2, "Invalid request: expected an object")
        number, method, names = request.get("id"), request.get("method"), request.get("params", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return _socket_error(number, 2, "Invalid request: params must be a list of strings")
        result: Any = None
        if method == "SUBSCRIBE":
            self._hub.subscribe(connection, names, self._clock.now(time.time_ns()))
        elif method == "UNSUBSCRIBE":
            self._hub.unsubscribe(connection, names)
        elif method == "LIST_SUBSCRIPTIONS":
            result = list(connection.streams)
        else:
            return _socket_error(number, 2, f"Invalid request: unknown method {method!r}")
        return orjson.dumps({"result": result, "id": number}).decode()


def _socket_error(number: Any, code: int, message: str) -> str:
    return orjson.dumps({"error": {"code": code, "msg": message}, "id": number}).decode()
