"""One pass over events that adds up the bar in hand and stops where the tracker must act."""

from typing import Any, Final

import numpy as np

from alphaplus.events import FeedStatus, Flag, Kind, Side
from alphaplus.jit import kernel

FLOW: Final = np.dtype(
    [
        ("begin", "<i8"),  # of the bar in hand, ns; 0 = no event yet
        ("end", "<i8"),
        ("step", "<i8"),  # ns
        ("longest", "<i8"),  # ns that a bar waits for an open interest
        ("ts_event", "<i8"),  # newest time seen, ns
        ("ts_recv", "<i8"),  # when the newest event was received, ns
        ("away", "<i8"),  # whether the feed is disconnected
        ("incomplete", "<i8"),  # whether the bar in hand lacks events
        ("taker_buy", "<f8"),  # amounts: quantity x contract size
        ("taker_sell", "<f8"),
        ("weighted", "<f8"),  # sum of amount x price; of amount / price for inverse contracts
        ("interest", "<f8"),  # amount, nan without one in the bar
        ("mark", "<f8"),  # newest, nan without one in the bar
        ("mark_low", "<f8"),
        ("mark_high", "<f8"),
        ("units", "<f8"),  # price = tick x units / scale
        ("scale", "<f8"),
        ("size", "<f8"),
        ("inverse", "<i8"),
    ],
    align=True,
)
"""The bar in hand, and the terms of the contract."""

DONE: Final = 0
BAR: Final = 1
MARK: Final = 2
LIQUIDATION: Final = 3

MAX_AHEAD_NS: Final = 3600 * 10**9
"""A venue time so far ahead of ours counts as of its receipt, as in the market's splitter."""

_TRADE: Final = int(Kind.TRADE)
_MARK: Final = int(Kind.MARK_PRICE)
_INTEREST: Final = int(Kind.OPEN_INTEREST)
_LIQUIDATION: Final = int(Kind.LIQUIDATION)
_STATUS: Final = int(Kind.STATUS)
_DISCONNECTED: Final = float(FeedStatus.DISCONNECTED)
_OFF_MARKET: Final = int(Flag.OFF_MARKET)
_BUYER: Final = int(Side.BID)
_SELLER: Final = int(Side.ASK)


@kernel
def advance(flow_row: Any, events: Any, at: int) -> tuple[int, int]:
    """Take events from row `at` on; return where it stopped and why.

    DONE: all are taken. BAR: the bar in hand is over, and the row has not been taken. MARK and
    LIQUIDATION: the row before the one returned is one, and has been taken.
    """
    flow = flow_row[0]
    for i in range(at, len(events)):
        event = events[i]
        kind = event.kind
        if kind == _STATUS:
            flow.away = 1 if event.value == _DISCONNECTED else 0
            flow.incomplete |= flow.away
            continue
        if kind != _TRADE and kind != _MARK and kind != _INTEREST and kind != _LIQUIDATION:
            continue
        ts_event = event.ts_event
        if ts_event > event.ts_recv + MAX_AHEAD_NS:
            ts_event = event.ts_recv
        if flow.begin == 0:
            _begin(flow, ts_event)
        while ts_event >= flow.end:
            if not np.isnan(flow.interest) or flow.end >= flow.begin + flow.longest:
                return i, BAR
            flow.end += flow.step
        if ts_event > flow.ts_event:
            flow.ts_event = ts_event
        flow.ts_recv = event.ts_recv
        value = event.value
        if kind == _TRADE:
            price = event.price_tick * flow.units / flow.scale
            if event.flags & _OFF_MARKET == 0 and value > 0.0 and price > 0.0:
                amount = value * flow.size
                if event.side == _BUYER:
                    flow.taker_buy += amount
                elif event.side == _SELLER:
                    flow.taker_sell += amount
                else:
                    continue
                flow.weighted += amount / price if flow.inverse != 0 else amount * price
        elif kind == _MARK:
            if 0.0 < value < np.inf:
                if np.isnan(flow.mark):
                    flow.mark_low = value
                    flow.mark_high = value
                flow.mark = value
                flow.mark_low = min(flow.mark_low, value)
                flow.mark_high = max(flow.mark_high, value)
                return i + 1, MARK
        elif kind == _INTEREST:
            if 0.0 <= value < np.inf:
                flow.interest = value * flow.size
        else:
            return i + 1, LIQUIDATION
    return len(events), DONE


@kernel
def next_bar(flow_row: Any, ts_event: int) -> None:
    """Begin the bar that the event at `ts_event` belongs to."""
    _begin(flow_row[0], ts_event)


@kernel
def _begin(flow: Any, ts_event: int) -> None:
    flow.begin = ts_event // flow.step * flow.step
    flow.end = flow.begin + flow.step
    flow.incomplete = flow.away
    flow.taker_buy = flow.taker_sell = flow.weighted = 0.0
    flow.interest = flow.mark = flow.mark_low = flow.mark_high = np.nan
