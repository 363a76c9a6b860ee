"""Looks at the book at given places of a batch."""

from typing import Any, Final

import numpy as np

from alphaplus.book._kernels.apply import apply_events
from alphaplus.book._kernels.layout import BLOCK, STATE, Records
from alphaplus.book._kernels.profile import heaviest_key, sum_between, sum_buckets
from alphaplus.book._kernels.window import best_offset
from alphaplus.jit import borrowing_kernel

LOOK: Final = np.dtype(
    [
        ("row", "<i8"),  # the last row of the message after which to look
        ("ts_event", "<i8"),
        ("trades", "<i8"),  # trades of the batch before that row
        ("bid_tick", "<i8"),  # the touch; both 0 where nothing was seen
        ("ask_tick", "<i8"),
        # bids, then asks
        ("limit", "<i8", (2,)),  # the last ticks within the range
        ("truncated", "<i8", (2,)),  # whether the range is not all known
        ("near_truncated", "<i8", (2,)),
        ("near_notional", "<f8", (2,)),
        ("anchor", "<i8"),  # best bid + best ask when the buckets were laid
        ("width", "<i8"),  # ticks of a bucket
        ("first", "<i8", (2,)),  # number of the first bucket, counted outward from the anchor
        ("buckets", "<i8", (2,)),
    ],
    align=True,
)
PLAN: Final = np.dtype(
    [
        ("look", "<i8"),  # looks of the batch that are done
        ("row", "<i8"),  # rows before the one that the current part begins with
        ("written", "<i8"),  # TOP rows before those of the current part
        ("range_numerator", "<i8"),
        ("range_denominator", "<i8"),
        ("near_numerator", "<i8"),
        ("near_denominator", "<i8"),
        ("bucket", "<f8"),  # width over best bid + best ask
        ("heavy_share", "<f8"),
        ("unit", "<f8"),  # notional = quantity * unit * tick, or quantity * unit if inverse
        ("inverse", "<i8"),
        ("anchor", "<i8"),
        ("width", "<i8"),  # 0: not laid yet
    ],
    align=True,
)


@borrowing_kernel
def apply_and_look(
    state_words: Any,
    block_words: Any,
    directory: Records,
    events: Records,
    top_words: Any,
    first: int,
    best_levels: Records,
    plan_row: Records,
    looks: Records,
    notionals: Any,
    heaviest: Any,
) -> int:
    """Apply events part by part, and look behind each part that ends where a look is due.

    Arguments and result as those of `apply_events`, from the part on where the plan stands.
    """
    state = state_words.view(STATE)[0]
    blocks = block_words.view(BLOCK)
    plan = plan_row[0]
    while True:
        is_last = plan.look == len(looks)
        end = len(events) if is_last else looks[plan.look].row + 1
        count = apply_events(
            state_words,
            block_words,
            directory,
            events[plan.row : end],
            top_words,
            first + plan.written,
            best_levels[plan.written :],
        )
        if count < 0:
            return count
        plan.written += count
        plan.row = end
        if is_last:
            return plan.written  # type: ignore[no-any-return]
        at = plan.look
        _look(state, blocks, directory, plan, looks[at], notionals[at], heaviest[at])
        plan.look += 1


@borrowing_kernel
def _look(
    state: Records,
    blocks: Records,
    directory: Records,
    plan: Records,
    look: Records,
    notionals: Any,
    heaviest: Any,
) -> None:
    """Sum up both sides near the mid."""
    look.bid_tick = look.ask_tick = 0
    if state.is_valid == 0:
        return
    for s in range(2):
        if state.near[s] + state.far[s] == 0:
            return
    best = _best_key(state, blocks, directory, 0), _best_key(state, blocks, directory, 1)
    bid, ask = ~best[0], best[1]
    whole = 2 * max(plan.range_denominator, plan.near_denominator)
    if not 0 < bid < ask or not float(bid) + float(ask) < 9e18 / whole:
        return  # no prices of a market: a distance from them has no meaning, or no exact one
    twice_mid = bid + ask
    if plan.width == 0 or abs(twice_mid - plan.anchor) > plan.anchor // 10:
        plan.anchor = twice_mid
        plan.width = max(1, int(twice_mid * plan.bucket + 0.5))
    look.bid_tick = bid
    look.ask_tick = ask
    look.anchor = plan.anchor
    look.width = plan.width
    inverse = plan.inverse != 0
    for s in range(2):
        near = _limit(s, twice_mid, plan.near_numerator, plan.near_denominator)
        look.near_truncated[s] = state.known[s] < near
        look.near_notional[s] = plan.unit * sum_between(
            state, blocks, directory, s, best[s], near, inverse
        )
        limit = _limit(s, twice_mid, plan.range_numerator, plan.range_denominator)
        look.limit[s] = limit ^ (s - 1)
        look.truncated[s] = state.known[s] < limit
        origin = (plan.anchor + 1) // 2 if s == 1 else ~(plan.anchor // 2)
        look.first[s] = (best[s] - origin) // plan.width
        begin = origin + look.first[s] * plan.width
        sums = notionals[s]
        count = sum_buckets(state, blocks, directory, s, begin, plan.width, limit, inverse, sums)
        look.buckets[s] = count
        total = 0.0
        for b in range(count):
            sums[b] *= plan.unit
            total += sums[b]
        least = plan.heavy_share * total * (1.0 - 1e-9)  # whoever divides may round up
        for b in range(count):
            if sums[b] >= least:
                low = begin + b * plan.width
                high = min(low + plan.width - 1, limit)
                key = heaviest_key(state, blocks, directory, s, low, high, inverse)
                heaviest[s, b] = key ^ (s - 1)


@borrowing_kernel
def _limit(s: int, twice_mid: int, numerator: int, denominator: int) -> int:
    """Return the last key within a distance of the mid."""
    whole = 2 * denominator
    if s == 1:
        return twice_mid * (denominator + numerator) // whole
    return ~(-(-twice_mid * (denominator - numerator) // whole))


@borrowing_kernel
def _best_key(state: Records, blocks: Records, directory: Records, s: int) -> int:
    """Return the key of the best level of a side that has levels."""
    if state.near[s] > 0:
        return state.base[s] + best_offset(state, s)  # type: ignore[no-any-return]
    return blocks[directory[2 + s, 0]].key[0]  # type: ignore[no-any-return]
