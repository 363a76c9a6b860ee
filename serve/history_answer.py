"""Rows of the history as HTTP answers: a page at once, or a whole range as it is read."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson
from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from serve.history_formats import MEDIA_TYPES
from serve.history_view import HistoryView

if TYPE_CHECKING:
    from alphaplus.storage.history_query import Cursor, HistoryQuery
    from alphaplus.storage.history_reader import Page, Piece

PAGE_BYTES: Final = 32 * 2**20
"""Rows that one page of a bulk format holds in memory, at most."""


def page_response(request: Request, query: "HistoryQuery", page: "Page", form: str) -> Response:
    """Return one page; the next one is named in the Link header and, in JSON, in `next`."""
    cursor = None if page.next is None else page.next.to_text(query)
    body = _json(query, page, cursor) if form == "json" else _encoded(query, page, form)
    answer = Response(body, headers=_headers(query, form), media_type=MEDIA_TYPES[form])
    if cursor is not None:
        pairs = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
        target = f"{request.url.path}?{urlencode([*pairs, ('cursor', cursor)])}"
        answer.headers["Link"] = f'<{target}>; rel="next"'
    return answer


def page_rows(query: "HistoryQuery", limit: int) -> int:
    """Return how many rows a page of a bulk format has at most."""
    from alphaplus.storage.copy_rows import layout_of

    return min(limit, max(PAGE_BYTES // layout_of(query.table).dtype.itemsize, 1))


class StreamedRows(StreamingResponse):
    """All rows of a range, encoded while they are read; memory holds one piece.

    The connection is taken and the first rows are read before the answer begins, so that what
    fails by then is a problem. What fails later breaks the answer off.
    """

    def __init__(
        self, history: HistoryView, query: "HistoryQuery", cursor: "Cursor | None", form: str
    ) -> None:
        super().__init__(iter(()), headers=_headers(query, form), media_type=MEDIA_TYPES[form])
        self._history = history
        self._query = query
        self._cursor = cursor
        self._form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from alphaplus.storage.history_reader import stream_rows

        async with self._history.connection() as connection:
            rows = stream_rows(connection, self._query, cursor=self._cursor)
            first = await anext(rows, None)
            self.body_iterator = self._body(first, rows)
            await super().__call__(scope, receive, send)

    async def _body(
        self, first: "Piece | None", rows: AsyncIterator["Piece"]
    ) -> AsyncIterator[bytes]:
        from alphaplus.storage.history_formats import encoder_of

        encoder = encoder_of(self._form, self._query)
        if first is not None:
            yield await asyncio.to_thread(encoder.add, first)
            async for piece in rows:
                yield await asyncio.to_thread(encoder.add, piece)
        yield encoder.finish()


def _headers(query: "HistoryQuery", form: str) -> dict[str, str]:
    from alphaplus.storage.history_formats import ENDINGS

    headers = {"Vary": "Accept"}
    if form != "json":
        name = f"{query.table}.{ENDINGS[form]}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return headers


def _json(query: "HistoryQuery", page: "Page", cursor: str | None) -> bytes:
    from alphaplus.storage.history_records import records_of

    rows = [record for piece in page.pieces for record in records_of(piece, query)]
    answer: dict[str, Any] = {
        "table": query.table,
        "start": query.start_ns,
        "end": query.end_ns,
        "count": len(rows),
        "next": cursor,
        "rows": rows,
    }
    return orjson.dumps(answer)


def _encoded(query: "HistoryQuery", page: "Page", form: str) -> bytes:
    from alphaplus.storage.history_formats import encoder_of

    encoder = encoder_of(form, query)
    return b"".join([*(encoder.add(piece) for piece in page.pieces), encoder.finish()])
