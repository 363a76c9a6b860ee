"""Run every kernel of a market once, so that none is compiled or loaded while data waits."""

import numpy as np

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.events import EventArray, Flag, Kind, Side, empty_events
from alphaplus.instruments import Instrument

_TICK = 1_000_000
_FAR = 1 << 30


def warm_market(instrument: Instrument) -> None:
    """Send a small made-up session through a market that is then thrown away."""
    market = Market(instrument, Analyzer(instrument), stale_after_ms=1.0)
    for batch in (_snapshot(), _updates(10), _updates(20)):
        market.apply(batch)
    views.book(market, 1000, 0)
    views.analysis(market, 0)
    views.liquidity(market, 1e4, 0)
    market.audit.finish()
    market.mark_hole()


def _snapshot() -> EventArray:
    """One snapshot: levels at the touch and far from it, on both sides."""
    offsets = np.array([*range(1, 2000), _FAR])
    ticks = np.concatenate((_TICK - offsets, _TICK + offsets))
    events = empty_events(len(ticks) + 2)
    events["kind"] = Kind.DEPTH
    events["kind"][0], events["kind"][-1] = Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END
    events["flags"][-1] = Flag.LAST
    events["sequence"] = 1
    events["price_tick"][1:-1] = ticks
    events["side"][1:-1] = np.where(ticks < _TICK, Side.BID, Side.ASK)
    events["value"] = 1.0
    return events


def _updates(sequence: int) -> EventArray:
    """A ticker, a trade, a new level, the end of another one, and a move of the touch."""
    rows = (
        (Kind.BOOK_TICKER, Side.BID, _TICK - 1, 1.0, 0),
        (Kind.BOOK_TICKER, Side.ASK, _TICK + 1, 1.0, Flag.LAST),
        (Kind.TRADE, Side.BID, _TICK + 1, 1.0, Flag.LAST),
        (Kind.DEPTH, Side.BID, _TICK - 5000, 2.0, 0),
        (Kind.DEPTH, Side.ASK, _TICK + 7, 0.0, 0),
        (Kind.DEPTH, Side.BID, _TICK - _FAR, 0.0, Flag.LAST),
        (Kind.MARK_PRICE, Side.NONE, 0, 1.0, Flag.LAST),
    )
    events = empty_events(len(rows))
    events["sequence"] = sequence
    for name, values in zip(
        ("kind", "side", "price_tick", "value", "flags"), zip(*rows, strict=True), strict=True
    ):
        events[name] = values
    return events
