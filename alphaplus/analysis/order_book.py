"""What a market's order book looks like to the outside: plain, frozen values.

Prices and notionals are in quote currency, quantities in the venue's own unit, times ns since
1970 UTC; None is what is not known.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from alphaplus.events import EventArray, Kind, Side
from alphaplus.instruments import Instrument

Levels = tuple[tuple[float, float], ...]
"""(price, quantity), best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBookSnapshot:
    """The best levels of a book at one moment, and the measures that go with them."""

    symbol: str
    timestamp: int
    """Venue time of the last update in it."""
    exchange: str
    bids: Levels
    asks: Levels
    spread: float | None
    total_bid_volume: float
    """Quantity of the bids shown."""
    total_ask_volume: float
    depth_levels: int
    """Levels a side that were asked for."""
    bid_ask_imbalance: float | None
    """(bid volume - ask volume) / (bid volume + ask volume) of the levels shown, in [-1, 1]."""
    liquidity_score: float | None
    """In [0, 1]: with the volume of 24 hours where it is known, else of the book alone."""
    order_flow_toxicity: float | None
    """VPIN, in [0, 1]."""
    depth_pressure: float | None
    """Balance of order flow over some 5 s, in [-1, 1]; above 0: bids grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBookDelta:
    """One level of a book, set (quantity above 0) or removed (0)."""

    symbol: str
    timestamp: int
    exchange: str
    sequence: int
    side: Side
    price: float
    quantity: float
    is_snapshot: bool = False
    """Whether a snapshot told it rather than a change."""


def order_book_deltas(instrument: Instrument, events: EventArray) -> list[OrderBookDelta]:
    """Return the changes of levels among some whole messages, in their order.

    For people and small programs; the tables take the same rows without an object for each.
    """
    deltas, in_snapshot = [], False
    for row in events:
        kind = row["kind"]
        if kind in (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END):
            in_snapshot = kind == Kind.SNAPSHOT_BEGIN
        elif kind == Kind.DEPTH and (row["price_tick"] or row["value"]):
            deltas.append(
                OrderBookDelta(
                    symbol=instrument.symbol,
                    timestamp=int(row["ts_event"]),
                    exchange=instrument.exchange,
                    sequence=int(row["sequence"]),
                    side=Side(int(row["side"])),
                    price=instrument.price(int(row["price_tick"])),
                    quantity=float(row["value"]),
                    is_snapshot=in_snapshot,
                )
            )
    return deltas


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBookAnalysis:
    """Every measure of one market as it stands."""

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
    measures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values by measure, as its file and its page describe them."""
    missing: dict[str, dict[str, str]] = field(default_factory=dict)
    """What a value that is None still needs, by measure and value."""

    def value(self, measure: str, *path: str) -> Any:
        """Return one value, None if it or the measure is not there."""
        found: Any = self.measures.get(measure)
        for key in path:
            if found is None:
                return None
            found = found.get(key)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketDepthAnalysis:
    """How much stands where in a book, and what taking it costs."""

    symbol: str
    exchange: str
    timestamp: int | None
    sequence: int | None
    mid: float | None
    spread_bps: float | None
    known_range: tuple[float, float] | None
    """Prices between which the book is complete."""
    depth: dict[str, Any]
    """By distance from the mid in basis points."""
    cost: dict[str, Any]
    """By notional."""
    notional_within_slippage: dict[str, Any]
    """By slippage in basis points."""
    book_slope: dict[str, Any]
    static_pressure: float | None
    distance_weighted_imbalance: dict[str, Any]
    liquidity_score: dict[str, Any]
    resiliency: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)
