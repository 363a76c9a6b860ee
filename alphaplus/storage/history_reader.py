"""The one way to read stored rows: in pages or as a stream, over hot rows and archive alike.

Rows come instrument by instrument (by exchange, then symbol), each in the order of its key. A
page is read anew from the database after the key of the last one, so nothing stays open between
pages, memory holds one page however long the range is, and no row is skipped or comes twice
while others arrive, are archived or are dropped.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from alphaplus.storage.copy_rows import layout_of
from alphaplus.storage.history_query import Cursor, HistoryQuery
from alphaplus.storage.row_order import key_of
from alphaplus.storage.series import series_of
from alphaplus.storage.series_reader import SeriesReader
from alphaplus.storage.tables import Column, RowArray, Type

PIECE_BYTES: Final = 8 * 2**20
"""Rows of a stream that are in memory at once, roughly."""
MAX_PIECE_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one instrument in order; never empty."""

    exchange: str
    symbol: str
    rows: RowArray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of an answer, and where it goes on (None: that was all)."""

    pieces: list[Piece]
    next: Cursor | None

    def __len__(self) -> int:
        return sum(map(len, self.pieces))


def answered(query: HistoryQuery) -> tuple[Column, ...]:
    """Return the columns of an answer besides time, exchange and symbol, in their order."""
    return tuple(
        column
        for column in layout_of(query.table).columns
        if column.name != "time"
        and column.type is not Type.COUNT
        and (not query.columns or column.name in query.columns)
    )


async def read_page(
    connection: Any, query: HistoryQuery, limit: int, cursor: Cursor | None = None
) -> Page:
    """Return the first `limit` rows of a query, or the first after `cursor`."""
    pieces: list[Piece] = []
    missing = limit + 1  # one more than wanted says whether there are more
    async for piece in stream_rows(connection, query, cursor=cursor, limit=missing):
        pieces.append(piece)
        missing -= len(piece)
    if missing:
        return Page(pieces, None)
    last = pieces.pop()
    if len(last) > 1:
        pieces.append(Piece(last.exchange, last.symbol, last.rows[:-1]))
    return Page(pieces, cursor_after(pieces[-1], query))


def cursor_after(piece: Piece, query: HistoryQuery) -> Cursor:
    """Return the place after the last row of a piece."""
    return Cursor(
        exchange=piece.exchange,
        symbol=piece.symbol,
        key=key_of(piece.rows, len(piece) - 1, query.spec),
        end_ns=query.end_ns,
    )


async def stream_rows(
    connection: Any,
    query: HistoryQuery,
    *,
    cursor: Cursor | None = None,
    limit: int | None = None,
) -> AsyncIterator[Piece]:
    """Yield all rows of a query (at most `limit`, those after `cursor`) in pieces.

    `connection` is an asyncpg connection that is in no transaction.
    """
    if cursor is not None:
        query = cursor.resumed(query)
    begin = None if cursor is None else (cursor.exchange, cursor.symbol)
    for series in await series_of(connection, query):
        if begin is not None and series < begin:
            continue
        reader = SeriesReader(connection, query, series)
        most = min(max(PIECE_BYTES // reader.layout.dtype.itemsize, 1), MAX_PIECE_ROWS)
        key = cursor.key if cursor is not None and series == begin else None
        while True:
            wanted = most if limit is None else min(most, limit)
            rows = await reader.after(key, wanted)
            if len(rows):
                yield Piece(*series, rows)
            if limit is not None:
                limit -= len(rows)
                if not limit:
                    return
            if len(rows) < wanted:
                break
            key = key_of(rows, len(rows) - 1, query.spec)
