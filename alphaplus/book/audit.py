"""The audit of a book's touch against the venue's own best prices (bookTicker).

Update ids of depth and ticker messages run on one counter, so no clock is needed: after the
depth message with last id u, the book's touch must equal, in price and quantity, the ticker
with the largest id that is at most u.
"""

import logging
from typing import Final

import numpy as np

from alphaplus.book import _audit_kernels as kernels
from alphaplus.book._kernels import TOP
from alphaplus.book.l2 import TopArray
from alphaplus.book.quotes import QUOTE, QuoteArray

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
        self._state = np.zeros(1, dtype=kernels.AUDIT)
        self._tops = np.empty(2 * MAX_PENDING, dtype=TOP)  # touched, and so paid for, when used
        self._quotes = np.empty(2 * MAX_PENDING, dtype=QUOTE)
        self._said = 0

    @property
    def equal(self) -> int:
        """Depth messages after which the book was right."""
        return int(self._state["equal"][0])

    @property
    def different(self) -> int:
        """Depth messages after which the book was wrong."""
        return int(self._state["different"][0])

    @property
    def consecutive_different(self) -> int:
        """How many of the messages judged last, without a break, were wrong."""
        return int(self._state["consecutive_different"][0])

    @property
    def unjudged(self) -> int:
        """Depth messages without a ticker at or before them."""
        return int(self._state["unjudged"][0])

    @property
    def late(self) -> int:
        """Tickers ignored because one with a larger id came before them."""
        return int(self._state["late"][0])

    @property
    def dropped(self) -> int:
        """Messages and tickers given up because too many were waiting."""
        return int(self._state["dropped_tops"][0] + self._state["dropped_quotes"][0])

    def observe(self, tops: TopArray, quotes: QuoteArray) -> None:
        """Take the touches of some messages and the venue's own quotes, each in their order."""
        if not len(tops) and not len(quotes):
            return
        kernels.observe(self._state, self._tops, self._quotes, tops, quotes)
        given_up = self.late + self.dropped
        if given_up != self._said:
            self._said = given_up
            log.warning(
                "the audit ignored %d best prices that came after newer ones, and dropped %d "
                "touches and %d best prices that nothing came to be compared with",
                self.late,
                self._state["dropped_tops"][0],
                self._state["dropped_quotes"][0],
            )

    def finish(self) -> None:
        """Judge what still waits: the recording has ended."""
        kernels.finish(self._state, self._tops, self._quotes)

    def reset(self) -> None:
        """Forget what waits, after the book has started again; keep the counts."""
        for name in ("top_head", "top_tail", "quote_head", "quote_tail"):
            self._state[name] = 0
        self._state["consecutive_different"] = 0
