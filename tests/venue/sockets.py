"""A venue in this process and a plain WebSocket client of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson

from alphaplus.venue.server import VenueServer
from alphaplus.venue.source import Source


@asynccontextmanager
async def running(source: Source, speed: float = 1.0) -> AsyncIterator[VenueServer]:
    """Run a venue on a free port for the length of a block."""
    server = VenueServer(source, speed=speed)
    await server.start()
    pump = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError):
            await pump
        await server.stop()


@asynccontextmanager
async def connected(
    server: VenueServer, path: str = "/ws"
) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]]:
    """Open one socket and a session for REST, with relative URLs."""
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.ws_connect(path, max_msg_size=0) as socket,
    ):
        yield session, socket


async def get(session: aiohttp.ClientSession, path: str, **query: Any) -> Any:
    """Return the JSON of a GET, whatever its status."""
    async with session.get(path, params=query) as response:
        return orjson.loads(await response.read())


async def post(session: aiohttp.ClientSession, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and JSON of a POST."""
    async with session.post(path, data=orjson.dumps(body)) as response:
        return response.status, orjson.loads(await response.read())


async def next_event(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """Return the next bare event of a kind; others are skipped."""
    while True:
        event = orjson.loads(await socket.receive_str(timeout=20))
        if event.get("e") == kind:
            return dict(event)
