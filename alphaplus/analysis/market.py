"""One instrument as its actor keeps it: book, audit, measures, counters and freshness.

`Market.apply` is the only way in and takes the events of any batch; everything else reads.
The clock is an argument, and there is no I/O, so a recording and a live feed do the same.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.analyzer import Analyzer, BookAnalysis
from alphaplus.analysis.state import (
    StateRecord,
    age_ms,
    blank_state,
    freshness,
    stale_reason,
)
from alphaplus.book.audit import TopOfBookAudit
from alphaplus.book.l2 import L2Book, TopArray
from alphaplus.events import EventArray, FeedStatus, Flag, Kind
from alphaplus.instruments import Instrument

MISMATCHES_BEFORE_RESYNC: Final = 3
"""So many audits in a row must fail before a book is thrown away (a single one is a warning)."""

_VALUES: Final = {
    Kind.MARK_PRICE: "mark_price",
    Kind.INDEX_PRICE: "index_price",
    Kind.FUNDING_RATE: "funding_rate",
    Kind.OPEN_INTEREST: "open_interest",
}


class Market:
    """The state of one instrument on one exchange."""

    def __init__(
        self, instrument: Instrument, analyzer: Analyzer, *, stale_after_ms: float
    ) -> None:
        self.instrument = instrument
        self.book = L2Book(instrument)
        self.audit = TopOfBookAudit()
        self.analysis: BookAnalysis | None = None
        self.status = FeedStatus.CONNECTING
        self.hole = False
        self._analyzer = analyzer
        self._stale_after_ms = stale_after_ms
        self.ts_event = 0
        self.ts_recv = 0
        self._next_funding_ts = 0
        self._was_synced = False
        self._last: dict[str, float] = dict.fromkeys((*_VALUES.values(), "last_price"), math.nan)
        self._count = dict.fromkeys(("messages", "level_updates", "trades", "gaps", "resyncs"), 0)
        self.dropped = 0

    def apply(self, events: EventArray) -> TopArray:
        """Apply a batch in order; return one row per completed book message."""
        kinds = np.bincount(events["kind"], minlength=len(Kind) + 1)
        tops = self.book.apply(events)
        if kinds[Kind.STATUS]:
            self._take_status(events)
        if len(tops):
            self.ts_event = int(tops["ts_event"][-1])
            self.ts_recv = int(tops["ts_recv"][-1])
            self.analysis = self._analyzer.analyze(self.book)
        if len(tops) or kinds[Kind.BOOK_TICKER]:
            self.audit.observe(tops, events)
        self._take_values(events, kinds)
        self._count["messages"] += int(np.count_nonzero(events["flags"] & Flag.LAST))
        self._count["messages"] -= int(kinds[Kind.STATUS])
        if kinds[Kind.DEPTH]:
            self._count["level_updates"] += int(np.count_nonzero(is_level(events)))
        self._count["trades"] += int(kinds[Kind.TRADE])
        return tops

    def mark_hole(self) -> None:
        """Take note that events were lost on the way here: stale until the next snapshot."""
        self.hole = True
        self.audit.reset()

    @property
    def mark_price(self) -> float:
        """The venue's mark price, nan while unknown."""
        return self._last["mark_price"]

    @property
    def index_price(self) -> float:
        """The venue's index price, nan while unknown."""
        return self._last["index_price"]

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
        row["next_funding_ts"] = self._next_funding_ts
        for name, value in (*self._measures().items(), *self._last.items()):
            row[name] = math.nan if value is None else value
        for name, count in self._count.items():
            row[name] = count
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
        found = self.analysis
        measures = {} if found is None else found.as_dict()
        return {**measures, **self._header(now_ns)}

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
        if found is None:
            return {}
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

    def _take_status(self, events: EventArray) -> None:
        for value in events["value"][events["kind"] == Kind.STATUS]:
            status = FeedStatus(int(value))
            if status is FeedStatus.RESYNC:
                self._count["gaps"] += 1
                self.audit.reset()
            if status is FeedStatus.DISCONNECTED:
                self.audit.reset()
            if status is FeedStatus.SYNCED:
                self._count["resyncs"] += self._was_synced
                self._was_synced, self.hole = True, False
            self.status = status

    def _take_values(self, events: EventArray, kinds: Any) -> None:
        for kind, name in _VALUES.items():
            if kinds[kind]:
                last = events[events["kind"] == kind][-1]
                self._last[name] = float(last["value"])
                if kind is Kind.FUNDING_RATE:
                    self._next_funding_ts = int(last["sequence"])
        if kinds[Kind.TRADE]:
            tick = int(events["price_tick"][events["kind"] == Kind.TRADE][-1])
            self._last["last_price"] = self.instrument.price(tick)


def is_level(events: EventArray) -> npt.NDArray[np.bool_]:
    """Say which rows change a level; a depth message without any travels as one empty row."""
    empty = (events["price_tick"] == 0) & (events["value"] == 0)
    levels: npt.NDArray[np.bool_] = (events["kind"] == Kind.DEPTH) & ~empty
    return levels
