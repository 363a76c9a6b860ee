"""What is stored: rows of every table by range, their sums by interval, and the newest ones."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serve import problems
from serve.deps import Record
from serve.history_answer import StreamedRows, page_response, page_rows
from serve.history_formats import MEDIA_TYPES, negotiated
from serve.history_latest import newest_rows
from serve.history_schemas import HistoryBars, HistoryRows, NewestRows, StoredTables
from serve.history_view import History, check_table, checked
from serve.schemas import problem_answers

if TYPE_CHECKING:
    from alphaplus.storage.history_query import HistoryQuery

router = APIRouter(prefix="/v1/history", tags=["history"])

PROBLEMS = problem_answers(404, 406, 422)
JSON_ROWS: Final = 1000
MAX_JSON_ROWS: Final = 10_000
MAX_LIMIT: Final = 1_000_000
MAX_BARS: Final = 10_000
STEPS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORMATS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The rows in the format asked for.",
        "content": {media: {} for name, media in MEDIA_TYPES.items() if name != "json"},
    }
}


class InstrumentQuery(BaseModel):
    """Unknown parameters are refused, since a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = Field(None, description="Which exchange; all if unset.", max_length=255)
    start: str | None = Field(
        None, description="First time: ISO 8601 (UTC without a zone), or ns since 1970 UTC."
    )
    end: str | None = Field(None, description="End of the range, not included; now if unset.")
    columns: str | None = Field(
        None, description="Columns besides time, exchange and symbol, with commas; all if unset."
    )


class RowsQuery(InstrumentQuery):
    symbol: list[str] = Field(
        default_factory=list,
        description="Which symbols, given several times or with commas; all if unset.",
        max_length=1000,
    )
    limit: int | None = Field(
        None,
        description=f"Rows of a page. JSON: {JSON_ROWS} if unset, at most {MAX_JSON_ROWS}. Other "
        "formats stream the whole range if unset; a page may have fewer, go on while there is "
        "a next one.",
        ge=1,
        le=MAX_LIMIT,
    )
    cursor: str | None = Field(
        None, description="Where to go on, as the last page said.", max_length=2000
    )
    format: str | None = Field(
        None, description="json, arrow, parquet or csv; by the Accept header if unset."
    )


class BarsQuery(InstrumentQuery):
    exchange: str = Field(description="Which exchange.", max_length=255)
    symbol: str = Field(description="Which symbol.", max_length=255)
    step: str = Field("1m", description="Length of an interval, such as 1s, 5m, 1h, 1d.")
    limit: int = Field(1000, description="Intervals of a page.", ge=1, le=MAX_BARS)


class LatestQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    symbol: str = Field(description="Which symbol.", min_length=1, max_length=255)
    exchange: str | None = Field(
        None, description="Which exchange; the first that lists it if unset.", max_length=255
    )
    n: int = Field(100, description="How many rows.", ge=1, le=MAX_JSON_ROWS)


@router.get("", response_model=StoredTables, responses=problem_answers())
async def list_tables(history: History) -> Record:
    """The tables, their columns with units, and from when to when they have rows."""
    from alphaplus.storage.catalogue import describe_tables

    async with history.connection() as connection:
        found = await describe_tables(connection)
    tables = [
        {
            "table": item.name,
            "about": item.about,
            "key": item.key,
            "oldest": item.extent.oldest_ns,
            "newest": item.extent.newest_ns,
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "nullable": column.nullable,
                    "meaning": column.meaning,
                }
                for column in item.columns
            ],
        }
        for item in found
    ]
    return {"count": len(tables), "tables": tables}


@router.get("/{table}", response_model=HistoryRows, responses={**PROBLEMS, **_FORMATS})
async def get_rows(
    table: str, request: Request, history: History, query: Annotated[RowsQuery, Query()]
) -> Response:
    """Rows of a table by exchange, symbol and time; JSON, Arrow IPC stream, Parquet or CSV."""
    from alphaplus.storage.history_query import Cursor
    from alphaplus.storage.history_reader import read_page

    form = negotiated(request.headers.get("accept"), query.format)
    symbols = [name for item in query.symbol for name in item.split(",")]
    asked = _asked(table, query, symbols, history)
    cursor = None
    if query.cursor is not None:
        with checked("cursor"):
            cursor = Cursor.from_text(query.cursor, asked)
            asked = cursor.resumed(asked)
    if form != "json" and query.limit is None:
        return StreamedRows(history, asked, cursor, form)
    async with history.connection() as connection:
        page = await read_page(connection, asked, _limit(asked, form, query.limit), cursor)
        if not page.pieces and cursor is None:
            await history.require_known(connection, asked)
    return await asyncio.to_thread(page_response, request, asked, page, form)


@router.get("/{table}/bars", response_model=HistoryBars, responses=PROBLEMS)
async def get_bars(table: str, history: History, query: Annotated[BarsQuery, Query()]) -> Record:
    """Open, high, low, close and volume of trades, or mean, least, greatest and last of measures,
    by interval."""
    from alphaplus.storage.bars import check_bars, read_bars

    step_ns = _step_ns(query.step)
    asked = _asked(table, query, [query.symbol], history)
    with checked():
        check_bars(asked, step_ns)
    async with history.connection() as connection:
        bars = await read_bars(connection, asked, step_ns, query.limit)
        if not bars.rows:
            await history.require_known(connection, asked)
    return {
        "table": table,
        "exchange": query.exchange,
        "symbol": query.symbol,
        "step_s": step_ns // 10**9,
        "count": len(bars.rows),
        "next": bars.next_ns,
        "bars": bars.rows,
    }


@router.get("/{table}/latest", response_model=NewestRows, responses=PROBLEMS)
async def get_latest(
    table: str, history: History, query: Annotated[LatestQuery, Query()]
) -> Record:
    """The newest rows of one instrument, from memory where it has them, else by SQL."""
    check_table(table)
    return await newest_rows(history, table, query.symbol, query.exchange, query.n)


def _asked(
    table: str, query: InstrumentQuery, symbols: list[str], history: History
) -> "HistoryQuery":
    """Return the question; raises the problem that says what is wrong with it."""
    from alphaplus.storage.history_query import HistoryQuery
    from alphaplus.storage.tables import MIN_TIME_NS
    from alphaplus.storage.time_text import time_ns_of

    check_table(table)
    names = () if query.columns is None else tuple(map(str.strip, query.columns.split(",")))
    with checked("start"):
        start = MIN_TIME_NS if query.start is None else time_ns_of("start", query.start)
    with checked("end"):
        now = history.fleet.now_ns()
        end = now if query.end is None else time_ns_of("end", query.end)
    with checked():
        return HistoryQuery(
            table=table,
            exchange=query.exchange,
            symbols=tuple(dict.fromkeys(symbols)),
            start_ns=start,
            end_ns=end,
            columns=names,
        )


def _limit(asked: "HistoryQuery", form: str, limit: int | None) -> int:
    if form != "json":
        return page_rows(asked, limit or MAX_LIMIT)
    if limit is not None and limit > MAX_JSON_ROWS:
        raise problems.invalid(
            [
                {
                    "field": "limit",
                    "detail": f"Expected query parameter limit to be at most {MAX_JSON_ROWS} for "
                    f"JSON, was {limit}; read in pages, or take another format.",
                }
            ]
        )
    return limit or JSON_ROWS


def _step_ns(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 7 and unit in STEPS):
        raise problems.invalid(
            [
                {
                    "field": "step",
                    "detail": "Expected query parameter step like 1s, 5m, 1h or 1d, was "
                    f"{problems.shown(text)}.",
                }
            ]
        )
    return int(number) * STEPS[unit] * 10**9
