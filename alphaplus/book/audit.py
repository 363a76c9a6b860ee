"""The audit of a book's touch against the venue's own best prices (bookTicker).

Update ids of depth and ticker messages run on one counter, so no clock is needed: after the
depth message with last id u, the book's touch must equal, in price and quantity, the ticker
with the largest id that is at most u.
"""

import logging
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.book import _kernels as kernels
from alphaplus.book._kernels import TICKER, TOP
from alphaplus.book.l2 import TopArray
from alphaplus.events import EventArray, Flag, Kind, empty_events

log = logging.getLogger(__name__)

MAX_PENDING: Final = 10_000
"""Depth messages, and tickers, that may wait for each other."""


class TopOfBookAudit:
    """Compare a book with its tickers as both arrive, in either order.

    A depth message is judged once a ticker with a larger id has been seen (or at `finish`),
    as only then the ticker that belongs to it is certain. Messages before the first ticker,
    and snapshots, are not judged.
    """

    def __init__(self) -> None:
        self.dropped = 0
        """Messages and tickers given up because too many were waiting."""
        self.late = 0
        """Tickers ignored because one with a larger id came before them."""
        self._counts = np.zeros(4, dtype=np.int64)
        self._cut = empty_events()
        self._tops = np.empty(0, dtype=TOP)
        self._tickers = np.empty(0, dtype=TICKER)

    @property
    def equal(self) -> int:
        """Depth messages after which the book was right."""
        return int(self._counts[0])

    @property
    def different(self) -> int:
        """Depth messages after which the book was wrong."""
        return int(self._counts[1])

    @property
    def consecutive_different(self) -> int:
        """How many of the messages judged last, without a break, were wrong."""
        return int(self._counts[2])

    @property
    def unjudged(self) -> int:
        """Depth messages without a ticker at or before them."""
        return int(self._counts[3])

    def observe(self, tops: TopArray, events: EventArray) -> None:
        """Take the touches of some messages and the BOOK_TICKER rows among some events."""
        depth = tops[tops["kind"] == Kind.DEPTH]
        tickers = self._in_order(self._read(events))
        if not len(depth) and not len(tickers):
            return
        self._tops = _joined(self._tops, depth)
        self._tickers = _joined(self._tickers, tickers)
        self._judge(to_end=False)
        self._tops = self._bounded(self._tops, "depth messages")
        self._tickers = self._bounded(self._tickers, "tickers")

    def finish(self) -> None:
        """Judge what still waits: the recording has ended."""
        self._judge(to_end=True)

    def reset(self) -> None:
        """Forget what waits, after the book has started again; keep the counts."""
        self._cut = self._cut[:0]
        self._tops = self._tops[:0]
        self._tickers = self._tickers[:0]
        self._counts[2] = 0

    def _read(self, events: EventArray) -> npt.NDArray[np.void]:
        """Return the whole tickers; the rows of one that is cut off wait for the rest."""
        rows = np.concatenate((self._cut, events[events["kind"] == Kind.BOOK_TICKER]))
        ends = np.flatnonzero(rows["flags"] & Flag.LAST)
        whole = int(ends[-1]) + 1 if len(ends) else 0
        self._cut = rows[whole:].copy()
        tickers = np.zeros(len(ends), dtype=TICKER)
        kernels.read_tickers(rows[:whole], tickers)
        return tickers

    def _judge(self, *, to_end: bool) -> None:
        tops, tickers = kernels.judge_tops(self._tops, self._tickers, to_end, self._counts)
        self._tops = self._tops[tops:].copy()
        self._tickers = self._tickers[tickers:].copy()

    def _in_order(self, tickers: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        newest = int(self._tickers["sequence"][-1]) if len(self._tickers) else 0
        ids = tickers["sequence"]
        in_order = ids >= np.maximum(np.maximum.accumulate(ids), newest)
        late = len(tickers) - int(np.count_nonzero(in_order))
        if not late:
            return tickers
        self.late += late
        log.warning("%d best prices ignored that came after newer ones", late)
        return tickers[in_order]

    def _bounded(self, waiting: npt.NDArray[np.void], what: str) -> npt.NDArray[np.void]:
        excess = len(waiting) - MAX_PENDING
        if excess <= 0:
            return waiting
        self.dropped += excess
        log.warning("the audit drops %d %s that nothing came to be compared with", excess, what)
        return waiting[excess:].copy()


def _joined(waiting: npt.NDArray[np.void], arrived: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Concatenate; mostly nothing waits, and joining structured arrays is slow."""
    if not len(waiting):
        return arrived
    return np.concatenate((waiting, arrived)) if len(arrived) else waiting
