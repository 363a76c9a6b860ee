"""Histories as rows: what cannot be stored is left out and counted, and never altered.

Each function returns a batch and how many items it has left out. Keys are what the exchange
said (times of opening, settlements on their grid), so that a history that is loaded again
writes nothing new.
"""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from alphaplus.errors import UnknownSymbol
from alphaplus.instruments import symbol_from_ccxt
from alphaplus.leverage.tier_files import written_table
from alphaplus.leverage.tiers import TierTable
from alphaplus.risk.history_files import CandleHistory, FundingHistory, OpenInterestHistory
from alphaplus.storage.tables import (
    MAX_TIME_NS,
    MIN_TIME_NS,
    NAT,
    TABLES,
    TIERS_BYTES,
    RowArray,
    TableBatch,
)

CandleKind = Literal["trade", "mark"]

SECOND_NS: Final = 10**9
HOUR_NS: Final = 3600 * SECOND_NS
SETTLED_WITHIN_NS: Final = 60 * SECOND_NS
"""Stamps of settlements are late by milliseconds; one this near to a full hour belongs to it."""
HISTORY_SOURCE: Final = b"history"
"""Source of open interest that was asked for afterwards, in the table's key."""


def candle_rows(
    exchange: str,
    symbol: str,
    candles: CandleHistory,
    *,
    step_ns: int,
    kind: CandleKind = "trade",
    source: str,
    recv_ns: int,
) -> tuple[TableBatch, int]:
    """Return rows of closed candles of `step_ns` (whole seconds); the caller drops open ones.

    Left out are candles without a price, with low above high, or off the grid of their step.
    """
    prices = np.stack([candles.open, candles.high, candles.low, candles.close])
    sound = (np.isfinite(prices) & (prices > 0)).all(axis=0)
    sound &= (candles.low <= prices.min(axis=0)) & (candles.high >= prices.max(axis=0))
    sound &= (candles.times % step_ns == 0) & _storable(candles.times)
    rows = TABLES["candles"].rows(int(sound.sum()))
    rows["time"], rows["recv_time"] = candles.times[sound], recv_ns
    rows["kind"], rows["step_s"], rows["source"] = (
        kind.encode(),
        step_ns // SECOND_NS,
        _text(source),
    )
    for name in ("open", "high", "low", "close"):
        rows[name] = getattr(candles, name)[sound]
    if kind == "trade":
        volume = candles.volume[sound]
        rows["volume"] = np.where(np.isfinite(volume) & (volume >= 0), volume, np.nan)
    return TableBatch("candles", exchange, symbol, rows), len(candles) - len(rows)


def funding_rows(
    exchange: str, symbol: str, funding: FundingHistory, *, recv_ns: int
) -> tuple[TableBatch, int]:
    """Return rows of settled funding at the full hour that each stamp belongs to.

    Left out are rates that are no number, and the second of two stamps of one settlement.
    """
    times = settlement_times(funding.times)
    sound = np.isfinite(funding.rates) & _storable(times)
    sound[1:] &= times[1:] != times[:-1]
    rows = TABLES["enhanced_funding_rates"].rows(int(sound.sum()))
    rows["time"], rows["recv_time"], rows["kind"] = times[sound], recv_ns, b"settled"
    rows["rate"], rows["raw_time"] = funding.rates[sound], funding.times[sound]
    return TableBatch("enhanced_funding_rates", exchange, symbol, rows), len(funding) - len(rows)


def settlement_times(stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the full hours (ns) that stamps belong to; a stamp far from one stays as it is."""
    nearest = (stamps + HOUR_NS // 2) // HOUR_NS * HOUR_NS
    times: npt.NDArray[np.int64] = np.where(
        np.abs(stamps - nearest) <= SETTLED_WITHIN_NS, nearest, stamps
    )
    return times


def open_interest_rows(
    exchange: str, symbol: str, history: OpenInterestHistory, *, recv_ns: int
) -> tuple[TableBatch, int]:
    """Return rows of open interest; left out are those that say neither base nor value."""
    base = np.where(np.isfinite(history.base) & (history.base >= 0), history.base, np.nan)
    usd = np.where(np.isfinite(history.usd) & (history.usd >= 0), history.usd, np.nan)
    sound = ~(np.isnan(base) & np.isnan(usd)) & _storable(history.times)
    rows = TABLES["open_interest"].rows(int(sound.sum()))
    rows["time"], rows["recv_time"], rows["source"] = history.times[sound], recv_ns, HISTORY_SOURCE
    rows["oi_base"], rows["oi_usd"] = base[sound], usd[sound]
    return TableBatch("open_interest", exchange, symbol, rows), len(history) - len(rows)


def tier_rows(
    exchange: str, table: TierTable, *, source: str = "", recv_ns: int
) -> tuple[TableBatch | None, int]:
    """Return the row of one symbol's tiers, or None with 1 for a table that cannot be stored.

    That is one whose symbol has no name of ours, or that has more tiers than a row holds.
    """
    said = written_table(table)
    content = {name: said[name] for name in ("unit", "open_interest_caps", "tiers")}
    text = orjson.dumps(content)
    try:
        symbol = symbol_from_ccxt(table.symbol)
    except UnknownSymbol:
        return None, 1
    if len(text) > TIERS_BYTES:
        return None, 1
    rows: RowArray = TABLES["leverage_tiers"].rows(1)
    rows["time"] = MIN_TIME_NS if table.effective_from is None else table.effective_from
    rows["effective_to"] = NAT if table.effective_to is None else table.effective_to
    rows["recv_time"], rows["hash"], rows["tiers"] = recv_ns, table.hash.encode(), text
    rows["source"] = _text(source or table.source or "unknown")
    return TableBatch("leverage_tiers", exchange, symbol, rows), 0


def _storable(times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return (times >= MIN_TIME_NS) & (times < MAX_TIME_NS)


def _text(source: str) -> bytes:
    """Cut a source to what its column holds, at a whole character."""
    return source.encode()[:64].decode(errors="ignore").encode()
