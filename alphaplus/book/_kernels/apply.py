"""Events into the book: the entry for batches."""

from typing import Any, Final

import numpy as np

from alphaplus.book._kernels.bounds import clear_levels, prune, worst_key
from alphaplus.book._kernels.far import close_block, delete_in_block, find_block, put_in_block
from alphaplus.book._kernels.layout import (
    BLOCK,
    INT64_MAX,
    NO_BEST_ROW,
    NO_BLOCKS,
    NO_ROOM,
    STATE,
    TOP,
    WINDOW,
    Records,
)
from alphaplus.book._kernels.read import read_best, read_top
from alphaplus.book._kernels.touch import follow_touch, put_outside
from alphaplus.events import Flag, Kind
from alphaplus.intrinsics import prefetch
from alphaplus.jit import borrowing_kernel

_DEPTH: Final = int(Kind.DEPTH)
_BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
_END: Final = int(Kind.SNAPSHOT_END)
_LAST: Final = int(Flag.LAST)
_INFINITY: Final = np.uint64(0x7FF0 << 48)
"""The bits of the first number that is no quantity: those of 0 and positive ones are below."""
_AHEAD: Final = 64
"""Rows between the one that is applied and the one whose memory is asked for."""


@borrowing_kernel
def count_messages(events: Records) -> int:
    """Return how many messages a batch completes at most."""
    count = 0
    for i in range(len(events)):
        event = events[np.uint64(i)]
        prefetch(events, np.uint64(i + _AHEAD))
        count += event.kind == _END or (event.kind == _DEPTH and event.flags & _LAST != 0)
    return count


@borrowing_kernel
def _apply_near(state: Records, events: Records, i: int, s: int) -> int:
    """Apply rows of the window from `i` on, up to the end of the run or a row that is none.

    Returns the row behind them. A run are DEPTH rows of one side and message. Apart from what
    ends it there is no branch, as it is a surprise whether a level is new, old or gone.
    """
    side = 1 - 2 * s
    mask = s - 1
    base = state.base[s]
    near = state.near[s]
    summary = np.uint64(state.summary[s])
    words = state.word[s]
    quantities = state.quantity[s]
    one = np.uint64(1)
    while i < len(events):
        event = events[np.uint64(i)]
        prefetch(events, np.uint64(i + _AHEAD))
        value = event.value + 0.0  # -0.0 is 0.0 too
        bits = np.uint64(np.float64(value).view(np.int64))
        offset = np.uint64((event.price_tick ^ mask) - base)  # wraps around below the window
        if (
            event.side != side
            or event.kind != _DEPTH
            or offset >= np.uint64(WINDOW)
            or bits >= _INFINITY
        ):
            break
        w = offset >> np.uint64(6)
        bit = offset & np.uint64(63)
        old = np.uint64(words[w])
        present = np.uint64(bits != np.uint64(0))
        new = (old & ~(one << bit)) | (present << bit)
        near += np.int64(present) - np.int64((old >> bit) & one)
        summary = (summary & ~(one << w)) | (np.uint64(new != 0) << w)
        words[w] = np.int64(new)
        quantities[offset] = value
        i += 1
        if event.flags & _LAST != 0:
            break
    state.near[s] = near
    state.summary[s] = np.int64(summary)
    return i


@borrowing_kernel
def _apply_far(
    state: Records, blocks: Records, directory: Records, events: Records, i: int, s: int
) -> int:
    """Apply rows outside of the window, and those that are wrong, from `i` on.

    Ends as `_apply_near` does, or at a row for which `state.needed` free blocks are lacking:
    nothing of that one has been applied.
    """
    side = 1 - 2 * s
    mask = s - 1
    while i < len(events):
        event = events[np.uint64(i)]
        prefetch(events, np.uint64(i + _AHEAD))
        value = event.value
        key = event.price_tick ^ mask
        base = state.base[s]
        if event.side != side or event.kind != _DEPTH:
            break
        if not 0.0 <= value < np.inf:
            state.rejected += 1
        elif np.uint64(key - base) < np.uint64(WINDOW):
            break
        else:
            if state.far[s] >= 2 * state.max_levels:
                prune(state, blocks, directory, s)  # a message without end must not fill the memory
            done = value == 0.0
            if key > base and state.blocks[s] > 0:
                at = find_block(directory[s], state.blocks[s], key)
                block = blocks[directory[2 + s, at]]
                if done:
                    delete_in_block(state, block, s, key)
                    if block.count == 0:
                        close_block(state, blocks, directory, s, at)
                else:
                    done = put_in_block(state, block, s, key, value)
                    if done and key < directory[s, at]:
                        directory[s, at] = key
            if not done:
                state.needed = put_outside(state, blocks, directory, s, key, value)
                if state.needed > 0:
                    break
        i += 1
        if event.flags & _LAST != 0:
            break
    return i


@borrowing_kernel
def _apply_run(
    state: Records, blocks: Records, directory: Records, events: Records, i: int, s: int
) -> int:
    """Apply the DEPTH row `i`, and those of its side and message that follow at once.

    Returns the row behind them, or a row for which `state.needed` free blocks are lacking:
    nothing of that one has been applied.
    """
    begin = i
    while True:
        i = _apply_near(state, events, i, s)
        if i > begin and (i == len(events) or events[np.uint64(i - 1)].flags & _LAST != 0):
            break
        near = i
        i = _apply_far(state, blocks, directory, events, i, s)
        if i == near or state.needed > 0 or events[np.uint64(i - 1)].flags & _LAST != 0:
            break
    return i


@borrowing_kernel
def apply_events(
    state_words: Any,
    block_words: Any,
    directory: Records,
    events: Records,
    top_words: Any,
    first: int,
    best_levels: Records,
) -> int:
    """Apply events from `state.row` on; return the number of TOP rows of the batch.

    The int64 arrays are those of STATE, BLOCK and TOP rows: plain types are what a call
    recognises fastest. TOP rows are written from the row `first` on; `best_levels` is empty,
    or gets a row for each of them. Returns NO_BLOCKS where `state.needed` free blocks are
    lacking, and NO_ROOM where `state.written` TOP rows fill their array: nothing of the event
    at `state.row` has been applied, and the call may be repeated with a bigger pool or array,
    whose first rows are those written. Returns NO_BEST_ROW where `best_levels` is too short: the
    book stands within the batch then.
    """
    state = state_words.view(STATE)[0]
    blocks = block_words.view(BLOCK)
    tops = top_words.view(TOP)
    state.needed = 0
    i = state.row
    while i < len(events):
        if first + state.written == len(tops):
            state.row = i
            return NO_ROOM
        event = events[i]
        kind = event.kind
        if kind == _DEPTH:
            if abs(event.side) == 1:
                i = _apply_run(state, blocks, directory, events, i, (1 - event.side) >> 1)
                if state.needed > 0:
                    state.row = i
                    return NO_BLOCKS
                event = events[i - 1]
            else:
                state.rejected += 1
                i += 1
            if event.flags & _LAST == 0 or state.in_snapshot == 1:
                continue
        else:
            i += 1
            if kind == _BEGIN:
                clear_levels(state, blocks, directory)
                state.in_snapshot = 1
                state.is_valid = 0
                state.known[:] = INT64_MAX
                continue
            if kind != _END:
                continue
            if state.in_snapshot == 0:  # its beginning was lost, so the levels mean nothing
                state.rejected += 1
                continue
        for s in range(2):
            if state.near[s] + state.far[s] > state.max_levels:
                prune(state, blocks, directory, s)
        if kind == _END:
            state.in_snapshot = 0
            state.is_valid = 1
            for s in range(2):
                state.known[s] = min(state.known[s], worst_key(state, blocks, directory, s))
        elif state.is_valid == 0:
            continue
        state.sequence = event.sequence
        state.ts_event = event.ts_event
        state.ts_recv = event.ts_recv
        for s in range(2):
            follow_touch(state, blocks, directory, s)
        top = tops[first + state.written]
        read_top(state, blocks, directory, top)
        top.kind = kind
        if len(best_levels) > 0:
            if state.written == len(best_levels):
                return NO_BEST_ROW
            read_best(state, blocks, directory, best_levels[state.written])
        state.written += 1
    written: int = state.written
    state.row = 0
    state.written = 0
    return written
