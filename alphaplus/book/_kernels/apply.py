"""Events into the book: the entry for batches."""

from typing import Any, Final

import numpy as np

from alphaplus.book._kernels.bounds import clear_levels, prune, worst_key
from alphaplus.book._kernels.far import close_block, delete_in_block, find_block, put_in_block
from alphaplus.book._kernels.layout import (
    BLOCK,
    INT64_MAX,
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
from alphaplus.jit import borrowing_kernel

_DEPTH: Final = int(Kind.DEPTH)
_BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
_END: Final = int(Kind.SNAPSHOT_END)
_LAST: Final = int(Flag.LAST)


@borrowing_kernel
def count_messages(events: Records) -> int:
    """Return how many messages a batch completes at most."""
    count = 0
    for i in range(len(events)):
        kind = events[i].kind
        count += kind == _END or (kind == _DEPTH and events[i].flags & _LAST != 0)
    return count


@borrowing_kernel
def _apply_run(
    state: Records, blocks: Records, directory: Records, events: Records, i: int, s: int
) -> int:
    """Apply the DEPTH row `i`, and those of its side and message that follow at once.

    Returns the row behind them, or a row for which `state.needed` free blocks are lacking:
    nothing of that one has been applied.
    """
    side = 1 - 2 * s
    mask = s - 1
    base = state.base[s]
    near = state.near[s]
    summary = np.uint64(state.summary[s])
    words = state.word[s]
    quantities = state.quantity[s]
    one = np.uint64(1)
    most = 2 * state.max_levels
    while True:
        event = events[i]
        value = event.value
        if 0.0 <= value < np.inf:
            key = event.price_tick ^ mask
            offset = np.uint64(key - base)  # wraps around below the window: no second comparison
            if offset < np.uint64(WINDOW):
                # Without branches, as it is a surprise whether a level is new, old or gone.
                w = offset >> np.uint64(6)
                bit = offset & np.uint64(63)
                old = np.uint64(words[w])
                present = np.uint64(value > 0.0)
                new = (old & ~(one << bit)) | (present << bit)
                near += np.int64(present) - np.int64((old >> bit) & one)
                summary = (summary & ~(one << w)) | (np.uint64(new != 0) << w)
                words[w] = np.int64(new)
                quantities[offset] = value
            else:
                if state.far[s] >= most:  # a message without an end must not fill the memory
                    state.near[s] = near
                    state.summary[s] = np.int64(summary)
                    prune(state, blocks, directory, s)
                    near = state.near[s]
                    summary = np.uint64(state.summary[s])
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
                    state.near[s] = near
                    state.summary[s] = np.int64(summary)
                    state.needed = put_outside(state, blocks, directory, s, key, value)
                    if state.needed > 0:
                        return i
                    base = state.base[s]
                    near = state.near[s]
                    summary = np.uint64(state.summary[s])
        else:
            state.rejected += 1
        i += 1
        if event.flags & _LAST != 0 or i == len(events):
            break
        if events[i].side != side or events[i].kind != _DEPTH:
            break
    state.near[s] = near
    state.summary[s] = np.int64(summary)
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
    whose first rows are those written.
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
            read_best(state, blocks, directory, best_levels[state.written])
        state.written += 1
    written: int = state.written
    state.row = 0
    state.written = 0
    return written
