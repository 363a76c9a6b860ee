"""Liquidity of one book for one size, on demand: what an order of that notional meets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.cost import FillCost, cost_of_notional, round_trip_bps
from alphaplus.analysis.depth import DISTANCES_BPS, DepthProfile, depth_profile
from alphaplus.analysis.distance import Distances
from alphaplus.analysis.liquidity_score import (
    DEFAULT_PARAMETERS,
    ScoreParameters,
    Scores,
    liquidity_scores,
)
from alphaplus.analysis.spread import spread_bps
from alphaplus.errors import ConfigError
from alphaplus.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityAnalysis:
    """The liquidity of a book; prices and notionals in quote currency, times in ns."""

    symbol: str
    exchange: str
    ts_event: int
    ts_recv: int
    sequence: int
    notional: float
    """The size that was asked for."""
    mid: float
    spread_bps: float
    depth: DepthProfile
    buy: FillCost
    sell: FillCost
    round_trip_bps: float | None
    """None unless the book fills the notional on both sides."""
    scores: Scores
    """The liquidity score with its components, and those of the bids and the asks."""

    @property
    def truncated(self) -> bool:
        """Whether one of the fills reaches beyond the range that is known."""
        return self.buy.truncated or self.sell.truncated

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        names = ("symbol", "exchange", "ts_event", "ts_recv", "sequence")
        measured = ("notional", "mid", "spread_bps", "round_trip_bps", "truncated")
        return {
            **{name: getattr(self, name) for name in (*names, *measured)},
            "depth": self.depth.as_dict(),
            "buy": self.buy.as_dict(),
            "sell": self.sell.as_dict(),
            "liquidity_score": self.scores.as_dict(),
        }


def analyze_liquidity(
    book: BookLevels,
    notional: float,
    *,
    volume_24h_quote: float | None = None,
    distances_bps: Sequence[float] = DISTANCES_BPS,
    parameters: ScoreParameters = DEFAULT_PARAMETERS,
) -> LiquidityAnalysis:
    """Return what an order of `notional` (quote currency) meets in a book.

    Raises ConfigError unless the notional and the distances are above 0 and finite.
    """
    buy = cost_of_notional(book, Side.ASK, notional)
    sell = cost_of_notional(book, Side.BID, notional)
    if buy is None or sell is None:
        raise ConfigError(f"Expected notional above 0 and finite, was {notional}.")
    return LiquidityAnalysis(
        symbol=book.instrument.symbol,
        exchange=book.instrument.exchange,
        ts_event=book.ts_event,
        ts_recv=book.ts_recv,
        sequence=book.sequence,
        notional=float(notional),
        mid=book.mid,
        spread_bps=spread_bps(book.bid_tick, book.ask_tick),
        depth=depth_profile(book, Distances("distances_bps", distances_bps)),
        buy=buy,
        sell=sell,
        round_trip_bps=round_trip_bps(buy, sell),
        scores=liquidity_scores(book, volume_24h_quote=volume_24h_quote, parameters=parameters),
    )
