"""The outermost layer of the API: a bound on requests at once, headers, the last resort."""

import logging
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve import problems

log = logging.getLogger(__name__)

NO_LIMIT: Final = frozenset({"/healthz"})
"""A busy process is not a dead one."""

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


class Guard:
    """Answers 429 past `max_requests` at once, 413 past `max_body_bytes`, and 500 to defects.

    A replica runs on one event loop, so a plain counter is exact.
    """

    def __init__(self, app: ASGIApp, max_requests: int, max_body_bytes: int) -> None:
        self._app = app
        self._max_requests = max_requests
        self._max_body_bytes = max_body_bytes
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        if self._requests >= self._max_requests and scope["path"] not in NO_LIMIT:
            answer = problems.overloaded(self._max_requests).response(scope["path"])
            await answer(scope, receive, send_with_headers)
            return
        self._requests += 1
        try:
            await self._app(scope, self._bounded(receive), send_with_headers)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:  # half an answer is out: only a broken connection tells the truth
                raise
            answer = problems.internal().response(scope["path"])
            await answer(scope, receive, send_with_headers)
        finally:
            self._requests -= 1

    def _bounded(self, receive: Receive) -> Receive:
        """Count the body as it comes in: a client need not announce its length."""
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise problems.too_large(self._max_body_bytes)
            return message

        return receive_bounded


def _add_headers(headers: MutableHeaders, path: str) -> None:
    is_page = path in {"/", "/docs", "/portfolio"}
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Content-Security-Policy"] = PAGE_POLICY if is_page else DATA_POLICY
    # Files may be kept but are asked for again (they have an ETag); data is never kept.
    is_file = is_page or path.startswith("/ui/")
    headers["Cache-Control"] = "no-cache" if is_file else "no-store"
