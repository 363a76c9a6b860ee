"""All measures of one book at one moment.

A measure that cannot be known is None: those of both sides while one is empty, and all while
the book is crossed, locked or without a snapshot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from alphaplus.analysis.cost import FillCost, fill_costs
from alphaplus.analysis.depth import Depth, depth_within
from alphaplus.analysis.fair_price import mid, weighted_mid
from alphaplus.analysis.imbalance import imbalance
from alphaplus.analysis.sides import BookSide, read_side
from alphaplus.analysis.spread import spread, spread_bps
from alphaplus.book.l2 import L2Book
from alphaplus.events import Side
from alphaplus.instruments import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class BookAnalysis:
    """The measures; prices and notionals in quote currency, keyed by their parameter."""

    symbol: str
    exchange: str
    ts_event: int | None
    ts_recv: int | None
    sequence: int | None
    crossed: bool = False
    best_bid: float | None = None
    best_bid_quantity: float | None = None
    best_ask: float | None = None
    best_ask_quantity: float | None = None
    spread: float | None = None
    spread_bps: float | None = None
    mid: float | None = None
    weighted_mid: float | None = None
    imbalance: dict[int, float | None] = field(default_factory=dict)
    """By number of levels."""
    bid_depth: dict[float, Depth] = field(default_factory=dict)
    """By distance from the mid, basis points."""
    ask_depth: dict[float, Depth] = field(default_factory=dict)
    buy_cost: dict[float, FillCost] = field(default_factory=dict)
    """By notional."""
    sell_cost: dict[float, FillCost] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as plain values, both sides of a parameter together."""
        plain: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "sequence",
                "crossed",
                "best_bid",
                "best_bid_quantity",
                "best_ask",
                "best_ask_quantity",
                "spread",
                "spread_bps",
                "mid",
                "weighted_mid",
                "imbalance",
            )
        }
        plain["depth"] = {
            bps: {
                "bid": bid.notional,
                "ask": self.ask_depth[bps].notional,
                "bid_truncated": bid.truncated,
                "ask_truncated": self.ask_depth[bps].truncated,
            }
            for bps, bid in self.bid_depth.items()
        }
        plain["cost"] = {
            notional: {"buy": _plain(buy), "sell": _plain(self.sell_cost[notional])}
            for notional, buy in self.buy_cost.items()
        }
        return plain


class Analyzer:
    """Takes the measures that the parameters choose; holds no state of the book."""

    def __init__(
        self,
        instrument: Instrument,
        *,
        imbalance_levels: Sequence[int] = (1, 5, 20),
        depth_bps: Sequence[float] = (1.0, 5.0, 10.0, 25.0, 50.0),
        cost_notionals: Sequence[float] = (1e4, 1e5, 1e6),
    ) -> None:
        self._instrument = instrument
        self._imbalance_levels = tuple(sorted(imbalance_levels))
        self._depth_bps = tuple(sorted(map(float, depth_bps)))
        self._cost_notionals = tuple(sorted(map(float, cost_notionals)))
        self._depth = max(self._imbalance_levels, default=1)
        self._reach = max(self._depth_bps, default=0.0) / 1e4

    def analyze(self, book: L2Book) -> BookAnalysis:
        """Measure the book as it stands."""
        instrument = self._instrument
        header: dict[str, Any] = {
            "symbol": instrument.symbol,
            "exchange": instrument.exchange,
            "ts_event": book.ts_event,
            "ts_recv": book.ts_recv,
            "sequence": book.sequence,
        }
        if not book.is_valid:
            return BookAnalysis(**header)
        top = book.top()
        touch = _touch(instrument, top)
        bid, ask = touch.get("best_bid"), touch.get("best_ask")
        if bid is None or ask is None:
            return BookAnalysis(**header, **touch)
        if bid >= ask:
            return BookAnalysis(**header, crossed=True)
        middle = mid(bid, ask)
        bids = read_side(book, Side.BID, depth=self._depth, to_price=middle * (1 - self._reach))
        asks = read_side(book, Side.ASK, depth=self._depth, to_price=middle * (1 + self._reach))
        return BookAnalysis(
            **header,
            **touch,
            spread=spread(bid, ask),
            spread_bps=spread_bps(bid, ask),
            mid=middle,
            weighted_mid=weighted_mid(
                bid, float(top["bid_quantity"]), ask, float(top["ask_quantity"])
            ),
            imbalance={
                k: imbalance(bids.quantities, asks.quantities, k) for k in self._imbalance_levels
            },
            bid_depth=depth_within(bids, middle, self._depth_bps, instrument),
            ask_depth=depth_within(asks, middle, self._depth_bps, instrument),
            buy_cost=self._costs(book, asks, middle),
            sell_cost=self._costs(book, bids, middle),
        )

    def _costs(self, book: L2Book, levels: BookSide, middle: float) -> dict[float, FillCost]:
        costs = fill_costs(levels, middle, self._cost_notionals, self._instrument)
        if levels.is_whole or all(cost.fill_ratio >= 1 for cost in costs.values()):
            return costs
        # The biggest order reaches beyond what the other measures needed: read the whole side.
        count = book.bid_count if levels.side is Side.BID else book.ask_count
        whole = read_side(book, levels.side, depth=count, to_price=middle)
        return fill_costs(whole, middle, self._cost_notionals, self._instrument)


def _touch(instrument: Instrument, top: Any) -> dict[str, Any]:
    touch: dict[str, Any] = {}
    for side in ("bid", "ask"):
        quantity = float(top[f"{side}_quantity"])
        if quantity > 0:
            touch[f"best_{side}"] = instrument.price(int(top[f"{side}_tick"]))
            touch[f"best_{side}_quantity"] = quantity
    return touch


def _plain(cost: FillCost) -> dict[str, float | int | None]:
    return {
        "vwap": cost.vwap,
        "slippage_bps": cost.slippage_bps,
        "worst_price": cost.worst_price,
        "levels": cost.levels,
        "fill_ratio": cost.fill_ratio,
    }
