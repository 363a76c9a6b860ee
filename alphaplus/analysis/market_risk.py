"""What one market contributes to risk, as one fixed record: a symbol tells it to the portfolio.

`MARKET_RISK` crosses processes as bytes, like `STATE`. It holds the book on a fixed grid of
distances, the estimated liquidation levels on another one, and what scores and value at risk
need beside them. Unknown floats are nan, unknown times 0; nothing is ever 0 for being unknown.

The bins of a book hold every level that is known. Up to `reach` that is every level there is;
beyond it only those that have changed since the last snapshot, so the bins are a lower bound: a
book that drifted looks thinner than it is, never deeper. Levels beyond the grid are left out.
Functions here return plain arrays, since neither risk nor leverage models may be imported.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.book_levels import BookLevels, Floats, SideLevels
from alphaplus.analysis.liquidity_score import LiquidityScore, Scores, liquidity_scores
from alphaplus.analysis.market import Market
from alphaplus.jit import kernel

MarketRiskRecord = npt.NDArray[np.void]
"""An array of one row of dtype `MARKET_RISK`."""

BINS: Final = 64
DISTANCES: Final[Floats] = np.geomspace(1e-5, 0.1, BINS)
"""Outer edges of the bins of a book: fractions of the mid, each bin with its outer edge."""
LEVEL_DISTANCES: Final[Floats] = np.geomspace(1e-3, 0.5, BINS)
"""Outer edges of the bins of liquidation levels: fractions of the mark price; the last one is open.

Levels stand further away than books reach: a leverage of 10 is liquidated some 10 % off its entry.
"""
for _edges in (DISTANCES, LEVEL_DISTANCES):
    _edges.flags.writeable = False

FIGURES: Final = (
    "mid",
    "mark_price",
    "sigma_per_sqrt_hour",
    "sigma_half_life_s",
    "liquidity_score",
    "liquidity_score_bid",
    "liquidity_score_ask",
    "volume_24h",
    "turnover_24h",
    "bid_reach",
    "ask_reach",
)
LADDERS: Final = (
    "bid_quantity",
    "ask_quantity",
    "long_level_quantity",
    "short_level_quantity",
)
MARKET_RISK: Final = np.dtype(
    [
        ("exchange", "U16"),
        ("symbol", "U40"),
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("ts_publish", "<i8"),
        *((name, "<f8") for name in FIGURES),
        *((name, "<f8", (BINS,)) for name in LADDERS),
    ]
)
"""One market as risk sees it.

Times are UTC ns: of the last book message by the venue's clock and by ours, and of the record.
`sigma_per_sqrt_hour` is the volatility of the log mid over one hour, a fraction, of the longest
half-life that has been covered (`sigma_half_life_s`). `liquidity_score` is in [0, 1] and nan
without a volume; those of the sides are of the book alone. Volumes of 24 hours
are base units and quote currency. `bid_reach` and `ask_reach` are the fractions of the mid up to
which every level is known (inf: to the end of that side). Quantities are base units in each bin,
not cumulated; for inverse contracts, base units at each level's own price. All of a book is nan
while it is stale, all levels are nan while the map is.
"""

_HALF_LIVES_S: Final = (600, 60)
_HOUR_S: Final = 3600.0
_TO_THE_END: Final = 2**63 - 1
"""Known tick of asks that are known to their end."""


def blank_market_risk() -> MarketRiskRecord:
    """Return the record of a market of which nothing is known."""
    row = np.zeros(1, dtype=MARKET_RISK)
    for name in (*FIGURES, *LADDERS):
        row[name] = math.nan
    return row


def market_risk(
    market: Market, now_ns: int, levels: tuple[Floats, Floats] | None = None
) -> MarketRiskRecord:
    """Return what a market contributes to risk as one `MARKET_RISK` row.

    `levels` are the estimated liquidation levels of longs and of shorts in the bins of
    `LEVEL_DISTANCES`, base units; None while the map is stale.
    """
    row = blank_market_risk()
    instrument, last = market.instrument, market.last
    row["exchange"], row["symbol"] = instrument.exchange, instrument.symbol
    row["ts_event"], row["ts_recv"] = market.ts_event, market.ts_recv
    row["ts_publish"] = now_ns
    for name in ("mark_price", "volume_24h", "turnover_24h"):
        row[name] = last[name]
    _set_sigma(row, market)
    if levels is not None:
        row["long_level_quantity"], row["short_level_quantity"] = levels
    book = None if market.stale_reason(now_ns) else market.levels()
    if book is not None:
        _set_book(row, book, _scores(market, book))
    return row


def binned_quantities(book: BookLevels, edges: Floats = DISTANCES) -> tuple[Floats, Floats]:
    """Return the base units that bids and asks hold in each bin.

    `edges` are the outer edges, ascending fractions of the mid; an edge belongs to its bin.
    """
    instrument = book.instrument
    found = []
    size, inverse = instrument.contract_size, instrument.inverse
    for levels in (book.bids, book.asks):
        bins = np.zeros(len(edges))
        _bin(levels.prices, levels.quantities, size, inverse, book.mid, edges, bins)
        found.append(bins)
    return found[0], found[1]


def reach(book: BookLevels, side: SideLevels, sign: float) -> float:
    """Return the fraction of the mid up to which a side is known; inf if to its end."""
    if side.known_tick == _TO_THE_END or side.known_tick <= 0:
        return math.inf
    known = book.instrument.price(side.known_tick)
    return max(sign * (known / book.mid - 1.0), 0.0)


def ladder(row: np.void) -> tuple[Floats, Floats] | None:
    """Return distances and quantities of a record's book, shapes (2, bins), bids first.

    Each bin stands at its outer edge, so that a walk through it costs at least what the book
    would. None while the book is not known.
    """
    quantity = np.stack((row["bid_quantity"], row["ask_quantity"]))
    if np.isnan(quantity).any():
        return None
    return np.broadcast_to(DISTANCES, quantity.shape).copy(), quantity


def book_prices(row: np.void) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]] | None:
    """Return (prices, base units) of bids and of asks, nearest first; None while not known.

    Empty bins within what is known stay, so that the prices reach as far as the book does.
    """
    found = ladder(row)
    if found is None:
        return None
    distance, quantity = found
    mid = float(row["mid"])
    sides = []
    for side, (sign, name) in enumerate(((-1.0, "bid_reach"), (1.0, "ask_reach"))):
        end = int(np.searchsorted(DISTANCES, float(row[name]), "right"))
        filled = np.flatnonzero(quantity[side])
        count = max(end, int(filled[-1]) + 1 if len(filled) else 0)
        sides.append((mid * (1.0 + sign * distance[side, :count]), quantity[side, :count]))
    return sides[0], sides[1]


def level_prices(row: np.void) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]] | None:
    """Return (prices, base units) of the estimated levels of longs and of shorts, nearest first.

    A bin stands at the middle of its edges, the open last one at its edge. None while the map is
    stale or the mark price is not known.
    """
    quantity = np.stack((row["long_level_quantity"], row["short_level_quantity"]))
    mark = float(row["mark_price"])
    if np.isnan(quantity).any() or not mark > 0:
        return None
    middle = np.append((LEVEL_DISTANCES[:-1] + np.append(0.0, LEVEL_DISTANCES[:-2])) / 2, 0.0)
    middle[-1] = LEVEL_DISTANCES[-1]
    return (mark * (1.0 - middle), quantity[0]), (mark * (1.0 + middle), quantity[1])


def _set_sigma(row: Any, market: Market) -> None:
    measure = market.analyzer.measures.get("ewma_volatility")
    values = {} if measure is None else measure.values()
    for half_life in _HALF_LIVES_S:
        variance = values.get(f"variance_per_s_{half_life}s")
        if variance is not None:
            row["sigma_per_sqrt_hour"] = math.sqrt(variance * _HOUR_S)
            row["sigma_half_life_s"] = half_life
            return


def _scores(market: Market, book: BookLevels) -> Scores:
    """Return the scores of a market's book: those that are measured anyway, if they are."""
    measure = market.analyzer.measures.get("liquidity_score")
    if isinstance(measure, LiquidityScore) and measure.scores is not None:
        return measure.scores
    turnover = float(market.last["turnover_24h"])
    return liquidity_scores(book, volume_24h_quote=turnover if 0 <= turnover < math.inf else None)


def _set_book(row: Any, book: BookLevels, scores: Scores) -> None:
    row["mid"] = book.mid
    row["liquidity_score"] = math.nan if scores.total.score is None else scores.total.score
    row["liquidity_score_bid"] = scores.bid.score_book
    row["liquidity_score_ask"] = scores.ask.score_book
    row["bid_reach"] = reach(book, book.bids, -1.0)
    row["ask_reach"] = reach(book, book.asks, 1.0)
    row["bid_quantity"], row["ask_quantity"] = binned_quantities(book)


@kernel
def _bin(
    prices: Floats,
    quantities: Floats,
    size: float,
    inverse: bool,
    mid: float,
    edges: Floats,
    bins: Floats,
) -> None:
    """Add the levels of one side, best first, to the bins of their distances."""
    at, end = 0, edges[-1]
    for i in range(len(prices)):
        distance = abs(prices[i] / mid - 1.0)
        if distance > end:
            return
        while distance > edges[at]:
            at += 1
        amount = quantities[i] * size
        bins[at] += amount / prices[i] if inverse else amount
