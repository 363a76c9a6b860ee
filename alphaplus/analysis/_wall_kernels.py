"""Walls at each look: trades before it, then both sides judged bucket by bucket."""

from typing import Any, Final

import numpy as np

from alphaplus.analysis._wall_layout_kernels import INT64_MAX, SLOTS, TRADES, bucket_of
from alphaplus.analysis._wall_life_kernels import clear, follow, leave
from alphaplus.analysis.book_levels import Floats, Ints
from alphaplus.jit import kernel

_FEWEST_BUCKETS: Final = 8
_ABSURD: Final = 1e18  # a notional that no market has: it would hide all others in a sum


@kernel
def watch(
    state: Any,
    slots: Any,
    ended: Any,
    ring: Any,
    trades: Any,
    looks: Any,
    count: int,
    notionals: Floats,
    heaviest: Ints,
) -> None:
    """Take the trades, and each look when those before it are taken."""
    taken = 0
    for k in range(count):
        look = looks[k]
        take_trades(state, slots, ring, trades[taken : look.trades])
        taken = look.trades
        if look.ask_tick > 0:
            _observe(state, slots, ended, ring, look, notionals[k], heaviest[k])
    take_trades(state, slots, ring, trades[taken:])


@kernel
def take_trades(state: Any, slots: Any, ring: Any, trades: Any) -> None:
    st = state[0]
    for i in range(len(trades)):
        trade = trades[i]
        tick = trade.price_tick
        side = np.int64(trade.side)
        notional = trade.quantity * st.size
        if st.inverse == 0:
            notional *= tick * st.tick_units / st.scale
        if trade.off_market != 0 or not 0 < notional < _ABSURD:
            continue
        last = (st.trades - 1) % TRADES
        if (
            st.trades > 0
            and ring[last].ts == trade.ts_event
            and ring[last].tick == tick
            and ring[last].side == side
        ):
            ring[last].notional += notional
        else:
            at = st.trades % TRADES
            ring[at].ts = trade.ts_event
            ring[at].tick = tick
            ring[at].notional = notional
            ring[at].side = side
            st.trades += 1
        if side < 0 and tick < st.lowest_sell:
            st.lowest_sell = tick
        if side > 0 and tick > st.highest_buy:
            st.highest_buy = tick
        if st.width > 0:
            for s in range(2):
                if side == 0 or (side < 0) == (s == 0):
                    bucket = bucket_of(state, s, tick)
                    slot = slots[s, bucket & (SLOTS - 1)]
                    if slot.bucket == bucket:
                        slot.traded += notional


@kernel
def _observe(
    state: Any, slots: Any, ended: Any, ring: Any, look: Any, notionals: Floats, heaviest: Ints
) -> None:
    st = state[0]
    st.ts = max(st.ts, look.ts_event)
    st.twice_mid = look.bid_tick + look.ask_tick
    st.looked = 1
    st.looks += 1
    if st.width == 0:
        st.anchor, st.width = look.anchor, look.width
    elif st.anchor != look.anchor:
        lay_anew(state, slots, ended, look)
    for s in range(2):
        st.truncated[s] = look.truncated[s]
        _look(state, slots, ended, ring, s, look, notionals[s], heaviest[s])
    st.lowest_sell = INT64_MAX
    st.highest_buy = -INT64_MAX


@kernel
def lay_anew(state: Any, slots: Any, ended: Any, look: Any) -> None:
    """Take the buckets around another mid, and carry over what is known of the old ones."""
    old = slots.copy()
    for s in range(2):
        for j in range(SLOTS):
            clear(slots[s, j])
    state[0].followed[:] = 1
    before = state[0].anchor, state[0].width
    after = look.anchor, look.width
    state[0].anchor, state[0].width = after
    for s in range(2):
        for j in range(SLOTS):
            slot = old[s, j]
            if slot.met == 0 and slot.is_wall == 0 and slot.pending == 0:
                continue
            bucket = bucket_of(state, s, slot.tick)
            new = slots[s, bucket & (SLOTS - 1)]
            if new.met == 0 and new.is_wall == 0 and new.pending == 0:
                slots[s, bucket & (SLOTS - 1)] = slot
                slots[s, bucket & (SLOTS - 1)].bucket = bucket
            else:  # two old buckets in one new: the first goes on
                state[0].anchor, state[0].width = before
                leave(state, slot, ended, s)
                state[0].anchor, state[0].width = after


@kernel
def _look(
    state: Any,
    slots: Any,
    ended: Any,
    ring: Any,
    s: int,
    look: Any,
    notionals: Floats,
    heaviest: Ints,
) -> None:
    """Judge one side: score its buckets, follow those that hold or held."""
    st = state[0]
    touch = look.bid_tick if s == 0 else look.ask_tick
    limit = look.limit[s]
    found = np.empty(SLOTS, dtype=np.int64)
    at = np.empty(SLOTS, dtype=np.int64)
    logs = np.empty(SLOTS)
    buckets = 0
    depth = largest = 0.0
    for b in range(look.buckets[s]):
        total = notionals[b]
        if not total > 0:
            continue
        bucket = look.first[s] + b
        j = bucket & (SLOTS - 1)
        if slots[s, j].bucket != bucket:
            leave(state, slots[s, j], ended, s)
            clear(slots[s, j])
            slots[s, j].bucket = bucket
        slots[s, j].look = st.looks
        slots[s, j].now = total
        found[buckets] = j
        at[buckets] = b
        buckets += 1
        depth += total
        largest = max(largest, total)
    center = mad = 0.0
    scored = buckets >= _FEWEST_BUCKETS and largest >= st.share_release * depth
    if scored:
        for b in range(buckets):
            logs[b] = np.log(slots[s, found[b]].now)
        center, mad = median_and_mad(logs, buckets)
    for b in range(buckets):
        slot = slots[s, found[b]]
        share = slot.now / depth
        z = np.nan
        enters = keeps = False
        if scored and share >= st.share_release:
            if mad > 0:
                z = 0.6745 * (np.log(slot.now) - center) / mad
                enters = z >= st.z_enter and share >= st.share_enter
                keeps = z >= st.z_release
            else:
                enters = share >= st.share_flat
                keeps = True
        if enters or slot.met > 0 or slot.pending > 0:
            holds = keeps if slot.is_wall == 1 else enters
            slot.now_tick = heaviest[at[b]]
            st.followed[s, found[b]] = 1
            follow(state, slot, ended, ring, s, holds, share, z, touch, limit)
    for j in range(SLOTS):
        if st.followed[s, j] == 0:
            continue
        slot = slots[s, j]
        if slot.look != st.looks and (slot.met > 0 or slot.pending > 0):
            slot.now = 0.0
            follow(state, slot, ended, ring, s, False, 0.0, np.nan, touch, limit)
        st.followed[s, j] = 1 if slot.met > 0 or slot.pending > 0 else 0


@kernel
def median_and_mad(values: Floats, count: int) -> tuple[float, float]:
    """Return the median and the median absolute deviation from it; orders the values."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    half = count // 2
    median = values[half] if count % 2 == 1 else (values[half - 1] + values[half]) / 2
    low = half - 1  # deviations grow from the middle outward on both sides: merge them
    high = half
    last = away = 0.0
    for _ in range(half + 1):
        last = away
        if high >= count or (low >= 0 and median - values[low] <= values[high] - median):
            away = median - values[low]
            low -= 1
        else:
            away = values[high] - median
            high += 1
    return median, away if count % 2 == 1 else (last + away) / 2
