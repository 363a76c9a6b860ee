"""Rows summed up by interval: trades to bars, measures to mean, least, greatest and last.

An interval begins at a multiple of its length since 1970 UTC. One without rows has no bar. SQL sums
up what it sees; intervals up to the last archived row are read and summed up here.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from alphaplus.errors import StorageError
from alphaplus.storage.archive_extent import newest_archived
from alphaplus.storage.bar_sums import TRADE_COLUMNS, MeasureBars, TradeBars
from alphaplus.storage.copy_rows import check_columns
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import stream_rows
from alphaplus.storage.queries import to_datetime, to_ns
from alphaplus.storage.series_reader import SeriesReader
from alphaplus.storage.tables import TABLES, Type

TRADES: Final = "market_trades"
MEASURES: Final = "market_depth_analysis"
BAR_TABLES: Final = (TRADES, MEASURES)
DEFAULT_MEASURES: Final = ("mid", "spread_bps", "imbalance_5")
MAX_MEASURES: Final = 20
MIN_STEP_NS: Final = 10**9
MAX_STEP_NS: Final = 86_400 * 10**9

_OF_TRADES: Final = """
    count(*) AS trades,
    (array_agg(price ORDER BY time, trade_id))[1] AS open,
    max(price) AS high,
    min(price) AS low,
    (array_agg(price ORDER BY time DESC, trade_id DESC))[1] AS close,
    sum(qty) AS volume,
    coalesce(sum(qty) FILTER (WHERE side = 0), 0) AS buy_volume,
    sum(price * qty) / nullif(sum(qty), 0) AS vwap
"""
_OF_MEASURE: Final = """
    avg({0}) AS {0}_mean,
    min({0}) AS {0}_min,
    max({0}) AS {0}_max,
    (array_agg({0} ORDER BY time DESC) FILTER (WHERE {0} IS NOT NULL))[1] AS {0}_last
"""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars in order, `time` (ns) being where one begins; the next page starts at `next_ns`."""

    rows: list[dict[str, Any]]
    next_ns: int | None


async def read_bars(connection: Any, query: HistoryQuery, step_ns: int, limit: int) -> Bars:
    """Return the bars of one instrument within the range of a query, over `limit` intervals.

    The first interval is that of the first row there. Raises StorageError as `check_bars` does.
    """
    check_bars(query, step_ns)
    first = await _first_time(connection, query, query.start_ns)
    if first is None:
        return Bars([], None)
    begin = first - first % step_ns
    end = min(begin + limit * step_ns, query.end_ns)
    asked = replace(query, start_ns=max(begin, query.start_ns), end_ns=end)
    hot_from = await _hot_from(connection, asked, step_ns)
    rows = []
    if hot_from > asked.start_ns:
        rows += await _summed(connection, replace(asked, end_ns=min(hot_from, end)), step_ns)
    if hot_from < end:
        rows += await _by_sql(connection, replace(asked, start_ns=hot_from), step_ns)
    more = None if end >= query.end_ns else await _first_time(connection, query, end)
    return Bars(rows, None if more is None else more - more % step_ns)


async def _hot_from(connection: Any, query: HistoryQuery, step_ns: int) -> int:
    """Return the beginning of the first interval of which SQL sees all rows."""
    packed = await newest_archived(connection, query, _series(query), 1)
    if packed is None:
        return query.start_ns
    after = packed[1] // step_ns * step_ns + step_ns
    return max(after, query.start_ns)


async def _by_sql(connection: Any, query: HistoryQuery, step_ns: int) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        f"SELECT date_bin($5, time, '1970-01-01 UTC') AS time, {_aggregates(query)} "
        f"FROM {query.table} WHERE exchange = $1 AND symbol = $2 AND time >= $3 AND time < $4 "
        "GROUP BY 1 ORDER BY 1",
        *_series(query),
        to_datetime(query.start_ns),
        to_datetime(query.end_ns),
        to_datetime(step_ns) - to_datetime(0),
    )
    return [{**row, "time": to_ns(row["time"])} for row in rows]


async def _summed(connection: Any, query: HistoryQuery, step_ns: int) -> list[dict[str, Any]]:
    sums: TradeBars | MeasureBars
    if query.table == TRADES:
        query, sums = replace(query, columns=TRADE_COLUMNS), TradeBars(step_ns)
    else:
        columns = bar_columns(query)
        query, sums = replace(query, columns=columns), MeasureBars(step_ns, columns)
    async for piece in stream_rows(connection, query):
        sums.add(piece.rows)
    return sums.bars()


def bar_columns(query: HistoryQuery) -> tuple[str, ...]:
    """Return the measures that a query's bars are made of."""
    return query.columns or DEFAULT_MEASURES


def check_bars(query: HistoryQuery, step_ns: int) -> None:
    """Raise StorageError for a table, a step or columns of which there are no bars."""
    if query.table not in BAR_TABLES:
        raise StorageError(
            f"Expected a table that has bars ({', '.join(BAR_TABLES)}), was {query.table}; "
            "read its rows."
        )
    if query.exchange is None or len(query.symbols) != 1:
        raise StorageError("Expected one exchange and one symbol, as bars are of one instrument.")
    if not MIN_STEP_NS <= step_ns <= MAX_STEP_NS or step_ns % MIN_STEP_NS:
        raise StorageError(
            f"Expected a step of whole seconds from 1s to 1d, was {step_ns / 1e9:g} s."
        )
    if query.table == TRADES and query.columns:
        raise StorageError("Expected no columns for bars of trades; leave columns out.")
    if len(bar_columns(query)) > MAX_MEASURES:
        raise StorageError(f"Expected at most {MAX_MEASURES} columns; ask in parts.")
    if query.table == MEASURES:
        spec = TABLES[MEASURES]
        check_columns(spec, bar_columns(query))
        numbers = {column.name for column in spec.columns if column.type is Type.FLOAT8}
        other = [name for name in bar_columns(query) if name not in numbers]
        if other:
            raise StorageError(f"Expected columns that are measures, was {other[0]}.")


def _aggregates(query: HistoryQuery) -> str:
    if query.table == TRADES:
        return _OF_TRADES
    each = (_OF_MEASURE.format(name) for name in bar_columns(query))
    return ", ".join(("count(*) AS rows", *each))


async def _first_time(connection: Any, query: HistoryQuery, start_ns: int) -> int | None:
    """Return the time of the first row of the instrument from a time on."""
    later = replace(query, start_ns=start_ns, columns=("time",))
    rows = await SeriesReader(connection, later, _series(query)).after(None, 1)
    return int(rows["time"][0]) if len(rows) else None


def _series(query: HistoryQuery) -> tuple[str, str]:
    assert query.exchange is not None  # as checked
    return query.exchange, query.symbols[0]
