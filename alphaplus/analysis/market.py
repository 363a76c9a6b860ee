"""One instrument as its actor keeps it: book, audit, measures, counters and freshness.

`Market.apply` is the only way in and takes the events of any batch; everything else reads.
The clock is an argument, and there is no I/O, so a recording and a live feed do the same.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.analyzer import Analyzer, BookAnalysis
from alphaplus.analysis.fair_price import mid
from alphaplus.analysis.splitter import EventSplitter, Piece
from alphaplus.analysis.state import (
    StateRecord,
    age_ms,
    blank_state,
    freshness,
    stale_reason,
)
from alphaplus.analysis.tape import Tape
from alphaplus.book._kernels import TOP
from alphaplus.book.audit import TopOfBookAudit
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.book.l2 import L2Book, TopArray
from alphaplus.book.quotes import QUOTE, QuoteArray
from alphaplus.events import EventArray, FeedStatus, Kind, plain
from alphaplus.instruments import Instrument

MISMATCHES_BEFORE_RESYNC: Final = 3
"""So many audits in a row must fail before a book is thrown away (a single one is a warning)."""

AUDIT_PATIENCE: Final = 1000
"""Book messages that wait for the venue's first quote; a venue may send none at all."""

_LAST: Final = ("mark_price", "index_price", "funding_rate", "open_interest")
_COUNTS: Final = ("messages", "level_updates", "trades")
_NO_TOPS: Final = np.empty(0, dtype=TOP)
_FIRST_ROWS: Final = 4


class Market:
    """The state of one instrument on one exchange."""

    def __init__(
        self, instrument: Instrument, analyzer: Analyzer, *, stale_after_ms: float
    ) -> None:
        self.instrument = instrument
        self.book = L2Book(instrument)
        self.audit = TopOfBookAudit()
        self.status = FeedStatus.CONNECTING
        self.hole = False
        self.ts_event = 0
        self.ts_recv = 0
        self.gaps = self.resyncs = self.dropped = 0
        self.crossed_messages = 0
        """Messages that left the book crossed or locked."""
        self._analyzer = analyzer
        self._splitter = EventSplitter()
        self._stale_after_ms = stale_after_ms
        self._was_synced = False
        self._best_levels = np.empty(_FIRST_ROWS, dtype=BEST_LEVELS)
        self._unaudited = 0
        self._top: np.void | None = None
        self._analysis: BookAnalysis | None = None

    def apply(self, events: EventArray) -> None:
        """Apply a batch in order; how a stream is cut into batches does not matter."""
        events = plain(events)
        begin = 0
        while begin < len(events):
            had_tickers = self._splitter.has_tickers
            piece = self._splitter.read(events, begin, self._analyzer.due)
            if piece.status is not None:
                self._take_status(piece.status)
            else:
                if self._splitter.has_tickers != had_tickers:
                    self._analyzer.interrupt()  # from here on the quotes are the venue's own
                self._take(events[begin : piece.end], piece)
            begin = piece.end

    def _take(self, events: EventArray, piece: Piece) -> None:
        tops = _NO_TOPS
        if piece.has_levels:
            self._analysis = self._top = None
            if piece.book_messages > len(self._best_levels):
                self._best_levels = np.empty(piece.book_messages, dtype=BEST_LEVELS)
            tops = self.book.apply(events, self._best_levels)
        quotes = piece.quotes
        if len(tops):
            last = self._top = tops[-1]
            self.ts_event, self.ts_recv = int(last["ts_event"]), int(last["ts_recv"])
            self.crossed_messages += int(np.count_nonzero(tops["crossed"]))
        if self._splitter.has_tickers:
            self.audit.observe(tops, quotes)
        else:
            if self._unaudited < AUDIT_PATIENCE:
                self._unaudited += len(tops)
                self.audit.observe(tops, quotes)
            quotes = quotes_of(tops)
        self._analyzer.update(
            Tape(
                quotes=quotes,
                trades=piece.trades,
                best_levels=self._best_levels[: len(tops)],
                ts_event=self._splitter.ts_event,
            )
        )
        if len(tops) and self.ts_event >= self._analyzer.due:
            self._analyzer.observe(self.book)

    def mark_hole(self) -> None:
        """Take note that events were lost on the way here: stale until the next snapshot."""
        self.hole = True
        self.audit.reset()
        self._analyzer.interrupt()

    @property
    def analysis(self) -> BookAnalysis:
        """The measures of the book as it stands, taken when they are first asked for."""
        if self._analysis is None:
            self._analysis = self._analyzer.analyze(self.book)
        return self._analysis

    @property
    def mid(self) -> float | None:
        """The mid after the last book message; None where it has none."""
        top = self._top
        if top is None or top["crossed"] or not (top["bid_quantity"] and top["ask_quantity"]):
            return None
        instrument = self.instrument
        return mid(instrument, int(top["bid_tick"]), int(top["ask_tick"]))

    @property
    def mark_price(self) -> float:
        """The venue's mark price, nan while unknown."""
        return float(self._splitter.last["mark_price"][0])

    @property
    def index_price(self) -> float:
        """The venue's index price, nan while unknown."""
        return float(self._splitter.last["index_price"][0])

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

    def state(self, now_ns: int) -> StateRecord:
        """Return where the instrument stands as one `STATE` row."""
        row = blank_state()
        row["exchange"], row["symbol"] = self.instrument.exchange, self.instrument.symbol
        row["status"], row["hole"] = self.status, self.hole
        row["crossed"] = self.book.is_valid and self.book.is_crossed
        row["ts_event"], row["ts_recv"] = self.ts_event, self.ts_recv
        row["ts_publish"], row["sequence"] = now_ns, self.book.sequence or 0
        last = self._splitter.last
        row["next_funding_ts"] = last["next_funding_ts"]
        for name in (*_LAST, *_COUNTS):
            row[name] = last[name]
        if last["has_trades"][0]:
            row["last_price"] = self.instrument.price(int(last["last_trade_tick"][0]))
        for name, value in self._measures().items():
            row[name] = math.nan if value is None else value
        row["gaps"], row["resyncs"] = self.gaps, self.resyncs
        row["dropped"] = self.dropped
        row["audit_equal"], row["audit_different"] = self.audit.equal, self.audit.different
        return row

    def book_view(self, depth: int, now_ns: int) -> dict[str, Any]:
        """Return the best `depth` levels a side with float prices, and how fresh they are."""
        view = self.book.view(depth)
        known = self.book.known_range
        price = self.instrument.price
        return {
            **self._header(now_ns),
            "sequence": view.sequence,
            "bids": [list(level) for level in view.bids],
            "asks": [list(level) for level in view.asks],
            "known_range": None if known is None else [price(known[0]), price(known[1])],
            "book_hash": self.book.state_hash(),
        }

    def analysis_view(self, now_ns: int) -> dict[str, Any]:
        """Return the measures of the book as it stands, and how fresh they are."""
        return {**self.analysis.as_dict(), **self._header(now_ns)}

    def _header(self, now_ns: int) -> dict[str, Any]:
        return {
            "symbol": self.instrument.symbol,
            "exchange": self.instrument.exchange,
            **freshness(
                self.ts_event, self.ts_recv, reason=self.stale_reason(now_ns), now_ns=now_ns
            ),
        }

    def _measures(self) -> dict[str, float | None]:
        found = self.analysis
        return {
            "best_bid": found.best_bid,
            "best_bid_quantity": found.best_bid_quantity,
            "best_ask": found.best_ask,
            "best_ask_quantity": found.best_ask_quantity,
            "spread": found.spread,
            "spread_bps": found.spread_bps,
            "mid": found.mid,
            "weighted_mid": found.weighted_mid,
            **{f"imbalance_{k}": found.imbalance.get(k) for k in (1, 5, 20)},
        }

    def _take_status(self, status: FeedStatus) -> None:
        if status is FeedStatus.RESYNC:
            self.gaps += 1
        if status in (FeedStatus.RESYNC, FeedStatus.DISCONNECTED):
            self.audit.reset()
            self._analyzer.interrupt()
        if status is FeedStatus.SYNCED:
            self.resyncs += self._was_synced
            self._was_synced, self.hole = True, False
        self.status = status


def quotes_of(tops: TopArray) -> QuoteArray:
    """Return the touches of a book as quotes, for a venue that sends none."""
    quotes = np.empty(len(tops), dtype=QUOTE)
    for name in QUOTE.names or ():
        quotes[name] = tops[name]
    return quotes


def is_level(events: EventArray) -> npt.NDArray[np.bool_]:
    """Say which rows change a level; a depth message without any travels as one empty row."""
    empty = (events["price_tick"] == 0) & (events["value"] == 0)
    levels: npt.NDArray[np.bool_] = (events["kind"] == Kind.DEPTH) & ~empty
    return levels
