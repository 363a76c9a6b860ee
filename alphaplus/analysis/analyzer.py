"""All measures of one book at one moment.

A measure that cannot be known is None: those of both sides while one is empty, and all while
the book is crossed, locked or without a snapshot.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.cost import FillCost, slippage_bps
from alphaplus.analysis.depth import Depth, Distance
from alphaplus.analysis.fair_price import mid, weighted_mid
from alphaplus.analysis.imbalance import imbalance
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.spread import spread, spread_bps
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.walk import SideWalker
from alphaplus.book.l2 import L2Book
from alphaplus.errors import ConfigError
from alphaplus.events import Side
from alphaplus.instruments import Instrument

NEVER: Final = 2**63 - 1

Number = TypeVar("Number", int, float)


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


@dataclass(slots=True)
class _Cadence:
    """A measure that looks at whole books, and the venue time of its next turn."""

    measure: Measure
    every_ns: int = 0
    due: int = 0

    def __post_init__(self) -> None:
        self.every_ns = round(self.measure.every_ms * 1e6)


class Analyzer:
    """Takes the measures that the parameters choose; holds no book.

    Raises ConfigError for a parameter that is not above 0.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        imbalance_levels: Sequence[int] = (1, 5, 20),
        depth_bps: Sequence[float] = (1.0, 5.0, 10.0, 25.0, 50.0),
        cost_notionals: Sequence[float] = (1e4, 1e5, 1e6),
        measures: Sequence[Measure] = (),
    ) -> None:
        self._instrument = instrument
        self._imbalance_levels = _ascending("imbalance_levels", map(int, imbalance_levels))
        self._cost_notionals = _ascending("cost_notionals", map(float, cost_notionals))
        distances = _ascending("depth_bps", map(float, depth_bps))
        self._distances = [Distance.of(bps) for bps in distances]
        self._walker = SideWalker(instrument, self._imbalance_levels, self._cost_notionals)
        self._measures = tuple(measures)
        self._streaming = [m for m in measures if type(m).update is not Measure.update]
        self._looking = [_Cadence(m) for m in measures if m.every_ms > 0]
        self.due = 0 if self._looking else NEVER
        """Venue time, ns, from which the next valid book is due to be looked at."""

    def update(self, tape: Tape) -> None:
        """Let every measure that follows the stream take its next piece."""
        for measure in self._streaming:
            measure.update(tape)

    def observe(self, book: L2Book) -> None:
        """Let every measure look at the book whose turn it is; the turns are a grid in time."""
        ts_event = book.ts_event
        levels = BookLevels.of(book)
        for cadence in self._looking:
            if ts_event is not None and ts_event >= cadence.due:
                cadence.due = (ts_event // cadence.every_ns + 1) * cadence.every_ns
                if levels is not None:
                    cadence.measure.observe(levels)
        self.due = min(cadence.due for cadence in self._looking)

    def interrupt(self) -> None:
        """Tell every measure that the stream broke off."""
        for measure in self._measures:
            measure.interrupt()

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
        known = book.known_range
        if known is None:
            return BookAnalysis(**header)
        top = book.top()
        touch = _touch(instrument, top)
        if len(touch) < 4:
            return BookAnalysis(**header, **touch)
        bid_tick, ask_tick = int(top["bid_tick"]), int(top["ask_tick"])
        if bid_tick >= ask_tick:
            return BookAnalysis(**header, crossed=True)
        bid, ask = touch["best_bid"], touch["best_ask"]
        twice_mid = bid_tick + ask_tick
        middle = mid(instrument, bid_tick, ask_tick)
        bid_limits = [distance.limit(Side.BID, twice_mid) for distance in self._distances]
        ask_limits = [distance.limit(Side.ASK, twice_mid) for distance in self._distances]
        bids = self._walker.walk(book, Side.BID, bid_limits)
        asks = self._walker.walk(book, Side.ASK, ask_limits)
        return BookAnalysis(
            **header,
            **touch,
            spread=instrument.price(int(spread(bid_tick, ask_tick))),
            spread_bps=spread_bps(bid_tick, ask_tick),
            mid=middle,
            weighted_mid=weighted_mid(
                bid, touch["best_bid_quantity"], ask, touch["best_ask_quantity"]
            ),
            imbalance={
                k: imbalance(bid_sum, ask_sum)
                for k, bid_sum, ask_sum in zip(
                    self._imbalance_levels, bids.quantities, asks.quantities, strict=True
                )
            },
            bid_depth={
                distance.bps: Depth(notional, limit < known[0])
                for distance, notional, limit in zip(
                    self._distances, bids.notionals, bid_limits, strict=True
                )
            },
            ask_depth={
                distance.bps: Depth(notional, limit > known[1])
                for distance, notional, limit in zip(
                    self._distances, asks.notionals, ask_limits, strict=True
                )
            },
            buy_cost=self._costs(asks.fills, Side.ASK, middle, known),
            sell_cost=self._costs(bids.fills, Side.BID, middle, known),
        )

    def _costs(
        self, fills: list[list[float]], taken: Side, middle: float, known: tuple[int, int]
    ) -> dict[float, FillCost]:
        costs = {}
        for notional, (base, quote, worst, levels) in zip(self._cost_notionals, fills, strict=True):
            vwap = slippage = None
            is_known = worst <= known[1] if taken is Side.ASK else worst >= known[0]
            if quote >= notional and is_known:
                vwap = notional / base
                slippage = slippage_bps(vwap, middle, taken)
            worst_price = self._instrument.price(int(worst))
            costs[notional] = FillCost(vwap, slippage, worst_price, int(levels), quote / notional)
        return costs


def _ascending(name: str, values: Iterable[Number]) -> tuple[Number, ...]:
    ordered = tuple(sorted(set(values)))
    if ordered and not 0 < ordered[0] <= ordered[-1] < math.inf:
        raise ConfigError(f"Expected {name} above 0 and finite, was {list(ordered)}.")
    return ordered


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
