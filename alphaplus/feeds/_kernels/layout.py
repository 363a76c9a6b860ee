"""What the scanner's files share: dtypes, error codes, and kinds of messages and of events."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.feeds._kernels import fields

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Records = npt.NDArray[np.void]
Record = Any
"""One row of a structured array, by reference: what is set in it is set in the array."""

RAW: Final = 1
SETTLED: Final = 2
"""A frame has escapes only where they cannot be avoided, valid UTF-8, and no NUL."""
FIRST_FRAME: Final = 2
"""Where the first frame begins."""
PADDING: Final = 64
"""Bytes that must be readable behind the last frame: a level is read before it is checked."""
SPARE_ROWS: Final = 4
"""Rows that a frame may make beside its levels."""

# Error codes: `binance.FrameError` holds the same numbers.
SYNTAX: Final = 1
FIELD: Final = 2
NUMBER: Final = 3
OFF_GRID: Final = 4
SYMBOL: Final = 5
REPEATED: Final = 6
UNSETTLED: Final = 7
"""No verdict: the batch is to be settled first."""
NO_ROOM: Final = 8
"""No verdict: the batch makes more rows than there are."""

# Kinds of messages: `binance.MessageKind` holds the same numbers.
OTHER: Final = 0
DEPTH: Final = 1
SNAPSHOT: Final = 2
TRADE: Final = 3
BOOK_TICKER: Final = 4
MARK_PRICE: Final = 5
LIQUIDATION: Final = 6
OPEN_INTEREST: Final = 7

# Kinds, sides and flags of events: the numbers of `events.Kind`, `Side`, `Flag`.
EVENT_SNAPSHOT_BEGIN: Final = 1
EVENT_DEPTH: Final = 2
EVENT_SNAPSHOT_END: Final = 3
EVENT_TRADE: Final = 4
EVENT_BOOK_TICKER: Final = 5
EVENT_MARK_PRICE: Final = 6
EVENT_INDEX_PRICE: Final = 7
EVENT_FUNDING_RATE: Final = 8
EVENT_OPEN_INTEREST: Final = 9
EVENT_LIQUIDATION: Final = 10
BID: Final = 1
ASK: Final = -1
FLAG_LAST: Final = 1
FLAG_OFF_MARKET: Final = 2

ROW: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("sequence", "<i8"),
        ("price_tick", "<i8"),
        ("value", "<f8"),
        ("marks", "<i8"),
    ]
)
"""A row of `events.EVENT` with its last three fields and the padding behind them as one number:
kind in bits 0-7, side in 8-15, flags in 16-23. One store writes all, and no byte stays unset."""

# What is told of a batch whose messages are all good, of one instrument and no snapshots.
RUN_INSTRUMENT: Final = 0  # -1: no message yet, -2: no such batch
RUN_TRADES: Final = 1
RUN_CHANGES: Final = 2
RUN_LEVELS: Final = 3
RUN_FIRST_ID: Final = 4  # and the next two: ids of the first change
RUN_PREVIOUS_ID: Final = 5
RUN_FIRST_LAST_ID: Final = 6
RUN_LAST_ID: Final = 7
RUN_BREAKS: Final = 8  # bits of rules that some change breaks: 1 futures, 2 spot
RUN_TS_RECV: Final = 9  # of the last message
RUN_FIELDS: Final = 10

SCAN: Final = np.dtype(
    [
        ("seen", "<i8", (2,)),  # bit sets of the fields seen outside and inside of "data"
        ("found", "<i8", (2,)),  # instrument named by the symbol field there, -1 none, -2 unknown
        ("begin", "<i8", (2, fields.COUNT)),  # where the values of the fields are
        ("end", "<i8", (2, fields.COUNT)),
        ("row", "<i8"),  # next free row
        ("base", "<i8"),  # first row of the frame
        ("decoded", "<i8"),  # bit set of the level lists already decoded
        ("hint", "<i8"),
        ("nested", "<i8"),  # 1 if "data" holds an object
        ("run", "<i8", (RUN_FIELDS,)),
    ],
    align=True,
)
"""What is known of the frame at hand."""
