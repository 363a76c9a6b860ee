"""Run every kernel of a market once, so that none is compiled or loaded while data waits."""

from decimal import Decimal
from functools import cache
from typing import Final

import numpy as np

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.market import Market
from alphaplus.analysis.market_risk import binned_quantities
from alphaplus.analysis.registry import MeasureParameters
from alphaplus.event_latencies import EventLatencies
from alphaplus.events import EventArray, FeedStatus, Flag, Kind, Side, empty_events, status_event
from alphaplus.instruments import Instrument

_TICK: Final = 1_000_000
_FAR: Final = 1 << 30
_WALL: Final = 500
_SECOND: Final = 1_000_000_000
_MINUTES: Final = 6
"""Fits and windows that begin after five minutes of market time have begun by then."""

EXAMPLE: Final = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)
"""Kernels are compiled for types, so what is warm for one instrument is warm for all."""


@cache
def warm_once() -> None:
    """Warm the kernels, unless this process has, or the one that it was forked from."""
    warm_market(EXAMPLE)


def warm_market(instrument: Instrument) -> None:
    """Send a small made-up session through a market that is then thrown away."""
    parameters = MeasureParameters(volume_bucket=0.5)
    market = Market(instrument, Analyzer(instrument, parameters), stale_after_ms=1.0)
    latencies = EventLatencies()
    for second in range(60 * _MINUTES):
        events = _updates(second + 1)
        market.apply(events)
        latencies.record(events, second * _SECOND)
        if second == 0:
            market.apply(_snapshot())
        if second % 60 == 0:
            _read(market)
    market.apply(status_event(FeedStatus.DISCONNECTED, ts_recv=_MINUTES * 60 * _SECOND))
    _read(market)
    market.audit.finish()
    market.mark_hole()


def _read(market: Market) -> None:
    views.book(market, 1000, 0)
    views.analysis(market, 0)
    views.state(market, 0)
    book = BookLevels.of(market.book)
    if book is not None:
        binned_quantities(book)
        views.liquidity(market, 1e4, 0)


def _snapshot() -> EventArray:
    """One snapshot: levels at the touch, a wall, and many far ones, on both sides."""
    offsets = np.array([*range(1, 2000), *range(_FAR, _FAR + 1000 * 10_000, 10_000)])
    ticks = np.concatenate((_TICK - offsets, _TICK + offsets))
    events = empty_events(len(ticks) + 2)
    events["kind"] = Kind.DEPTH
    events["kind"][0], events["kind"][-1] = Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END
    events["flags"][-1] = Flag.LAST
    events["sequence"] = 1
    events["price_tick"][1:-1] = ticks
    events["side"][1:-1] = np.where(ticks < _TICK, Side.BID, Side.ASK)
    events["value"] = 1.0
    events["value"][np.abs(events["price_tick"] - _TICK) == _WALL] = 1e4
    events["ts_event"] = events["ts_recv"] = _SECOND
    return events


def _updates(second: int) -> EventArray:
    """A ticker, a trade, a new level, the end of another one, and a move of the touch."""
    up = second % 3
    rows = (
        (Kind.BOOK_TICKER, Side.BID, _TICK - 2 + up, 1.0 + up, 0),
        (Kind.BOOK_TICKER, Side.ASK, _TICK + 1, 1.0, Flag.LAST),
        (Kind.TRADE, Side.BID if up else Side.ASK, _TICK + up, 1.0, Flag.LAST),
        (Kind.DEPTH, Side.BID, _TICK - 5000, 2.0, 0),
        (Kind.DEPTH, Side.ASK, _TICK + 7, 0.0, 0),
        (Kind.DEPTH, Side.BID, _TICK - 2 + up, 1.0 + up, 0),
        (Kind.DEPTH, Side.BID, _TICK - _FAR - second, float(second % 2), Flag.LAST),
        (Kind.MARK_PRICE, Side.NONE, 0, 1.0, Flag.LAST),
    )
    events = empty_events(len(rows))
    events["sequence"] = second
    events["ts_event"] = events["ts_recv"] = second * _SECOND
    for name, values in zip(
        ("kind", "side", "price_tick", "value", "flags"), zip(*rows, strict=True), strict=True
    ):
        events[name] = values
    return events
