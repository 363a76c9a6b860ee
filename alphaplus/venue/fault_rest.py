"""REST requests while a fault lasts: late, failing, refused, or stamped by a wrong clock."""

import asyncio
import time
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from alphaplus.venue.faults import FaultKind, FaultOrder, Faults
from alphaplus.venue.protocol import error
from alphaplus.venue.wrong_frames import restamped

_PREFIXES = ("/fapi/", "/futures/")


def rest_faults(faults: Faults) -> Middleware:
    """Return what stands before the REST side; control and sockets are left alone."""

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(_PREFIXES):
            return await handler(request)
        now = time.monotonic()
        slow = _count(faults, FaultKind.SLOW_REST, now)
        if slow is not None:
            await asyncio.sleep(slow.delay_s)
        limited = _count(faults, FaultKind.RATE_LIMIT, now)
        if limited is not None:
            return _refused(limited)
        failing = _count(faults, FaultKind.FAILING_REST, now)
        if failing is not None:
            phrase = HTTPStatus(failing.status).phrase if failing.status in _KNOWN else "Error"
            return web.Response(status=failing.status, text=f"<html>{phrase}</html>")
        answered = await handler(request)
        skew = faults.now(FaultKind.CLOCK_SKEW, now)
        body = answered.body if isinstance(answered, web.Response) else None
        if skew is not None and isinstance(answered, web.Response) and isinstance(body, bytes):
            answered.body = restamped(body, skew.skew_s)
        return answered

    return handle


_KNOWN = frozenset(status.value for status in HTTPStatus)


def _count(faults: Faults, kind: FaultKind, now: float) -> FaultOrder | None:
    order = faults.now(kind, now)
    if order is not None:
        faults.committed[None, kind] += 1
    return order


def _refused(order: FaultOrder) -> web.Response:
    """Return a refusal as Binance gives it: 429 for too many, 418 for those who went on."""
    banned = order.status == HTTPStatus.IM_A_TEAPOT
    words = "Way too many requests; IP banned." if banned else "Too many requests."
    return web.Response(
        body=error(-1003, words),
        status=order.status,
        content_type="application/json",
        headers={"Retry-After": str(order.retry_after_s)},
    )
