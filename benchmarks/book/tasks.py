"""What is measured, by name."""

from enum import StrEnum
from typing import Final


class Task(StrEnum):
    """One figure in messages per second. A message is one change of the book (depth)."""

    APPLY = "apply"
    """Prebuilt messages into the book, many in a call where the book can do that."""
    APPLY_EACH = "apply_each"
    """Prebuilt messages into the book, one call for each."""
    TOP = "top"
    """Apply, and the best bid and ask, price and quantity, after each message."""
    TOP_20 = "top_20"
    """Apply, and the best 20 levels a side after each message."""
    BYTES_BOOK = "bytes_book"
    """Raw frames, decoded, checked for sequence and applied."""
    BYTES_TOP_20 = "bytes_top_20"
    """Raw frames to the best 20 levels a side after each message."""
    BYTES_TOP_20_EACH = "bytes_top_20_each"
    """The same, one call for each frame."""
    BYTES_MEASURES = "bytes_measures"
    """Raw depth frames to all measures at their default cadence."""
    BYTES_MEASURES_ALL = "bytes_measures_all"
    """All frames of the recording (tickers and trades too) to all measures; all count."""


EACH: Final = {Task.APPLY_EACH: Task.APPLY, Task.BYTES_TOP_20_EACH: Task.BYTES_TOP_20}
"""Tasks of one call a message, and the same in batches."""
