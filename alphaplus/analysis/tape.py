"""One piece of one market's stream, sorted by what it says: what streaming measures take.

A tape holds, each in the order of arrival, the best quotes, the trades and the best levels
after each message of the book. How a stream is cut into tapes changes no measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.book.best_levels import BEST_LEVELS, BestLevelsArray
from alphaplus.book.quotes import QUOTE, QuoteArray
from alphaplus.rows import join_rows

__all__ = ["QUOTE", "TRADE", "DayVolume", "QuoteArray", "Tape", "TradeArray"]

TradeArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `TRADE`."""

TRADE: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("trade_id", "<i8"),
        ("price_tick", "<i8"),
        ("quantity", "<f8"),
        ("side", "i1"),  # of the aggressor: +1 buyer, -1 seller, 0 unknown
        ("off_market", "u1"),  # 1: no market order made it; no aggressor statistics
    ],
    align=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayVolume:
    """What the venue says was traded in the last 24 hours; None for what it does not say."""

    volume: float | None = None
    """Base units."""
    turnover: float | None = None
    """Quote currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """What happened in one market between two moments. Times are ns, prices ticks."""

    quotes: QuoteArray
    trades: TradeArray
    best_levels: BestLevelsArray
    ts_event: int
    """The newest venue time that the stream has shown so far; it never goes back."""

    @classmethod
    def of(
        cls,
        *,
        quotes: QuoteArray | None = None,
        trades: TradeArray | None = None,
        best_levels: BestLevelsArray | None = None,
        ts_event: int | None = None,
    ) -> "Tape":
        """Build a tape from what there is; `ts_event` defaults to the newest time inside."""
        parts = (
            np.empty(0, QUOTE) if quotes is None else quotes,
            np.empty(0, TRADE) if trades is None else trades,
            np.empty(0, BEST_LEVELS) if best_levels is None else best_levels,
        )
        if ts_event is None:
            ts_event = max((int(part["ts_event"].max()) for part in parts if len(part)), default=0)
        return cls(quotes=parts[0], trades=parts[1], best_levels=parts[2], ts_event=ts_event)

    @classmethod
    def joined(cls, tapes: Sequence["Tape"]) -> "Tape":
        """Return the tape of one or more that follow each other."""
        if len(tapes) == 1:
            return tapes[0]
        return cls(
            quotes=join_rows([tape.quotes for tape in tapes]),
            trades=join_rows([tape.trades for tape in tapes]),
            best_levels=join_rows([tape.best_levels for tape in tapes]),
            ts_event=tapes[-1].ts_event,
        )
