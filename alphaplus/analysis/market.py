"""One instrument as its actor keeps it: book, audit, measures, counters and freshness.

`Market.apply` is the only way in and takes the events of any batch; `views` says what is in it.
The clock is an argument, and there is no I/O, so a recording and a live feed do the same.
"""

import logging
from typing import Any, Final

import numpy as np

from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.splitter import Piece
from alphaplus.analysis.state import age_ms, stale_reason
from alphaplus.analysis.tape import Tape
from alphaplus.book._kernels import TOP
from alphaplus.book.audit import TopOfBookAudit
from alphaplus.book.best_levels import BEST_LEVELS, BestLevelsArray
from alphaplus.book.l2 import L2Book, TopArray
from alphaplus.book.quotes import QUOTE, QuoteArray
from alphaplus.events import EventArray, FeedStatus, Kind, plain
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel
from alphaplus.rows import join_rows

log = logging.getLogger(__name__)

MISMATCHES_BEFORE_RESYNC: Final = 3
"""So many audits in a row must fail before a book is thrown away (a single one is a warning)."""
AUDIT_PATIENCE: Final = 1000
"""Book messages that wait for the venue's first quote; a venue may send none at all."""

MAX_WAITING: Final = 256
"""Rows of quotes and trades that wait for the book's next message."""

MAX_UNMEASURED: Final = 64
"""Rows of quotes, trades and best levels that wait until somebody reads the measures."""

_NO_TOPS: Final = np.empty(0, dtype=TOP)
_NO_QUOTES: Final = np.empty(0, dtype=QUOTE)
_LEAST_ROWS: Final = 16
_SNAPSHOT_END: Final = int(Kind.SNAPSHOT_END)
_STATUS: Final = int(Kind.STATUS)


class Market:
    """The state of one instrument on one exchange."""

    def __init__(
        self, instrument: Instrument, analyzer: Analyzer, *, stale_after_ms: float
    ) -> None:
        self.instrument = instrument
        self.analyzer = analyzer
        self.book = L2Book(instrument)
        self.audit = TopOfBookAudit()
        self.status = FeedStatus.CONNECTING
        self.hole = False
        self.ts_event = 0
        """Venue time of the last book message, ns."""
        self.ts_recv = 0
        self.gaps = self.resyncs = self.dropped = 0
        self.crossed_messages = 0
        """Messages that left the book crossed or locked."""
        self._splitter = analyzer.splitter()
        self._stale_after_ms = stale_after_ms
        self._was_synced = False
        self._unaudited = 0
        self._has_quotes = False  # of the venue, in the pieces that wait to be judged
        self._best_levels = self._free_levels = np.empty(_LEAST_ROWS, dtype=BEST_LEVELS)
        self._tops: list[TopArray] = []
        self._quotes: list[QuoteArray] = []
        self._top: np.void | None = None
        self._is_refreshed = False
        self._levels: BookLevels | None = None
        self._waiting: list[EventArray] = []
        self._waiting_rows = 0
        self._strange_times = 0

    def apply(self, events: EventArray) -> None:
        """Take a batch; how a stream is cut into batches does not matter.

        Quotes and trades wait for the book's next message, for `MAX_WAITING` rows, or for
        someone to ask (`settle`), since many small batches cost far more than one.
        """
        self._waiting.append(events)
        self._waiting_rows += len(events)
        if self._waiting_rows >= MAX_WAITING or _has_news(events["kind"]):
            self.settle()

    def settle(self) -> None:
        """Apply everything that waits, so that what is read includes it."""
        if not self._waiting_rows:
            return
        events = plain(join_rows(self._waiting))
        self._waiting, self._waiting_rows = [], 0
        if not self.analyzer.waiting_rows:
            self._free_levels = self._best_levels
            self._splitter.begin_anew()
        begin = 0
        while begin < len(events):
            had_tickers = self._splitter.has_tickers
            piece = self._splitter.read(events, begin, self.analyzer.due)
            if piece.status is not None:
                self._judge()
                self._take_status(piece.status)
            else:
                if self._splitter.has_tickers != had_tickers:
                    self._judge()
                    self.analyzer.interrupt()  # from here on the quotes are the venue's own
                self._take(events[begin : piece.end], piece)
                if piece.has_day_volume:
                    self.analyzer.tell(self._splitter.day_volume)
            begin = piece.end
        self._judge()
        if self.analyzer.waiting_rows >= MAX_UNMEASURED:
            self.analyzer.settle()
        strange = int(self._splitter.last["strange_times"][0])
        if strange != self._strange_times:
            log.warning(
                "%s: %d events came with a venue time far ahead of ours; they count as of their "
                "receipt",
                self.instrument.key,
                strange - self._strange_times,
            )
            self._strange_times = strange

    def mark_hole(self) -> None:
        """Take note that events were lost on the way here: stale until the next snapshot."""
        self.settle()
        self.hole = True
        self.audit.reset()
        self.analyzer.interrupt()

    def refreshed(self) -> Analyzer:
        """Return the measures of all that was applied, those without memory of the book now."""
        self.settle()
        if not self._is_refreshed:
            self._levels = BookLevels.of(self.book)
            self.analyzer.refresh(self.book, self._levels)
            self._is_refreshed = True
        return self.analyzer

    def levels(self) -> BookLevels | None:
        """Return all levels of the book as it is now, None where there are not both sides."""
        self.refreshed()
        return self._levels

    @property
    def top(self) -> np.void | None:
        """The touch after the last book message; None unless both sides are there, uncrossed."""
        top = self._top
        if top is None or top["crossed"] or not (top["bid_quantity"] and top["ask_quantity"]):
            return None
        return top

    @property
    def mid(self) -> float | None:
        """The mid of the book, None without a touch."""
        top = self.top
        if top is None:
            return None
        return self.instrument.price(int(top["bid_tick"]) + int(top["ask_tick"])) / 2

    @property
    def last(self) -> Any:
        """Counts and last values of the stream: one row of dtype `SPLIT`, nan for unknown."""
        self.settle()
        return self._splitter.last[0]

    @property
    def mark_price(self) -> float:
        """The venue's mark price, nan while unknown."""
        return float(self.last["mark_price"])

    @property
    def index_price(self) -> float:
        """The venue's index price, nan while unknown."""
        return float(self.last["index_price"])

    @property
    def needs_resync(self) -> bool:
        """Whether the book contradicts the venue so often that it must start again."""
        return self.audit.consecutive_different >= MISMATCHES_BEFORE_RESYNC

    def stale_reason(self, now_ns: int) -> str | None:
        """Say why the book must not be taken for the market's, or None if it may."""
        return stale_reason(
            status=self.status,
            hole=self.hole,
            crossed=self.book.is_valid and self.book.is_crossed,
            age_ms=age_ms(self.ts_recv, now_ns),
            stale_after_ms=self._stale_after_ms,
        )

    def _rows_for(self, messages: int) -> BestLevelsArray:
        """Return room for the best levels after each message of a piece.

        It lies behind that of earlier pieces, whose measures still wait for theirs.
        """
        if messages > len(self._free_levels):
            size = max(messages, 2 * len(self._best_levels))  # until a whole batch has room
            self._best_levels = np.empty(size, dtype=BEST_LEVELS)
            self._free_levels = self._best_levels
        rows = self._free_levels[:messages]
        self._free_levels = self._free_levels[messages:]
        return rows

    def _take(self, events: EventArray, piece: Piece) -> None:
        tops, looks = _NO_TOPS, self.analyzer.looks
        best_levels = self._rows_for(piece.book_messages)
        if looks is not None:
            looks.count = piece.looks
        if piece.has_levels:
            self._is_refreshed, self._levels = False, None
            tops = self.book.apply(events, best_levels, looks)
            self._tops.append(tops)
        quotes = piece.quotes
        self._has_quotes = self._splitter.has_tickers
        if self._has_quotes:
            self._quotes.append(quotes)
        else:
            quotes = quotes_of(tops)
        self.analyzer.update(
            Tape(
                quotes=quotes,
                trades=piece.trades,
                best_levels=best_levels[: len(tops)],
                ts_event=self._splitter.ts_event,
            )
        )
        if len(tops) and self._splitter.book_ts_event >= self.analyzer.due:
            self.analyzer.observe(self.book, self._splitter.book_ts_event)

    def _judge(self) -> None:
        """Audit the touches of the pieces since the last time, and keep the newest."""
        tops = join_rows(self._tops) if self._tops else _NO_TOPS
        if self._has_quotes:
            quotes = join_rows(self._quotes) if self._quotes else _NO_QUOTES
            self.audit.observe(tops, quotes)
        else:
            waiting = tops[: AUDIT_PATIENCE - self._unaudited]
            self._unaudited += len(waiting)
            self.audit.observe(waiting, _NO_QUOTES)
        if len(tops):
            self._top = last = tops[-1]
            self.ts_event, self.ts_recv = int(last["ts_event"]), int(last["ts_recv"])
            self.crossed_messages += int(np.count_nonzero(tops["crossed"]))
        if not self.book.is_valid:
            self._top = None
        self._tops.clear()
        self._quotes.clear()

    def _take_status(self, status: FeedStatus) -> None:
        if status is FeedStatus.RESYNC:
            self.gaps += 1
        if status in (FeedStatus.RESYNC, FeedStatus.DISCONNECTED):
            self.audit.reset()
            self.analyzer.interrupt()
            self._is_refreshed = False
        if status is FeedStatus.SYNCED:
            self.resyncs += self._was_synced
            self._was_synced, self.hole = True, False
        self.status = status


@kernel
def _has_news(kinds: Any) -> bool:
    """Say whether any row is for the book or changes its status."""
    for i in range(len(kinds)):
        if kinds[i] <= _SNAPSHOT_END or kinds[i] == _STATUS:
            return True
    return False


def quotes_of(tops: TopArray) -> QuoteArray:
    """Return the touches of a book as quotes, for a venue that sends none."""
    quotes = np.empty(len(tops), dtype=QUOTE)
    _copy_touches(tops, quotes)
    return quotes


@kernel
def _copy_touches(tops: Any, quotes: Any) -> None:
    for i in range(len(tops)):
        quotes[i].ts_event = tops[i].ts_event
        quotes[i].ts_recv = tops[i].ts_recv
        quotes[i].sequence = tops[i].sequence
        quotes[i].bid_tick = tops[i].bid_tick
        quotes[i].ask_tick = tops[i].ask_tick
        quotes[i].bid_quantity = tops[i].bid_quantity
        quotes[i].ask_quantity = tops[i].ask_quantity
