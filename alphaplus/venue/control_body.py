"""What a request to the control side carries, and how it is refused: a 400 of one sentence."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web

from alphaplus.errors import ConfigError
from alphaplus.venue.rest import answer

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answering(handler: Handler) -> Handler:
    """Return `handler` with a ConfigError of it as a 400 of one sentence."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ConfigError as error:
            refused = answer({"error": str(error)})
            refused.set_status(400)
            return refused

    return handle


def json_object(raw: bytes, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a body that is a JSON object, with no other fields than these if they are given."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"Expected a JSON object, was no JSON ({error}).") from error
    if not isinstance(body, dict):
        raise ConfigError(f"Expected a JSON object, was {type(body).__name__}.")
    unknown = [] if fields is None else [name for name in body if name not in fields]
    if fields is not None and unknown:
        raise ConfigError(f"Expected the fields {', '.join(fields)}, was {unknown[0]!r} too.")
    return body
