"""Write a range of stored rows to files, one for each instrument and UTC day."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from alphaplus.errors import StorageError
from alphaplus.storage.export_folder import ExportedFile, ExportFolder, path_of
from alphaplus.storage.history_formats import ENDINGS, encoder_of
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import Piece, stream_rows
from alphaplus.storage.queries import to_datetime, to_ns
from alphaplus.storage.series import Series, series_of

DAY_NS: Final = 86_400 * 10**9

Tell = Callable[[ExportedFile], None]
"""Hears of every finished file."""


def question_of(queries: Sequence[HistoryQuery], form: str) -> dict[str, Any]:
    """Return what an export is asked for; it stands in the manifest. Times are ns."""
    first = queries[0]
    return {
        "format": form,
        "tables": [query.table for query in queries],
        "exchange": first.exchange,
        "symbols": list(first.symbols),
        "start": first.start_ns,
        "end": first.end_ns,
    }


async def require_known(connection: Any, queries: Sequence[HistoryQuery]) -> None:
    """Raise StorageError for a symbol of which none of the tables has a row."""
    known: set[str] = set()
    for query in queries:
        known |= {symbol for _, symbol in await series_of(connection, replace(query, symbols=()))}
    unknown = [symbol for symbol in queries[0].symbols if symbol not in known]
    if unknown:
        raise StorageError(
            f"Nothing of {unknown[0]} is stored in {', '.join(query.table for query in queries)}; "
            f"there are {', '.join(sorted(known)[:20]) or 'no rows'}."
        )


async def export(
    connection: Any,
    queries: Sequence[HistoryQuery],
    folder: ExportFolder,
    *,
    form: str,
    tell: Tell,
) -> None:
    """Export the queries, which differ in their tables only; memory holds one piece of rows.

    Goes on after the files that `folder` has already, with the end that it had when it began.
    """
    for query in queries:
        asked = replace(query, end_ns=folder.question["end"])
        for series in await series_of(connection, asked):
            await _export_series(connection, asked, series, folder, form=form, tell=tell)


async def _export_series(
    connection: Any,
    query: HistoryQuery,
    series: Series,
    folder: ExportFolder,
    *,
    form: str,
    tell: Tell,
) -> None:
    done = [
        file.day
        for file in folder.files
        if (file.table, file.exchange, file.symbol) == (query.table, *series)
    ]
    start = max([query.start_ns, *(_begin_of(day) + DAY_NS for day in done)])
    if start >= query.end_ns:
        return
    asked = replace(query, exchange=series[0], symbols=(series[1],), start_ns=start)
    day: _DayFile | None = None
    try:
        async for part in _by_day(stream_rows(connection, asked)):
            name = _day_of(part)
            if day is not None and day.day != name:
                tell(await asyncio.to_thread(day.finish))
                day = None
            if day is None:
                day = _DayFile(folder, asked, form, name)
            await asyncio.to_thread(day.add, part)
        if day is not None:
            tell(await asyncio.to_thread(day.finish))
            day = None
    finally:
        if day is not None:
            day.abandon()


async def _by_day(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Cut pieces where a day ends."""
    async for piece in pieces:
        cuts = np.flatnonzero(np.diff(piece.rows["time"] // DAY_NS)) + 1
        for rows in np.split(piece.rows, cuts):
            yield Piece(piece.exchange, piece.symbol, rows)


class _DayFile:
    """The file of one day; without `finish`, it was never there."""

    def __init__(self, folder: ExportFolder, query: HistoryQuery, form: str, day: str) -> None:
        assert query.exchange is not None  # one instrument, as it was asked
        self.day = day
        self._folder = folder
        self._names = (query.table, query.exchange, query.symbols[0])
        self._path = path_of(*self._names, f"{day}.{ENDINGS[form]}")
        self._encoder = encoder_of(form, query)
        self._rows = 0
        self._file = folder.open(self._path)

    def add(self, piece: Piece) -> None:
        """Write rows of the day."""
        self._file.write(self._encoder.add(piece))
        self._rows += len(piece)

    def finish(self) -> ExportedFile:
        """Complete the file, give it its name, and note it."""
        self._file.write(self._encoder.finish())
        checksum = self._file.commit()
        table, exchange, symbol = self._names
        done = ExportedFile(
            path=self._path.as_posix(),
            table=table,
            exchange=exchange,
            symbol=symbol,
            day=self.day,
            rows=self._rows,
            bytes=self._file.size,
            sha256=checksum,
        )
        self._folder.add(done)
        return done

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.abandon()


def _day_of(piece: Piece) -> str:
    return to_datetime(int(piece.rows["time"][0])).date().isoformat()


def _begin_of(day: str) -> int:
    return to_ns(datetime.fromisoformat(day).replace(tzinfo=UTC))
