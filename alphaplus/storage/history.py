"""Read histories back as the risk library wants them: candles, funding, open interest, tiers.

`connection` is an asyncpg connection. Times are int64 nanoseconds UTC, a range is [start, end).
Rows come as binary COPY, since a year of candles of 100 symbols is a million rows: parsing
them as one numpy array takes a hundredth of the time of the driver's records.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.instruments import symbol_to_ccxt
from alphaplus.leverage.tier_files import FORMAT, tiers_of
from alphaplus.leverage.tiers import TierBook
from alphaplus.risk.history_files import CandleHistory, FundingHistory, OpenInterestHistory
from alphaplus.storage.copy_rows import copy_rows, layout_of
from alphaplus.storage.history_rows import SECOND_NS, CandleKind
from alphaplus.storage.queries import time_range, to_datetime, to_ns
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS

_PRICES: Final = ("open", "high", "low", "close", "volume")


async def candle_histories(
    connection: Any,
    exchange: str,
    symbols: Sequence[str],
    step_ns: int,
    *,
    start_ns: int = MIN_TIME_NS,
    end_ns: int = MAX_TIME_NS,
    kind: CandleKind = "trade",
) -> dict[str, CandleHistory]:
    """Return the closed candles of each symbol that has any, oldest first, holes left as holes.

    The volume of mark candles is nan. Raises StorageError for a reversed range.
    """
    found = await _columns(
        connection,
        "candles",
        _PRICES,
        (exchange, symbols, start_ns, end_ns),
        condition="AND kind = $5 AND step_s = $6",
        arguments=(kind, step_ns // SECOND_NS),
    )
    return {
        symbol: CandleHistory(times=times, **dict(zip(_PRICES, values, strict=True)))
        for symbol, times, values in found
    }


async def funding_histories(
    connection: Any,
    exchange: str,
    symbols: Sequence[str],
    *,
    start_ns: int = MIN_TIME_NS,
    end_ns: int = MAX_TIME_NS,
) -> dict[str, FundingHistory]:
    """Return the settled funding of each symbol that has any, at the hours of settlement."""
    found = await _columns(
        connection,
        "enhanced_funding_rates",
        ("rate",),
        (exchange, symbols, start_ns, end_ns),
        condition="AND kind = $5",
        arguments=("settled",),
    )
    return {s: FundingHistory(times=times, rates=values[0]) for s, times, values in found}


async def open_interest_histories(
    connection: Any,
    exchange: str,
    symbols: Sequence[str],
    *,
    start_ns: int = MIN_TIME_NS,
    end_ns: int = MAX_TIME_NS,
) -> dict[str, OpenInterestHistory]:
    """Return the open interest of each symbol that has any, from streams and histories alike."""
    found = await _columns(
        connection,
        "open_interest",
        ("oi_base", "oi_usd"),
        (exchange, symbols, start_ns, end_ns),
    )
    return {
        s: OpenInterestHistory(times=times, base=values[0], usd=values[1])
        for s, times, values in found
    }


async def tier_book(connection: Any, exchange: str, at_ns: int) -> TierBook | None:
    """Return the tiers that are in force at a time, of all symbols; None if none are known."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (symbol) symbol, time, effective_to, tiers::text AS tiers, source "
        "FROM leverage_tiers WHERE exchange = $1 AND time <= $2 ORDER BY symbol, time DESC",
        exchange,
        to_datetime(at_ns),
    )
    tables = []
    for row in rows:
        until = row["effective_to"]
        if until is not None and to_ns(until) <= at_ns:
            continue
        since = to_ns(row["time"])
        tables.append(
            {
                "symbol": symbol_to_ccxt(row["symbol"]),
                "effective_from": None if since == MIN_TIME_NS else row["time"].isoformat(),
                "effective_to": None if until is None else until.isoformat(),
                **json.loads(row["tiers"]),
            }
        )
    if not tables:
        return None
    return tiers_of({"format": FORMAT, "venue": exchange, "source": "database", "tables": tables})


async def _columns(
    connection: Any,
    table: str,
    names: Sequence[str],
    span: tuple[str, Sequence[str], int, int],
    *,
    condition: str = "",
    arguments: Sequence[Any] = (),
) -> Iterable[tuple[str, npt.NDArray[np.int64], list[npt.NDArray[np.float64]]]]:
    """Return symbol, times and columns of floats (NULL is nan) of each symbol that has rows."""
    exchange, symbols, start_ns, end_ns = span
    layout = layout_of(table, ("time", *names))
    limits = time_range(start_ns, end_ns)
    found = []
    for symbol in symbols:
        rows = await copy_rows(
            connection,
            layout,
            "WHERE exchange = $1 AND symbol = $2 AND time >= $3 AND time < $4 "
            f"{condition} ORDER BY time",
            *(exchange, symbol, *limits, *arguments),
        )
        if len(rows):
            values = [np.ascontiguousarray(rows[name]) for name in names]
            found.append((symbol, np.ascontiguousarray(rows["time"]), values))
    return found
