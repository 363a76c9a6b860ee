"""The best bid and ask of one moment, as one fixed row."""

from typing import Final

import numpy as np
import numpy.typing as npt

QuoteArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `QUOTE`."""

QUOTE: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("sequence", "<i8"),
        ("bid_tick", "<i8"),
        ("ask_tick", "<i8"),
        ("bid_quantity", "<f8"),
        ("ask_quantity", "<f8"),
    ],
    align=True,
)
"""Best bid and ask: the venue's own (bookTicker), or the book's where the venue sends none.

A quantity of 0 means that the side is empty; a bid at or above the ask, that they cross.
"""
