"""The notional of one side in price buckets, straight from the window and the far store."""

from typing import Any

import numpy as np

from alphaplus.book._kernels.far import find_block
from alphaplus.book._kernels.layout import WINDOW, Records
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def sum_buckets(
    state: Records,
    blocks: Records,
    directory: Records,
    s: int,
    begin: int,
    width: int,
    end: int,
    inverse: bool,
    sums: Any,
) -> int:
    """Write what each bucket holds of a side; return how many buckets there are.

    The keys from `begin` to `end` (not above it) are cut into buckets of `width` keys, the last
    of which may be cut short; more than `sums` has room for are left out. A level weighs its
    quantity times its tick, or its quantity alone if `inverse`.
    """
    count = min((end - begin) // width + 1, len(sums)) if end >= begin else 0
    for b in range(count):
        first = begin + b * width
        last = min(first + width - 1, end)
        sums[b] = sum_window(state, s, first, last, inverse)
    if count > 0 and state.far[s] > 0 and end > state.last[s]:
        at = find_block(directory[s], state.blocks[s], max(begin, state.last[s]))
        for number in range(at, state.blocks[s]):
            block = blocks[directory[2 + s, number]]
            if block.key[0] > end:
                break
            for i in range(block.count):
                if begin <= block.key[i] <= end:
                    b = (block.key[i] - begin) // width
                    if b < count:
                        sums[b] += weight(s, block.key[i], block.quantity[i], inverse)
    return count


@borrowing_kernel
def sum_between(
    state: Records, blocks: Records, directory: Records, s: int, begin: int, end: int, inverse: bool
) -> float:
    """Return what the keys from `begin` to `end` hold of a side, weighed as above."""
    total = sum_window(state, s, begin, end, inverse)
    if state.far[s] > 0 and end > state.last[s]:
        for number in range(state.blocks[s]):
            block = blocks[directory[2 + s, number]]
            for i in range(block.count):
                if block.key[i] > end:
                    return total
                if block.key[i] >= begin:
                    total += weight(s, block.key[i], block.quantity[i], inverse)
    return total


@borrowing_kernel
def heaviest_key(
    state: Records, blocks: Records, directory: Records, s: int, begin: int, end: int, inverse: bool
) -> int:
    """Return the key of the heaviest level from `begin` to `end`, the nearest of equal ones.

    `begin` if there is none.
    """
    heaviest = begin
    most = 0.0
    for offset in range(max(begin - state.base[s], 0), min(end - state.base[s], WINDOW - 1) + 1):
        if state.quantity[s, offset] > 0.0:
            key = state.base[s] + offset
            weighs = weight(s, key, state.quantity[s, offset], inverse)
            if weighs > most:
                most = weighs
                heaviest = key
    if state.far[s] > 0 and end > state.last[s]:
        for number in range(state.blocks[s]):
            block = blocks[directory[2 + s, number]]
            for i in range(block.count):
                if block.key[i] > end:
                    return heaviest
                if block.key[i] >= begin:
                    weighs = weight(s, block.key[i], block.quantity[i], inverse)
                    if weighs > most:
                        most = weighs
                        heaviest = block.key[i]
    return heaviest


@borrowing_kernel
def weight(s: int, key: int, quantity: float, inverse: bool) -> float:
    """Return a level's quantity times its tick, or the quantity alone if `inverse`."""
    return quantity if inverse else quantity * (key ^ (s - 1))


@borrowing_kernel
def sum_window(state: Records, s: int, begin: int, end: int, inverse: bool) -> float:
    """Return what the keys from `begin` to `end` that lie in the window hold."""
    base = state.base[s]
    low, high = max(begin - base, 0), min(end - base, WINDOW - 1) + 1
    if low >= high:
        return 0.0
    total, moment = _sums(state.quantity[s], low, high)
    if inverse:
        return total
    nearest = np.float64((base + low) ^ (s - 1))
    return nearest * total + np.float64(2 * s - 1) * moment


@borrowing_kernel
def _sums(quantities: Any, low: int, high: int) -> tuple[float, float]:
    """Return the sum of some quantities, and that of each times its place behind `low`.

    In four lanes: an addition waits for the one before it. Empty places count 0.
    """
    a = b = c = d = 0.0
    at_a = at_b = at_c = at_d = 0.0
    row = 0.0
    four = np.uint64(4)
    i, end = np.uint64(low), np.uint64(high)  # unsigned: one that may be negative costs more
    while i + four <= end:
        p, q = quantities[i], quantities[i + np.uint64(1)]
        r, t = quantities[i + np.uint64(2)], quantities[i + np.uint64(3)]
        a += p
        b += q
        c += r
        d += t
        at_a += p * row
        at_b += q * row
        at_c += r * row
        at_d += t * row
        row += 1.0
        i += four
    total = (a + b) + (c + d)
    moment = 4.0 * ((at_a + at_b) + (at_c + at_d)) + ((b + 2.0 * c) + 3.0 * d)
    place = 4.0 * row
    while i < end:
        total += quantities[i]
        moment += quantities[i] * place
        place += 1.0
        i += np.uint64(1)
    return total, moment
