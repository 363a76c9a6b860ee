"""Compiled state of `TradeCost`: trades that wait for the mids before and after them.

Mids are integers, in half ticks, so differences are exact. Every array is a ring or fixed.
"""

from typing import Any, Final

import numpy as np

from alphaplus.jit import kernel

SLOTS: Final = 60
"""A window is that many slots of time; it moves on by whole slots."""
MOST_HORIZONS: Final = 8
TIME_LIMIT: Final = 1 << 61
"""Times, ns, are below, also with a horizon added; later ones are taken for those before."""
TICK_LIMIT: Final = 1 << 52
"""Ticks up to here are exact as float64, and so are sums of two."""
_QUANTITY_LIMIT: Final = 1e100
"""No venue has as much; notionals overflow above."""
_SKEW_NS: Final = 60_000_000_000
"""How long the smallest delay between the venue's clock and ours is remembered, at least."""

STATE: Final = np.dtype(
    [
        ("slot_ns", "<i8"),
        ("horizons", "<i8"),
        ("horizon_ns", "<i8", (MOST_HORIZONS,)),
        ("tick", "<f8"),  # quote currency
        ("contract_size", "<f8"),
        ("inverse", "<i8"),
        ("clock", "<i8"),  # 0 until the first quote decides
        ("quote_time", "<i8"),  # newest
        ("mids", "<i8"),  # ever noted
        ("trade_time", "<i8"),  # newest
        ("trades", "<i8"),  # rows ever noted
        ("done", "<i8", (MOST_HORIZONS + 1,)),  # rows done: the mid before, each horizon
        ("skew", "<i8"),  # smallest delay of this span of venue time
        ("skew_before", "<i8"),  # and of the span before
        ("skew_span", "<i8"),
        ("taken", "<i8"),  # trades
        ("sideless", "<i8"),
        ("off_market", "<i8"),
        ("rejected", "<i8"),
        ("unpriced", "<i8"),  # no valid mid before them
        ("late", "<i8"),  # the mids of their time are forgotten
        ("overflowed", "<i8"),  # horizons given up, as too many trades waited
        ("without_mid", "<i8", (MOST_HORIZONS,)),
    ],
    align=True,
)
PENDING: Final = np.dtype(
    [
        ("time", "<i8"),
        ("wait", "<i8"),  # the newest time of all trades up to this one
        ("local", "<i8"),  # its time by our clock
        ("price_tick", "<i8"),
        ("before", "<i8"),  # mid before in half ticks, 0 = none
        ("notional", "<f8"),
        ("count", "<i8"),
        ("side", "<i8"),
    ],
    align=True,
)
MID: Final = np.dtype([("time", "<i8"), ("twice", "<i8")], align=True)
"""A mid from a time on, in half ticks; 0 = not valid."""
SUMS: Final = np.dtype(
    [
        ("id", "<i8"),  # time // slot length
        ("count", "<i8"),  # trades
        ("notional", "<f8"),
        ("spread", "<f8"),  # effective or realized, all that follow x notional
        ("spread_bps", "<f8"),
        ("impact", "<f8"),
        ("impact_bps", "<f8"),
        ("markout_bps", "<f8"),
    ],
    align=True,
)
"""Row 0 holds totals, rows 1 to 60 the slots of the window."""


@kernel
def follow(state_row: Any, pending: Any, mids: Any, sums: Any, quotes: Any, trades: Any) -> None:
    """Take quotes and trades in the order in which they arrived, as far as it can be told."""
    state = state_row[0]
    if state.clock == 0 and len(quotes) > 0:
        _choose_clock(state, pending, quotes[0])
    i = j = 0
    while i < len(quotes) or j < len(trades):
        first = j < len(trades)
        if first and i < len(quotes):
            quote, trade = quotes[i], trades[j]
            if trade.ts_recv != quote.ts_recv:
                first = trade.ts_recv < quote.ts_recv
            else:
                first = trade.ts_event <= quote.ts_event
        if first:
            _take_trade(state, pending, trades[j])
            j += 1
        else:
            _take_quote(state, mids, quotes[i])
            i += 1
        _settle(state, pending, mids, sums)


@kernel
def _choose_clock(state: Any, pending: Any, quote: Any) -> None:
    state.clock = 2 if quote.ts_event == quote.ts_recv else 1
    if state.clock == 1:
        return
    newest = 0
    for k in range(max(0, state.trades - len(pending)), state.trades):
        row = pending[k % len(pending)]
        row.time = row.local
        newest = max(newest, row.local)
        row.wait = newest
    state.trade_time = newest


@kernel
def _take_quote(state: Any, mids: Any, quote: Any) -> None:
    time = quote.ts_recv if state.clock == 2 else quote.ts_event
    if time < state.quote_time or time >= TIME_LIMIT:
        time = state.quote_time
    bid, ask = quote.bid_tick, quote.ask_tick
    is_valid = (
        0 < bid < ask <= TICK_LIMIT
        and 0.0 < quote.bid_quantity < np.inf
        and 0.0 < quote.ask_quantity < np.inf
    )
    _note_mid(state, mids, time, bid + ask if is_valid else 0)


@kernel
def _note_mid(state: Any, mids: Any, time: int, twice: int) -> None:
    state.quote_time = time
    newest = mids[(state.mids - 1) % len(mids)]
    if state.mids > 0 and newest.time == time:
        newest.twice = twice
    elif state.mids == 0 or newest.twice != twice:
        entry = mids[state.mids % len(mids)]
        entry.time = time
        entry.twice = twice
        state.mids += 1


@kernel
def _take_trade(state: Any, pending: Any, trade: Any) -> None:
    state.taken += 1
    if trade.off_market != 0:
        state.off_market += 1
        return
    if trade.side != 1 and trade.side != -1:
        state.sideless += 1
        return
    if not (
        0 < trade.price_tick <= TICK_LIMIT
        and 0.0 < trade.quantity < _QUANTITY_LIMIT
        and 0 <= trade.ts_event < TIME_LIMIT
    ):
        state.rejected += 1
        return
    local = _local_time(state, trade.ts_event, trade.ts_recv)
    time = local if state.clock == 2 else trade.ts_event
    notional = trade.quantity * state.contract_size
    if state.inverse == 0:
        notional *= trade.price_tick * state.tick
    if state.trades > state.done[0]:
        row = pending[(state.trades - 1) % len(pending)]
        if (
            row.time == time
            and row.local == local
            and row.price_tick == trade.price_tick
            and row.side == trade.side
        ):
            row.notional += notional
            row.count += 1
            return
    _give_up_oldest(state, pending)
    state.trade_time = max(state.trade_time, time)
    row = pending[state.trades % len(pending)]
    row.time = time
    row.wait = state.trade_time
    row.local = local
    row.price_tick = trade.price_tick
    row.before = 0
    row.notional = notional
    row.count = 1
    row.side = trade.side
    state.trades += 1


@kernel
def _local_time(state: Any, time: int, received: int) -> int:
    """Return when, by our clock, the venue made a trade: its time and the smallest delay."""
    if not 0 <= received < TIME_LIMIT:
        received = time
    delay = received - time
    span = time // _SKEW_NS
    if state.skew_span < 0:
        state.skew_span = span
        state.skew = state.skew_before = delay
    elif span > state.skew_span:
        state.skew_span = span
        state.skew_before = state.skew
        state.skew = delay
    else:
        state.skew = min(state.skew, delay)
    smallest: int = min(state.skew, state.skew_before)
    return max(0, time + smallest)


@kernel
def _give_up_oldest(state: Any, pending: Any) -> None:
    """Make room for one more trade."""
    oldest = state.trades - len(pending)
    if oldest < 0:
        return
    for k in range(state.horizons + 1):
        if state.done[k] == oldest:
            state.done[k] += 1
            state.overflowed += pending[oldest % len(pending)].count


@kernel
def _settle(state: Any, pending: Any, mids: Any, sums: Any) -> None:
    """Finish all that needs no later quote."""
    while state.done[0] < state.trades:
        row = pending[state.done[0] % len(pending)]
        if row.wait > state.quote_time:
            break
        twice = _mid_at(state, mids, row.time - 1)
        if twice > 0:
            row.before = twice
            _add(state, sums[0], row, row.wait, twice)
        elif twice == 0:
            state.unpriced += row.count
        else:
            state.late += row.count
        state.done[0] += 1
    for k in range(state.horizons):
        while state.done[k + 1] < state.done[0]:
            row = pending[state.done[k + 1] % len(pending)]
            if row.wait + state.horizon_ns[k] >= state.quote_time:
                break
            if row.before > 0:
                twice = _mid_at(state, mids, row.time + state.horizon_ns[k])
                if twice > 0:
                    _add(state, sums[k + 1], row, row.wait + state.horizon_ns[k], twice)
                elif twice == 0:
                    state.without_mid[k] += row.count
                else:
                    state.late += row.count
            state.done[k + 1] += 1


@kernel
def _mid_at(state: Any, mids: Any, time: int) -> int:
    """Return the mid in force at a time in half ticks, 0 if not valid, -1 if forgotten."""
    oldest = max(0, state.mids - len(mids))
    low, high = oldest, state.mids
    while low < high:
        middle = (low + high) // 2
        if mids[middle % len(mids)].time <= time:
            low = middle + 1
        else:
            high = middle
    if low > oldest:
        return int(mids[(low - 1) % len(mids)].twice)
    return -1 if oldest > 0 else 0


@kernel
def _add(state: Any, rows: Any, trade: Any, time: int, twice: int) -> None:
    """Add a trade and the mid before or after it to the totals and to its slot."""
    slot_id = time // state.slot_ns
    slot = rows[1 + slot_id % SLOTS]
    if slot.id != slot_id:
        _clear(slot)
        slot.id = slot_id
    gap = float(trade.side * (2 * trade.price_tick - twice))
    moved = float(trade.side * (twice - trade.before))
    notional = trade.notional
    for k in range(2):
        row = rows[0] if k == 0 else slot
        row.count += trade.count
        row.notional += notional
        row.spread += notional * gap * state.tick
        row.spread_bps += notional * 2e4 * gap / trade.before
        row.impact += notional * moved / 2.0 * state.tick
        row.impact_bps += notional * 1e4 * moved / trade.before
        row.markout_bps += notional * 5e3 * gap / trade.price_tick


@kernel
def _clear(row: Any) -> None:
    row.count = 0
    row.notional = row.spread = row.spread_bps = 0.0
    row.impact = row.impact_bps = row.markout_bps = 0.0


@kernel
def sum_up(state_row: Any, sums: Any, now: int, window: Any) -> None:
    """Sum the slots of the window that ends at `now`, in venue time."""
    state = state_row[0]
    newest = max(state.quote_time, state.trade_time)
    if state.clock != 2:
        newest = max(newest, now)
    newest //= state.slot_ns
    for k in range(state.horizons + 1):
        total = window[k]
        _clear(total)
        for i in range(SLOTS):
            slot = sums[k, 1 + (newest + 1 + i) % SLOTS]
            if slot.count > 0 and slot.id > newest - SLOTS:
                total.count += slot.count
                total.notional += slot.notional
                total.spread += slot.spread
                total.spread_bps += slot.spread_bps
                total.impact += slot.impact
                total.impact_bps += slot.impact_bps
                total.markout_bps += slot.markout_bps


@kernel
def waiting(state_row: Any, pending: Any) -> int:
    """Return how many trades have no mid before them yet."""
    state = state_row[0]
    found = 0
    for k in range(state.done[0], state.trades):
        found += pending[k % len(pending)].count
    return found


@kernel
def break_off(state_row: Any, pending: Any, mids: Any, sums: Any) -> None:
    state = state_row[0]
    if state.mids > 0:
        _note_mid(state, mids, state.quote_time + 1, 0)
        _settle(state, pending, mids, sums)
