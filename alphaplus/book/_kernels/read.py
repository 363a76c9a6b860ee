"""Levels out of the book: the touch, the best ones, all of a side."""

from typing import Any

import numpy as np

from alphaplus.book._kernels.layout import WORDS, Records
from alphaplus.book._kernels.window import best_offset
from alphaplus.book.best_levels import BEST_COUNT
from alphaplus.intrinsics import lowest_bit
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def read_top(state: Records, blocks: Records, directory: Records, top: Records) -> None:
    """Write the best level of both sides to a TOP row; quantity 0 where a side is empty."""
    for s in range(2):
        key = np.int64(0)
        quantity = 0.0
        if state.near[s] > 0:
            offset = best_offset(state, s)
            key = state.base[s] + offset
            quantity = state.quantity[s, offset]
        elif state.far[s] > 0:
            block = blocks[directory[2 + s, 0]]
            key = block.key[0]
            quantity = block.quantity[0]
        if s == 0:
            top.bid_tick = ~key if quantity > 0.0 else 0
            top.bid_quantity = quantity
        else:
            top.ask_tick = key
            top.ask_quantity = quantity
    top.ts_event = state.ts_event
    top.ts_recv = state.ts_recv
    top.sequence = state.sequence
    both = top.bid_quantity > 0.0 and top.ask_quantity > 0.0
    top.crossed = 1 if both and top.bid_tick >= top.ask_tick else 0


@borrowing_kernel
def read_top_of(state: Records, blocks: Records, directory: Records, top: Records) -> None:
    """Write the best levels of the book (one-row arrays) to a TOP row."""
    read_top(state[0], blocks, directory, top[0])


@borrowing_kernel
def _read_best_side(
    state: Records, blocks: Records, directory: Records, s: int, ticks: Any, quantities: Any
) -> None:
    """Write the best `BEST_COUNT` levels of a side, best first, then zeros."""
    mask = s - 1
    count = 0
    base = state.base[s]
    summary = state.summary[s]
    while summary != 0 and count < BEST_COUNT:
        first = lowest_bit(summary) << 6
        summary &= summary - 1
        word = state.word[s, first >> 6]
        while word != 0 and count < BEST_COUNT:
            offset = first + lowest_bit(word)
            word &= word - 1
            ticks[count] = (base + offset) ^ mask
            quantities[count] = state.quantity[s, offset]
            count += 1
    at = 0
    while at < state.blocks[s] and count < BEST_COUNT:
        block = blocks[directory[2 + s, at]]
        for i in range(min(block.count, BEST_COUNT - count)):
            ticks[count] = block.key[i] ^ mask
            quantities[count] = block.quantity[i]
            count += 1
        at += 1
    for i in range(count, BEST_COUNT):
        ticks[i] = 0
        quantities[i] = 0.0


@borrowing_kernel
def read_best(state: Records, blocks: Records, directory: Records, best: Records) -> None:
    """Write the best levels of both sides to a BEST_LEVELS row."""
    _read_best_side(state, blocks, directory, 0, best.bid_tick, best.bid_quantity)
    _read_best_side(state, blocks, directory, 1, best.ask_tick, best.ask_quantity)
    best.ts_event = state.ts_event
    best.ts_recv = state.ts_recv
    best.sequence = state.sequence


@borrowing_kernel
def copy_levels(
    state_row: Records,
    blocks: Records,
    directory: Records,
    s: int,
    worst_key: int,
    ticks: Any,
    quantities: Any,
) -> int:
    """Copy the levels of a side up to `worst_key`, best first, as many as fit; return how many."""
    state = state_row[0]
    mask = s - 1
    limit = len(ticks)
    count = 0
    base = state.base[s]
    for w in range(WORDS):
        if state.word[s, w] == 0:
            continue
        for offset in range(w << 6, (w + 1) << 6):
            key = base + offset
            if count == limit or key > worst_key:
                return count
            quantity = state.quantity[s, offset]
            ticks[count] = key ^ mask  # kept only where there is a level: no branch to predict
            quantities[count] = quantity
            count += quantity != 0.0
    for at in range(state.blocks[s]):
        block = blocks[directory[2 + s, at]]
        for i in range(block.count):
            if count == limit or block.key[i] > worst_key:
                return count
            ticks[count] = block.key[i] ^ mask
            quantities[count] = block.quantity[i]
            count += 1
    return count
