"""What the kernels of the book share: sizes, results, and the dtypes of its state."""

from typing import Any, Final

import numpy as np

WINDOW: Final = 4096
"""Keys in the window of a side: 64 words of 64 bits, so that one word sums them up."""
WORDS: Final = WINDOW // 64
MARGIN: Final = 512
"""Keys that a new window leaves free on the better side of the touch."""
DRIFT: Final = 2560
"""Offset of the touch in its window beyond which the window follows it."""
BLOCK_SIZE: Final = 32
BLOCK_PART: Final = 8
"""A search in a block looks at the last key of each part first, and then at one part."""
GROUP: Final = 64
PART: Final = 16
"""A search in the directory looks at every 64th key first, then at every 16th of one such group,
then at one part. Its width is a multiple of a group."""
FILL: Final = 24
"""Levels per block after the far store has been moved."""

NO_BLOCKS: Final = -1
NO_ROOM: Final = -2
NO_BEST_ROW: Final = -4
"""Why `apply_events` stopped early."""

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

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
