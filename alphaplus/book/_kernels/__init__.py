"""Compiled kernels of the order book.

Levels live under a *key* that grows away from the touch on both sides: the tick for asks, its
bitwise complement for bids (no overflow, even at the ends of int64). Per side

- the **window** holds the keys `base..last` as an array of quantities, a bitmap of the non-zero
  ones and one summary word of the non-empty bitmap words: an update is one store, the best
  level two bit searches;
- the **far store** holds the keys above `last` in sorted blocks of up to `BLOCK_SIZE` levels,
  found through a directory: an int64 array whose row `s` has the lowest keys of side `s`,
  sorted, and whose row `2 + s` the numbers of the blocks.

Unused keys of blocks and of the directory are `INT64_MAX`, so that a search compares a fixed
number of keys in two or three steps, and no branch of it can be mispredicted.

Rows come in runs, of one side and message and sorted by price. So those of the window are applied
in a loop that does nothing else, and the far ones in another. Hot loops index by `np.uint64`: an
index that may be negative costs as much as the work.

No far key is ever below the window, so the best level is the window's first, or else the far
store's first. The window moves when a better price falls below it or the touch drifts away.

After each message a side has at most `max_levels`: worse ones are dropped, and the known range
ends where they began. Within one, the far store has at most twice as many.

A kernel that lacks free blocks changes nothing and says so: the caller gives it a bigger pool
(`move_far`) and calls again.

The files, each built on those before it:

==========  ==================================================
`layout`    sizes, results, dtypes
`far`       blocks and directory of the far store
`window`    the window's levels
`touch`     the window's place, and what moves with it
`bounds`    how many levels a side keeps
`read`      levels out of the book
`apply`     events into the book
==========  ==================================================
"""

from alphaplus.book._kernels.apply import apply_events, count_messages
from alphaplus.book._kernels.bounds import clear_book
from alphaplus.book._kernels.far import chain_free, move_far
from alphaplus.book._kernels.layout import (
    BLOCK,
    BLOCK_SIZE,
    DRIFT,
    FILL,
    GROUP,
    INT64_MAX,
    INT64_MIN,
    MARGIN,
    NO_BEST_ROW,
    NO_BLOCKS,
    NO_ROOM,
    STATE,
    TOP,
    WINDOW,
    WORDS,
    Records,
)
from alphaplus.book._kernels.read import copy_levels, read_top_of

__all__ = [
    "BLOCK",
    "BLOCK_SIZE",
    "DRIFT",
    "FILL",
    "GROUP",
    "INT64_MAX",
    "INT64_MIN",
    "MARGIN",
    "NO_BEST_ROW",
    "NO_BLOCKS",
    "NO_ROOM",
    "STATE",
    "TOP",
    "WINDOW",
    "WORDS",
    "Records",
    "apply_events",
    "chain_free",
    "clear_book",
    "copy_levels",
    "count_messages",
    "move_far",
    "read_top_of",
]
