"""The window: levels near the touch, one array slot for each key."""

import numpy as np

from alphaplus.book._kernels.layout import INT64_MAX, INT64_MIN, MARGIN, WINDOW, WORDS, Records
from alphaplus.intrinsics import lowest_bit
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def best_offset(state: Records, s: int) -> int:
    """Return the window offset of the best level; the window must not be empty."""
    w: int = lowest_bit(state.summary[s])
    offset: int = (w << 6) + lowest_bit(state.word[s, w])
    return offset


@borrowing_kernel
def highest_offset(state: Records, s: int) -> int:
    """Return the window offset of the worst level; the window must not be empty."""
    w = WORDS - 1
    while state.word[s, w] == 0:
        w -= 1
    offset = 64 * w + 63
    while state.quantity[s, offset] == 0.0:
        offset -= 1
    return offset


@borrowing_kernel
def put_near(state: Records, s: int, offset: int, quantity: float) -> None:
    """Set a level of the window."""
    if state.quantity[s, offset] == 0.0:
        w = offset >> 6
        state.word[s, w] |= np.int64(1) << np.int64(offset & 63)
        state.summary[s] |= np.int64(1) << np.int64(w)
        state.near[s] += 1
    state.quantity[s, offset] = quantity


@borrowing_kernel
def delete_near(state: Records, s: int, offset: int) -> None:
    """Remove a level of the window; an absent one is no error."""
    if state.quantity[s, offset] != 0.0:
        state.quantity[s, offset] = 0.0
        w = offset >> 6
        state.word[s, w] &= ~(np.int64(1) << np.int64(offset & 63))
        if state.word[s, w] == 0:
            state.summary[s] &= ~(np.int64(1) << np.int64(w))
        state.near[s] -= 1


@borrowing_kernel
def base_for(key: int) -> int:
    """Return the base, a multiple of 64, of the window that suits the best level `key`."""
    if key < INT64_MIN + MARGIN:
        return INT64_MIN
    base = (key - MARGIN) & ~63
    if base > INT64_MAX - WINDOW + 1:
        return INT64_MAX - WINDOW + 1
    return base


@borrowing_kernel
def shift_window(state: Records, s: int, words: int) -> None:
    """Move the window's content up by `words` bitmap words (down where negative).

    What would fall off either end must have been removed before.
    """
    count = WORDS - abs(words)
    ticks = 64 * words
    if words > 0:
        for i in range(count - 1, -1, -1):
            state.word[s, i + words] = state.word[s, i]
        for i in range(64 * count - 1, -1, -1):
            state.quantity[s, i + ticks] = state.quantity[s, i]
        state.word[s, :words] = 0
        state.quantity[s, :ticks] = 0.0
        state.summary[s] <<= np.int64(words)
    else:
        for i in range(count):
            state.word[s, i] = state.word[s, i - words]
        for i in range(64 * count):
            state.quantity[s, i] = state.quantity[s, i - ticks]
        state.word[s, count:] = 0
        state.quantity[s, 64 * count :] = 0.0
        summary = np.int64(0)
        for i in range(count):
            if state.word[s, i] != 0:
                summary |= np.int64(1) << np.int64(i)
        state.summary[s] = summary
