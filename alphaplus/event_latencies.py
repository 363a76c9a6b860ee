"""How long the events of a market took from the socket until their analysis was there.

One kernel call per batch counts into two histograms: of all messages, and of the changes of the
book alone, whose analysis costs the most.
"""

import math
from typing import Any, Final

import numpy as np

from alphaplus.events import EventArray, Flag, Kind, plain
from alphaplus.jit import kernel
from alphaplus.latency import BINS, LINEAR_BITS, SUB_BITS, TOP_BITS, LatencyHistogram

_ALL: Final = 0
_BOOK: Final = 1
_LAST: Final = int(Flag.LAST)
_DEPTH: Final = int(Kind.DEPTH)
_STATUS: Final = int(Kind.STATUS)

_SUMS: Final = np.dtype(
    [("negative", "<i8"), ("above", "<i8"), ("low", "<i8"), ("high", "<i8"), ("total", "<f8")],
    align=True,
)


class EventLatencies:
    """Counts of the time since each message was received, by `LatencyHistogram`'s bins."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, BINS), dtype=np.int64)
        self._sums = np.zeros(2, dtype=_SUMS)
        self._sums["low"], self._sums["high"] = 1 << 62, -1

    def record(self, events: EventArray, now_ns: int) -> None:
        """Count each message that ends in a batch; changes of a feed's status are none."""
        _count(self._counts, self._sums, plain(events), now_ns)

    @property
    def of_all(self) -> LatencyHistogram:
        """Latencies of all messages."""
        return self._histogram(_ALL)

    @property
    def of_book(self) -> LatencyHistogram:
        """Latencies of changes of the book."""
        return self._histogram(_BOOK)

    def _histogram(self, which: int) -> LatencyHistogram:
        histogram, sums = LatencyHistogram(), self._sums[which]
        histogram.add_counted(
            self._counts[which],
            negative=int(sums["negative"]),
            above=int(sums["above"]),
            low=int(sums["low"]),
            high=int(sums["high"]),
            total=float(sums["total"]),
        )
        return histogram


@kernel
def _count(counts: Any, sums: Any, events: Any, now_ns: int) -> None:
    for i in range(len(events)):
        event = events[i]
        if event.flags & _LAST == 0 or event.kind == _STATUS:
            continue
        value = now_ns - event.ts_recv
        for which in range(2 if event.kind == _DEPTH else 1):
            row = sums[which]
            if value < 0:
                row.negative += 1
                continue
            row.low, row.high = min(row.low, value), max(row.high, value)
            row.total += value
            if value >= 1 << TOP_BITS:
                row.above += 1
            elif value < 1 << LINEAR_BITS:
                counts[which, value >> (LINEAR_BITS - SUB_BITS)] += 1
            else:
                octave = math.frexp(float(value))[1] - 1  # exact below 2^53
                place = ((octave - LINEAR_BITS) << SUB_BITS) + (value >> (octave - SUB_BITS))
                counts[which, place] += 1
