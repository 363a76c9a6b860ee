"""How many levels a side keeps, and what is known of it."""

from alphaplus.book._kernels.far import close_block
from alphaplus.book._kernels.layout import INT64_MAX, Records
from alphaplus.book._kernels.window import delete_near, highest_offset
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def worst_key(state: Records, blocks: Records, directory: Records, s: int) -> int:
    """Return the worst level's key; the highest possible one where the side is empty."""
    worst: int = INT64_MAX
    if state.blocks[s] > 0:
        block = blocks[directory[2 + s, state.blocks[s] - 1]]
        worst = block.key[block.count - 1]
    elif state.near[s] > 0:
        worst = state.base[s] + highest_offset(state, s)
    return worst


@borrowing_kernel
def prune(state: Records, blocks: Records, directory: Records, s: int) -> None:
    """Drop the worst levels beyond `max_levels`: the side is known up to the rest only."""
    surplus = state.near[s] + state.far[s] - state.max_levels
    if surplus <= 0:
        return
    state.pruned += surplus
    while surplus > 0 and state.blocks[s] > 0:
        at = state.blocks[s] - 1
        block = blocks[directory[2 + s, at]]
        count = min(surplus, block.count)
        block.count -= count
        for i in range(block.count, block.count + count):
            block.key[i] = INT64_MAX
        if block.count == 0:
            close_block(state, blocks, directory, s, at)
        state.far[s] -= count
        surplus -= count
    while surplus > 0:
        delete_near(state, s, highest_offset(state, s))
        surplus -= 1
    state.known[s] = min(state.known[s], worst_key(state, blocks, directory, s))


@borrowing_kernel
def clear_levels(state: Records, blocks: Records, directory: Records) -> None:
    """Remove every level of both sides of the state row."""
    for s in range(2):
        while state.blocks[s] > 0:
            close_block(state, blocks, directory, s, state.blocks[s] - 1)
        state.far[s] = 0
        if state.near[s] > 0:
            state.near[s] = 0
            state.summary[s] = 0
            state.word[s, :] = 0
            state.quantity[s, :] = 0.0


@borrowing_kernel
def clear_book(state: Records, blocks: Records, directory: Records) -> None:
    """Return the book (a one-row array) to where it began."""
    clear_levels(state[0], blocks, directory)
    state[0].is_valid = 0
    state[0].in_snapshot = 0
    state[0].row = 0
    state[0].written = 0
