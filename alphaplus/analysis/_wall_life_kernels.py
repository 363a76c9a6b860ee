"""The life of one bucket: how it becomes a wall, how it is tested, how it ends."""

from typing import Any, Final

import numpy as np

from alphaplus.analysis._wall_layout_kernels import (
    CELL_NS,
    CELLS,
    ENDED,
    TRADES,
    bucket_of,
    near_tick,
)
from alphaplus.jit import kernel

_AROUND_NS: Final = 250_000_000
_REMOVED: Final = 0.2  # a wall that lost less than this was outgrown, not removed


@kernel
def follow(
    state: Any,
    slot: Any,
    ended: Any,
    ring: Any,
    s: int,
    holds: bool,
    share: float,
    z: float,
    touch: int,
    limit: int,
) -> None:
    """Take one bucket a look further: persistence, birth, tests, release, outcome."""
    st = state[0]
    _fill_cells(slot, st.ts // CELL_NS, holds)
    if holds:
        if slot.since == 0:
            slot.since = st.ts
            if slot.pending == 0:
                slot.tested = 0
                slot.traded = 0.0
                slot.is_near = 0
                slot.through = 0
        if slot.is_wall == 0 and (st.ts - slot.since >= st.hold_ns or slot.met >= st.cells):
            slot.is_wall = 1
            if slot.pending > 0:  # it is back before its removal was judged: it goes on
                slot.since = slot.born
                slot.pending = 0
        slot.tick = slot.now_tick
        slot.notional = slot.now
        slot.share = share
        slot.z = z
        if slot.past_count == 0 or st.ts - slot.past_ts[(slot.past_count - 1) & 3] >= CELL_NS:
            slot.past_ts[slot.past_count & 3] = st.ts
            slot.past[slot.past_count & 3] = slot.now
            slot.past_count += 1
    _test(state, slot, s, touch)
    step = -1 if s == 0 else 1
    is_beyond = step * (slot.tick - limit) > 0
    if not holds:
        if slot.is_wall == 1:
            if is_beyond:
                leave(state, slot, ended, s)
            else:
                slot.pending = st.ts
                slot.born = slot.since
                slot.before = _past(slot, st.ts - _AROUND_NS)
            slot.is_wall = 0
        slot.since = 0
    if slot.pending > 0 and st.ts - slot.pending >= _AROUND_NS:
        outcome = 4
        if not is_beyond:
            traded = _traded(state, slot, ring, s)
            outcome = classify(slot.before, slot.now, traded)
        _write_end(state, slot, ended, s, slot.pending - slot.born, outcome)
        slot.pending = 0
        slot.tested = 0
        slot.traded = 0.0
        slot.is_near = 0
        slot.through = 0


@kernel
def _fill_cells(slot: Any, cell: int, holds: bool) -> None:
    """Write what held since the last look, then what holds now."""
    if slot.met > 0:
        first = max(slot.cell + 1, cell - CELLS + 1)
        for c in range(first, cell):
            slot.met += np.int64(slot.on) - np.int64(slot.cells[c % CELLS])
            slot.cells[c % CELLS] = slot.on
    now = 1 if holds else 0
    slot.met += now - np.int64(slot.cells[cell % CELLS])
    slot.cells[cell % CELLS] = now
    slot.cell = cell
    slot.on = now


@kernel
def _test(state: Any, slot: Any, s: int, touch: int) -> None:
    """Note an approach of the touch, once until it has gone 2 bps away, and a trade beyond."""
    st = state[0]
    distance = 2e4 * abs(touch - slot.tick) / st.twice_mid
    if slot.is_near == 0 and distance <= 1.0:
        slot.is_near = 1
        slot.tested += 1
    elif slot.is_near == 1 and distance > 2.0:
        slot.is_near = 0
    if slot.since == st.ts:
        return  # it was not there yet when those trades came
    near = near_tick(state, s, slot.bucket)
    if s == 0 and st.lowest_sell < near - st.width + 1:
        slot.through = 1
    if s == 1 and st.highest_buy > near + st.width - 1:
        slot.through = 1


@kernel
def _past(slot: Any, ts: int) -> float:
    """Return the newest notional noted at or before a time, else the oldest known."""
    known = min(slot.past_count, 4)
    value = slot.notional
    for back in range(known):
        at = (slot.past_count - 1 - back) & 3
        value = slot.past[at]
        if slot.past_ts[at] <= ts:
            break
    return value  # type: ignore[no-any-return]


@kernel
def _traded(state: Any, slot: Any, ring: Any, s: int) -> float:
    """Return what was traded at a bucket's prices within 250 ms of its release."""
    st = state[0]
    total = 0.0
    for i in range(min(st.trades, TRADES)):
        trade = ring[i]
        hits = trade.side == 0 or (trade.side < 0) == (s == 0)
        if (
            hits
            and abs(trade.ts - slot.pending) <= _AROUND_NS
            and bucket_of(state, s, trade.tick) == slot.bucket
        ):
            total += trade.notional
    return total


@kernel
def classify(before: float, after: float, traded: float) -> int:
    lost = before - after
    if not lost >= _REMOVED * before:
        return 3
    return 1 if traded >= 0.5 * lost else 2


@kernel
def leave(state: Any, slot: Any, ended: Any, s: int) -> None:
    """End a wall of which nothing more will be known."""
    if slot.is_wall == 1:
        _write_end(state, slot, ended, s, state[0].ts - slot.since, 4)
    elif slot.pending > 0:
        _write_end(state, slot, ended, s, slot.pending - slot.born, 4)


@kernel
def _write_end(state: Any, slot: Any, ended: Any, s: int, age_ns: int, outcome: int) -> None:
    st = state[0]
    end = ended[st.ended % ENDED]
    end.s = s
    end.bucket = slot.bucket
    end.tick = slot.tick
    end.near_tick = near_tick(state, s, slot.bucket)
    end.width = st.width
    end.twice_mid = st.twice_mid
    end.notional = slot.notional
    end.share = slot.share
    end.z = slot.z
    end.met = slot.met
    end.age_ns = age_ns
    end.tested = slot.tested
    end.traded = slot.traded
    end.through = slot.through
    end.outcome = outcome
    st.ended += 1


@kernel
def clear(slot: Any) -> None:
    if slot.met > 0:
        for c in range(CELLS):
            slot.cells[c] = 0
    slot.since = slot.born = slot.pending = slot.met = slot.tested = slot.past_count = 0
    slot.traded = 0.0
    slot.on = slot.is_wall = slot.is_near = slot.through = 0
