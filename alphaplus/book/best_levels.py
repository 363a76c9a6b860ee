"""The best levels of a book after a message, as one fixed row."""

from typing import Final

import numpy as np
import numpy.typing as npt

BestLevelsArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `BEST_LEVELS`."""

BEST_COUNT: Final = 20
"""Levels a side in one row."""

BEST_LEVELS: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("sequence", "<i8"),
        ("bid_tick", "<i8", (BEST_COUNT,)),
        ("ask_tick", "<i8", (BEST_COUNT,)),
        ("bid_quantity", "<f8", (BEST_COUNT,)),
        ("ask_quantity", "<f8", (BEST_COUNT,)),
    ],
    align=True,
)
"""Best level first. A quantity of 0 means that there is no such level (its tick is then 0)."""
