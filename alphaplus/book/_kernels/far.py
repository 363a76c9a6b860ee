"""The far store: sorted blocks of levels, found through a directory."""

from typing import Any

import numpy as np

from alphaplus.book._kernels.layout import (
    BLOCK_PART,
    BLOCK_SIZE,
    FILL,
    GROUP,
    INT64_MAX,
    PART,
    Records,
)
from alphaplus.jit import borrowing_kernel, inlined_kernel


@borrowing_kernel
def open_block(
    state: Records, blocks: Records, directory: Records, s: int, at: int, low: int
) -> int:
    """Take a free block, for keys from `low` on, into the directory; return its number.

    `low` must be at most the block's first key to come, and above every key before it.
    """
    block: int = state.free_block
    state.free_block = blocks[block].next
    state.free_count -= 1
    low_of = directory[s]
    number_of = directory[2 + s]
    for i in range(state.blocks[s], at, -1):
        low_of[i] = low_of[i - 1]
        number_of[i] = number_of[i - 1]
    low_of[at] = low
    number_of[at] = block
    state.blocks[s] += 1
    blocks[block].count = 0
    for i in range(BLOCK_SIZE):
        blocks[block].key[i] = INT64_MAX
    return block


@borrowing_kernel
def close_block(state: Records, blocks: Records, directory: Records, s: int, at: int) -> None:
    """Give the block at directory position `at` back to the free ones."""
    block = directory[2 + s, at]
    blocks[block].next = state.free_block
    state.free_block = block
    state.free_count += 1
    state.blocks[s] -= 1
    low_of = directory[s]
    number_of = directory[2 + s]
    for i in range(at, state.blocks[s]):
        low_of[i] = low_of[i + 1]
        number_of[i] = number_of[i + 1]
    low_of[state.blocks[s]] = INT64_MAX


@inlined_kernel
def find_block(low_of: Any, count: int, key: int) -> int:
    """Return the last position whose lowest key is at most `key`, else 0; `count` > 0."""
    group = -1
    for i in range(0, count, GROUP):
        group += low_of[np.uint64(i)] <= key
    first = max(group, 0) * GROUP
    part = 0
    for i in range(PART, GROUP, PART):
        part += low_of[np.uint64(first + i)] <= key
    first += part * PART
    at = first - 1
    for i in range(PART):
        at += low_of[np.uint64(first + i)] <= key
    return min(max(at, 0), count - 1)


@inlined_kernel
def _find_slot(block: Records, key: int) -> int:
    """Return the first slot of a block whose key is at least `key`."""
    part = 0
    for i in range(BLOCK_PART - 1, BLOCK_SIZE - 1, BLOCK_PART):
        part += block.key[np.uint64(i)] < key
    first = part * BLOCK_PART
    slot = first
    for i in range(BLOCK_PART):
        slot += block.key[np.uint64(first + i)] < key
    return slot


@inlined_kernel
def put_in_block(state: Records, block: Records, s: int, key: int, quantity: float) -> bool:
    """Set a level of a block; False, changing nothing, if it has no room."""
    slot = _find_slot(block, key)
    done = True
    if slot < block.count and block.key[np.uint64(slot)] == key:
        block.quantity[np.uint64(slot)] = quantity
    elif block.count < BLOCK_SIZE:
        for i in range(block.count, slot, -1):
            block.key[np.uint64(i)] = block.key[np.uint64(i - 1)]
            block.quantity[np.uint64(i)] = block.quantity[np.uint64(i - 1)]
        block.key[np.uint64(slot)] = key
        block.quantity[np.uint64(slot)] = quantity
        block.count += 1
        state.far[s] += 1
    else:
        done = False
    return done


@inlined_kernel
def delete_in_block(state: Records, block: Records, s: int, key: int) -> None:
    """Remove a level of a block; an absent one is no error."""
    slot = _find_slot(block, key)
    if slot < block.count and block.key[np.uint64(slot)] == key:
        block.count -= 1
        for i in range(slot, block.count):
            block.key[np.uint64(i)] = block.key[np.uint64(i + 1)]
            block.quantity[np.uint64(i)] = block.quantity[np.uint64(i + 1)]
        block.key[np.uint64(block.count)] = INT64_MAX
        state.far[s] -= 1


@borrowing_kernel
def make_room(state: Records, blocks: Records, directory: Records, s: int, key: int) -> int:
    """Take one free block, which must be there, where the block for `key` is missing or full.

    Returns the number of the block, now with room, that `key` belongs to.
    """
    if state.blocks[s] == 0:
        return open_block(state, blocks, directory, s, 0, key)
    at = find_block(directory[s], state.blocks[s], key)
    number: int = directory[2 + s, at]
    old = blocks[number]
    slot = _find_slot(old, key)
    if slot == BLOCK_SIZE:  # runs of keys, as snapshots send them, fill whole blocks
        return open_block(state, blocks, directory, s, at + 1, key)
    if slot == 0:
        directory[s, at] = old.key[0]
        return open_block(state, blocks, directory, s, at, key)
    half = BLOCK_SIZE // 2
    upper = open_block(state, blocks, directory, s, at + 1, old.key[half])
    new = blocks[upper]
    for i in range(half):
        new.key[i] = old.key[half + i]
        new.quantity[i] = old.quantity[half + i]
        old.key[half + i] = INT64_MAX
    old.count = half
    new.count = half
    return number if key < new.key[0] else upper


@borrowing_kernel
def put_first(
    state: Records, blocks: Records, directory: Records, s: int, key: int, quantity: float
) -> None:
    """Put a level before all others of the far store; may take one free block."""
    if state.blocks[s] > 0 and put_in_block(state, blocks[directory[2 + s, 0]], s, key, quantity):
        directory[s, 0] = key
    else:
        block = blocks[make_room(state, blocks, directory, s, key)]
        put_in_block(state, block, s, key, quantity)


@borrowing_kernel
def drop_first(block: Records, count: int) -> None:
    """Remove the first `count` levels of a block."""
    block.count -= count
    for i in range(block.count):
        block.key[i] = block.key[i + count]
        block.quantity[i] = block.quantity[i + count]
    for i in range(block.count, block.count + count):
        block.key[i] = INT64_MAX


@borrowing_kernel
def chain_free(state_row: Records, blocks: Records) -> None:
    """Put every block of a pool on the list of free ones."""
    for i in range(len(blocks)):
        blocks[i].next = i + 1
    blocks[len(blocks) - 1].next = -1
    state_row[0].free_block = 0
    state_row[0].free_count = len(blocks)


@borrowing_kernel
def move_far(
    state_row: Records, blocks: Records, directory: Records, to_blocks: Records, to_dir: Records
) -> None:
    """Move the far store to a fresh pool, `FILL` levels per block."""
    chain_free(state_row, to_blocks)
    state = state_row[0]
    for s in range(2):
        opened = state.blocks[s]
        state.blocks[s] = 0
        target = to_blocks[0]
        for at in range(opened):
            block = blocks[directory[2 + s, at]]
            for i in range(block.count):
                if state.blocks[s] == 0 or target.count == FILL:
                    end = state.blocks[s]
                    target = to_blocks[open_block(state, to_blocks, to_dir, s, end, block.key[i])]
                target.key[target.count] = block.key[i]
                target.quantity[target.count] = block.quantity[i]
                target.count += 1
