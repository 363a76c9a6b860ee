"""Compiled kernels of the order book.

Levels live under a *key* that grows away from the touch on both sides: the tick for asks, its
bitwise complement for bids (no overflow, even at the ends of int64). Per side

- the **window** holds the keys `base..last` as an array of quantities, a bitmap of the non-zero
  ones and one summary word of the non-empty bitmap words: an update is one store, the best
  level two bit searches;
- the **far store** holds the keys above `last` in sorted blocks of up to `BLOCK_SIZE` levels,
  found through a directory: an int64 array whose row `s` has the lowest keys of side `s`,
  sorted, and whose row `2 + s` the numbers of the blocks.

Unused keys of blocks and of the directory are `INT64_MAX`, so that a search compares all of a
fixed number of keys, several at once, and no branch of it can be mispredicted.

No far key is ever below the window, so the best level is the window's first, or else the far
store's first. The window moves when a better price falls below it or the touch drifts away.

After each message a side has at most `max_levels`: worse ones are dropped, and the known range
ends where they began. Within one, the far store has at most twice as many.

A kernel that lacks free blocks changes nothing and says so: the caller gives it a bigger pool
(`move_far`) and calls again.
"""

from typing import Any, Final

import numpy as np

from alphaplus.book.best_levels import BEST_COUNT
from alphaplus.events import Flag, Kind
from alphaplus.jit import borrowing_kernel

WINDOW: Final = 4096
"""Keys in the window of a side: 64 words of 64 bits, so that one word sums them up."""
WORDS: Final = WINDOW // 64
MARGIN: Final = 512
"""Keys that a new window leaves free on the better side of the touch."""
DRIFT: Final = 2560
"""Offset of the touch in its window beyond which the window follows it."""
BLOCK_SIZE: Final = 32
GROUP: Final = 16
"""The directory's width is a multiple of this, and one search looks at every 16th key first."""
FILL: Final = 24
"""Levels per block after the far store has been moved."""

NO_BLOCKS: Final = -1
NO_ROOM: Final = -2
"""Why `apply_events` stopped early."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_DEPTH: Final = int(Kind.DEPTH)
_BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
_END: Final = int(Kind.SNAPSHOT_END)
_LAST: Final = int(Flag.LAST)

Records = Any
"""A numpy structured array, or inside a kernel one row of it (attribute access)."""

STATE: Final = np.dtype(
    [
        ("row", "<i8"),  # rows of the current batch that are applied
        ("written", "<i8"),  # rows of the current batch's tops that are written
        ("needed", "<i8"),  # free blocks that the row at `row` needs
        ("sequence", "<i8"),
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("in_snapshot", "<i8"),
        ("is_valid", "<i8"),
        ("rejected", "<i8"),
        ("pruned", "<i8"),
        ("max_levels", "<i8"),  # of a side, after each message
        ("free_block", "<i8"),  # head of the list of free blocks, -1 = none
        ("free_count", "<i8"),
        ("base", "<i8", (2,)),
        ("last", "<i8", (2,)),
        ("known", "<i8", (2,)),  # up to this key every level is known
        ("near", "<i8", (2,)),  # levels in the window
        ("far", "<i8", (2,)),  # levels in the far store
        ("blocks", "<i8", (2,)),  # length of the directory
        ("summary", "<i8", (2,)),
        ("word", "<i8", (2, WORDS)),
        ("quantity", "<f8", (2, WINDOW)),
    ],
    align=True,
)
BLOCK: Final = np.dtype(
    [
        ("count", "<i8"),
        ("next", "<i8"),  # of the list of free blocks
        ("key", "<i8", (BLOCK_SIZE,)),
        ("quantity", "<f8", (BLOCK_SIZE,)),
    ],
    align=True,
)
TOP: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("sequence", "<i8"),
        ("bid_tick", "<i8"),
        ("ask_tick", "<i8"),
        ("bid_quantity", "<f8"),
        ("ask_quantity", "<f8"),
        ("crossed", "u1"),
        ("kind", "u1"),
    ],
    align=True,
)

# ---- bits


@borrowing_kernel
def _lowest_bit(word: int) -> int:
    """Return the index of the lowest set bit; `word` must not be 0."""
    power = np.float64(word & -word).view(np.int64)  # exact: its exponent is the bit's index
    return ((power >> np.int64(52)) & np.int64(2047)) - 1023  # type: ignore[return-value]


@borrowing_kernel
def _best_offset(state: Records, s: int) -> int:
    """Return the window offset of the best level; the window must not be empty."""
    w: int = _lowest_bit(state.summary[s])
    return (w << 6) + _lowest_bit(state.word[s, w])


# ---- far store


@borrowing_kernel
def _open_block(
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
def _close_block(state: Records, blocks: Records, directory: Records, s: int, at: int) -> None:
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


@borrowing_kernel
def _find_block(low_of: Any, count: int, key: int) -> int:
    """Return the last position whose lowest key is at most `key`, else 0; `count` > 0."""
    group = -1
    for i in range(0, count, GROUP):
        group += low_of[np.uint64(i)] <= key
    first = max(group, 0) * GROUP
    at = first - 1
    for i in range(GROUP):
        at += low_of[np.uint64(first + i)] <= key
    return min(max(at, 0), count - 1)


@borrowing_kernel
def _find_slot(block: Records, key: int) -> int:
    """Return the first slot of a block whose key is at least `key`."""
    slot = 0
    for i in range(BLOCK_SIZE):  # all of them, as compilers make few comparisons of many keys
        slot += block.key[i] < key
    return slot


@borrowing_kernel
def _block_put(state: Records, block: Records, s: int, key: int, quantity: float) -> bool:
    """Set a level of a block; False, changing nothing, if it has no room."""
    slot = _find_slot(block, key)
    done = True
    if slot < block.count and block.key[slot] == key:
        block.quantity[slot] = quantity
    elif block.count < BLOCK_SIZE:
        for i in range(block.count, slot, -1):
            block.key[i] = block.key[i - 1]
            block.quantity[i] = block.quantity[i - 1]
        block.key[slot] = key
        block.quantity[slot] = quantity
        block.count += 1
        state.far[s] += 1
    else:
        done = False
    return done


@borrowing_kernel
def _block_delete(state: Records, block: Records, s: int, key: int) -> None:
    """Remove a level of a block; an absent one is no error."""
    slot = _find_slot(block, key)
    if slot < block.count and block.key[slot] == key:
        block.count -= 1
        for i in range(slot, block.count):
            block.key[i] = block.key[i + 1]
            block.quantity[i] = block.quantity[i + 1]
        block.key[block.count] = INT64_MAX
        state.far[s] -= 1


@borrowing_kernel
def _make_room(state: Records, blocks: Records, directory: Records, s: int, key: int) -> int:
    """Take one free block, which must be there, where the block for `key` is missing or full.

    Returns the number of the block, now with room, that `key` belongs to.
    """
    if state.blocks[s] == 0:
        return _open_block(state, blocks, directory, s, 0, key)
    at = _find_block(directory[s], state.blocks[s], key)
    number: int = directory[2 + s, at]
    old = blocks[number]
    slot = _find_slot(old, key)
    if slot == BLOCK_SIZE:  # runs of keys, as snapshots send them, fill whole blocks
        return _open_block(state, blocks, directory, s, at + 1, key)
    if slot == 0:
        directory[s, at] = old.key[0]
        return _open_block(state, blocks, directory, s, at, key)
    half = BLOCK_SIZE // 2
    upper = _open_block(state, blocks, directory, s, at + 1, old.key[half])
    new = blocks[upper]
    for i in range(half):
        new.key[i] = old.key[half + i]
        new.quantity[i] = old.quantity[half + i]
        old.key[half + i] = INT64_MAX
    old.count = half
    new.count = half
    return number if key < new.key[0] else upper


@borrowing_kernel
def _far_put_first(
    state: Records, blocks: Records, directory: Records, s: int, key: int, quantity: float
) -> None:
    """Put a level before all others of the far store; may take one free block."""
    if state.blocks[s] > 0 and _block_put(state, blocks[directory[2 + s, 0]], s, key, quantity):
        directory[s, 0] = key
    else:
        block = blocks[_make_room(state, blocks, directory, s, key)]
        _block_put(state, block, s, key, quantity)


@borrowing_kernel
def _drop_first(block: Records, count: int) -> None:
    """Remove the first `count` levels of a block."""
    block.count -= count
    for i in range(block.count):
        block.key[i] = block.key[i + count]
        block.quantity[i] = block.quantity[i + count]
    for i in range(block.count, block.count + count):
        block.key[i] = INT64_MAX


# ---- window


@borrowing_kernel
def _near_put(state: Records, s: int, offset: int, quantity: float) -> None:
    """Set a level of the window."""
    if state.quantity[s, offset] == 0.0:
        w = offset >> 6
        state.word[s, w] |= np.int64(1) << np.int64(offset & 63)
        state.summary[s] |= np.int64(1) << np.int64(w)
        state.near[s] += 1
    state.quantity[s, offset] = quantity


@borrowing_kernel
def _near_delete(state: Records, s: int, offset: int) -> None:
    """Remove a level of the window; an absent one is no error."""
    if state.quantity[s, offset] != 0.0:
        state.quantity[s, offset] = 0.0
        w = offset >> 6
        state.word[s, w] &= ~(np.int64(1) << np.int64(offset & 63))
        if state.word[s, w] == 0:
            state.summary[s] &= ~(np.int64(1) << np.int64(w))
        state.near[s] -= 1


@borrowing_kernel
def _base_for(key: int) -> int:
    """Return the base, a multiple of 64, of the window that suits the best level `key`."""
    if key < INT64_MIN + MARGIN:
        return INT64_MIN
    base = (key - MARGIN) & ~63
    if base > INT64_MAX - WINDOW + 1:
        return INT64_MAX - WINDOW + 1
    return base


@borrowing_kernel
def _shift_window(state: Records, s: int, words: int) -> None:
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


@borrowing_kernel
def _blocks_to_move(state: Records, s: int) -> int:
    """Return how many free blocks suffice to move the whole window to the far store."""
    levels: int = state.near[s]
    return levels // BLOCK_SIZE + 2


@borrowing_kernel
def _move_window(state: Records, blocks: Records, directory: Records, s: int, key: int) -> None:
    """Put the window where it suits the best level `key`; the levels stay the same.

    `key` is at most the best level's. Towards better prices, levels that the window leaves
    go to the far store (`_blocks_to_move` must be free); towards worse, they come from it.
    """
    old = state.base[s]
    base = _base_for(key)
    last = base + (WINDOW - 1)
    if base < old:
        while state.near[s] > 0:  # worst first, so that each one lands at the front
            offset = _highest_offset(state, s)
            if old + offset <= last:
                break
            quantity = state.quantity[s, offset]
            _near_delete(state, s, offset)
            _far_put_first(state, blocks, directory, s, old + offset, quantity)
    if state.near[s] > 0 and base != old:
        _shift_window(state, s, (old - base) >> 6)  # within the window, else it were empty
    state.base[s] = base
    state.last[s] = last
    while state.blocks[s] > 0 and base > old:
        block = blocks[directory[2 + s, 0]]
        taken = 0
        while taken < block.count and block.key[taken] <= last:
            _near_put(state, s, block.key[taken] - base, block.quantity[taken])
            taken += 1
        state.far[s] -= taken
        if taken < block.count:
            _drop_first(block, taken)
            break
        _close_block(state, blocks, directory, s, 0)


@borrowing_kernel
def _highest_offset(state: Records, s: int) -> int:
    """Return the window offset of the worst level; the window must not be empty."""
    w = WORDS - 1
    while state.word[s, w] == 0:
        w -= 1
    offset = 64 * w + 63
    while state.quantity[s, offset] == 0.0:
        offset -= 1
    return offset


# ---- the book


@borrowing_kernel
def clear_levels(state: Records, blocks: Records, directory: Records) -> None:
    """Remove every level of both sides of the state row."""
    for s in range(2):
        while state.blocks[s] > 0:
            _close_block(state, blocks, directory, s, state.blocks[s] - 1)
        state.far[s] = 0
        if state.near[s] > 0:
            state.near[s] = 0
            state.summary[s] = 0
            state.word[s, :] = 0
            state.quantity[s, :] = 0.0


@borrowing_kernel
def _put_outside(
    state: Records, blocks: Records, directory: Records, s: int, key: int, quantity: float
) -> int:
    """Set a level for which neither the window nor a block has room.

    Returns 0, or how many free blocks it needs where they are lacking: then nothing is done.
    """
    if state.near[s] + state.far[s] == 0:
        state.base[s] = _base_for(key)
        state.last[s] = state.base[s] + (WINDOW - 1)
        _near_put(state, s, key - state.base[s], quantity)
    elif key < state.base[s]:
        needed = _blocks_to_move(state, s)
        if state.free_count < needed:
            return needed
        _move_window(state, blocks, directory, s, key)
        _near_put(state, s, key - state.base[s], quantity)
    else:
        if state.free_count == 0:
            return 1
        block = blocks[_make_room(state, blocks, directory, s, key)]
        _block_put(state, block, s, key, quantity)
    return 0


@borrowing_kernel
def _follow_touch(state: Records, blocks: Records, directory: Records, s: int) -> None:
    """Move the window where the touch has drifted far into it, or out of it."""
    if state.near[s] > 0:
        offset = _best_offset(state, s)
        if offset > DRIFT:
            _move_window(state, blocks, directory, s, state.base[s] + offset)
    elif state.far[s] > 0:
        _move_window(state, blocks, directory, s, blocks[directory[2 + s, 0]].key[0])


@borrowing_kernel
def _worst_key(state: Records, blocks: Records, directory: Records, s: int) -> int:
    """Return the worst level's key; the highest possible one where the side is empty."""
    worst: int = INT64_MAX
    if state.blocks[s] > 0:
        block = blocks[directory[2 + s, state.blocks[s] - 1]]
        worst = block.key[block.count - 1]
    elif state.near[s] > 0:
        worst = state.base[s] + _highest_offset(state, s)
    return worst


@borrowing_kernel
def _prune(state: Records, blocks: Records, directory: Records, s: int) -> None:
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
            _close_block(state, blocks, directory, s, at)
        state.far[s] -= count
        surplus -= count
    while surplus > 0:
        _near_delete(state, s, _highest_offset(state, s))
        surplus -= 1
    state.known[s] = min(state.known[s], _worst_key(state, blocks, directory, s))


@borrowing_kernel
def read_top(state: Records, blocks: Records, directory: Records, top: Records) -> None:
    """Write the best level of both sides to a TOP row; quantity 0 where a side is empty."""
    for s in range(2):
        key = np.int64(0)
        quantity = 0.0
        if state.near[s] > 0:
            offset = _best_offset(state, s)
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
def _read_best_side(
    state: Records, blocks: Records, directory: Records, s: int, ticks: Any, quantities: Any
) -> None:
    """Write the best `BEST_COUNT` levels of a side, best first, then zeros."""
    mask = s - 1
    count = 0
    base = state.base[s]
    summary = state.summary[s]
    while summary != 0 and count < BEST_COUNT:
        first = _lowest_bit(summary) << 6
        summary &= summary - 1
        word = state.word[s, first >> 6]
        while word != 0 and count < BEST_COUNT:
            offset = first + _lowest_bit(word)
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
def _read_best(state: Records, blocks: Records, directory: Records, best: Records) -> None:
    """Write the best levels of both sides to a BEST_LEVELS row."""
    _read_best_side(state, blocks, directory, 0, best.bid_tick, best.bid_quantity)
    _read_best_side(state, blocks, directory, 1, best.ask_tick, best.ask_quantity)
    best.ts_event = state.ts_event
    best.ts_recv = state.ts_recv
    best.sequence = state.sequence


@borrowing_kernel
def count_messages(events: Records) -> int:
    """Return how many messages a batch completes at most."""
    count = 0
    for i in range(len(events)):
        kind = events[i].kind
        count += kind == _END or (kind == _DEPTH and events[i].flags & _LAST != 0)
    return count


@borrowing_kernel
def read_top_of(state: Records, blocks: Records, directory: Records, top: Records) -> None:
    """Write the best levels of the book (one-row arrays) to a TOP row."""
    read_top(state[0], blocks, directory, top[0])


@borrowing_kernel
def clear_book(state: Records, blocks: Records, directory: Records) -> None:
    """Return the book (a one-row array) to where it began."""
    clear_levels(state[0], blocks, directory)
    state[0].is_valid = 0
    state[0].in_snapshot = 0


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
                    _prune(state, blocks, directory, s)
                    near = state.near[s]
                    summary = np.uint64(state.summary[s])
                done = value == 0.0
                if key > base and state.blocks[s] > 0:
                    at = _find_block(directory[s], state.blocks[s], key)
                    block = blocks[directory[2 + s, at]]
                    if done:
                        _block_delete(state, block, s, key)
                        if block.count == 0:
                            _close_block(state, blocks, directory, s, at)
                    else:
                        done = _block_put(state, block, s, key, value)
                        if done and key < directory[s, at]:
                            directory[s, at] = key
                if not done:
                    state.near[s] = near
                    state.summary[s] = np.int64(summary)
                    state.needed = _put_outside(state, blocks, directory, s, key, value)
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
                _prune(state, blocks, directory, s)
        if kind == _END:
            state.in_snapshot = 0
            state.is_valid = 1
            for s in range(2):
                state.known[s] = min(state.known[s], _worst_key(state, blocks, directory, s))
        elif state.is_valid == 0:
            continue
        state.sequence = event.sequence
        state.ts_event = event.ts_event
        state.ts_recv = event.ts_recv
        for s in range(2):
            _follow_touch(state, blocks, directory, s)
        top = tops[first + state.written]
        read_top(state, blocks, directory, top)
        top.kind = kind
        if len(best_levels) > 0:
            _read_best(state, blocks, directory, best_levels[state.written])
        state.written += 1
    written: int = state.written
    state.row = 0
    state.written = 0
    return written


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
                    target = to_blocks[_open_block(state, to_blocks, to_dir, s, end, block.key[i])]
                target.key[target.count] = block.key[i]
                target.quantity[target.count] = block.quantity[i]
                target.count += 1
