"""Where the window stands: it follows the touch, and levels move between it and the far store."""

from alphaplus.book._kernels.far import close_block, drop_first, make_room, put_first, put_in_block
from alphaplus.book._kernels.layout import BLOCK_SIZE, DRIFT, WINDOW, Records
from alphaplus.book._kernels.window import (
    base_for,
    best_offset,
    delete_near,
    highest_offset,
    put_near,
    shift_window,
)
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def _blocks_to_move(state: Records, s: int) -> int:
    """Return how many free blocks suffice to move the whole window to the far store."""
    levels: int = state.near[s]
    return levels // BLOCK_SIZE + 2


@borrowing_kernel
def move_window(state: Records, blocks: Records, directory: Records, s: int, key: int) -> None:
    """Put the window where it suits the best level `key`; the levels stay the same.

    `key` is at most the best level's. Towards better prices, levels that the window leaves
    go to the far store (`_blocks_to_move` must be free); towards worse, they come from it.
    """
    old = state.base[s]
    base = base_for(key)
    last = base + (WINDOW - 1)
    if base < old:
        while state.near[s] > 0:  # worst first, so that each one lands at the front
            offset = highest_offset(state, s)
            if old + offset <= last:
                break
            quantity = state.quantity[s, offset]
            delete_near(state, s, offset)
            put_first(state, blocks, directory, s, old + offset, quantity)
    if state.near[s] > 0 and base != old:
        shift_window(state, s, (old - base) >> 6)  # within the window, else it were empty
    state.base[s] = base
    state.last[s] = last
    while state.blocks[s] > 0 and base > old:
        block = blocks[directory[2 + s, 0]]
        taken = 0
        while taken < block.count and block.key[taken] <= last:
            put_near(state, s, block.key[taken] - base, block.quantity[taken])
            taken += 1
        state.far[s] -= taken
        if taken < block.count:
            drop_first(block, taken)
            break
        close_block(state, blocks, directory, s, 0)


@borrowing_kernel
def follow_touch(state: Records, blocks: Records, directory: Records, s: int) -> None:
    """Move the window where the touch has drifted far into it, or out of it."""
    if state.near[s] > 0:
        offset = best_offset(state, s)
        if offset > DRIFT:
            move_window(state, blocks, directory, s, state.base[s] + offset)
    elif state.far[s] > 0:
        move_window(state, blocks, directory, s, blocks[directory[2 + s, 0]].key[0])


@borrowing_kernel
def put_outside(
    state: Records, blocks: Records, directory: Records, s: int, key: int, quantity: float
) -> int:
    """Set a level for which neither the window nor a block has room.

    Returns 0, or how many free blocks it needs where they are lacking: then nothing is done.
    """
    if state.near[s] + state.far[s] == 0:
        state.base[s] = base_for(key)
        state.last[s] = state.base[s] + (WINDOW - 1)
        put_near(state, s, key - state.base[s], quantity)
    elif key < state.base[s]:
        needed = _blocks_to_move(state, s)
        if state.free_count < needed:
            return needed
        move_window(state, blocks, directory, s, key)
        put_near(state, s, key - state.base[s], quantity)
    else:
        if state.free_count == 0:
            return 1
        block = blocks[make_room(state, blocks, directory, s, key)]
        put_in_block(state, block, s, key, quantity)
    return 0
