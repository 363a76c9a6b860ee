"""Short ways to write book events, and strategies that make many of them."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from hypothesis import strategies as st

from alphaplus.events import EventArray, Flag, Kind, Side, empty_events, event
from alphaplus.instruments import Instrument

INSTRUMENT = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)
FAR = 2**63 - 1

Level = tuple[Side, int, float]


def message(levels: Sequence[Level], sequence: int = 0, ts: int = 1) -> EventArray:
    """One depth message."""
    rows = empty_events(len(levels))
    rows["kind"] = Kind.DEPTH
    rows["ts_recv"] = rows["ts_event"] = ts
    rows["sequence"] = sequence
    for row, (side, tick, quantity) in zip(rows, levels, strict=True):
        row["side"], row["price_tick"], row["value"] = side, tick, quantity
    rows["flags"][-1:] = Flag.LAST
    return rows


def snapshot(levels: Sequence[Level], sequence: int = 0, ts: int = 1) -> EventArray:
    """One whole snapshot."""
    rows = message(levels, sequence, ts)
    rows["flags"] = 0
    begin = event(Kind.SNAPSHOT_BEGIN, ts_recv=ts, sequence=sequence, flags=Flag(0))
    end = event(Kind.SNAPSHOT_END, ts_recv=ts, sequence=sequence)
    return np.concatenate((begin, rows, end))


def ticker(
    bid: tuple[int, float], ask: tuple[int, float], sequence: int, ts: int = 1
) -> EventArray:
    """One BOOK_TICKER message."""
    rows = message([(Side.BID, *bid), (Side.ASK, *ask)], sequence, ts)
    rows["kind"] = Kind.BOOK_TICKER
    return rows


def ticks(centre: int) -> st.SearchStrategy[int]:
    """Prices near a centre, some windows away from it, ten times it, and at the ends of int64."""
    return st.one_of(
        st.integers(centre - 40, centre + 40),
        st.integers(centre - 9_000, centre + 9_000),
        st.integers(0, 10 * abs(centre)),
        st.sampled_from([0, 1, FAR, FAR - 1, -FAR - 1, -FAR, 2**62, -(2**62)]),
    )


QUANTITIES = st.one_of(
    st.just(0.0), st.floats(0.001, 1e6, allow_nan=False), st.sampled_from([1e-9, 1e300])
)
SIDES = st.sampled_from([Side.BID, Side.ASK])


@st.composite
def streams(draw: st.DrawFn, snapshots: int = 3) -> EventArray:
    """Snapshots and depth messages around prices that jump, in one batch."""
    parts = []
    sequence = draw(st.integers(0, 2**40))
    centre = draw(st.sampled_from([600, 60_000, 10**9]))
    for _ in range(draw(st.integers(1, snapshots))):
        level = st.tuples(SIDES, ticks(centre), QUANTITIES)
        if draw(st.booleans()):
            parts.append(snapshot(draw(st.lists(level, max_size=40)), sequence))
        for _ in range(draw(st.integers(0, 12))):
            sequence += draw(st.integers(1, 5))
            if draw(st.booleans()):
                centre += draw(st.integers(-5_000, 5_000))
            levels = draw(st.lists(level, min_size=1, max_size=25))
            parts.append(message(levels, sequence, ts=sequence))
    return np.concatenate([empty_events(), *parts])


def cut(events: EventArray, places: Sequence[int]) -> list[EventArray]:
    """The same events in several batches."""
    return [part.copy() for part in np.split(events, sorted(p % (len(events) + 1) for p in places))]
