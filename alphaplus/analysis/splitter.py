"""Cut a stream of events into pieces that can be taken at once, and sort each by kind.

A piece ends before and after a change of the feed's status, with the book message at which the
whole book is due, with the last look that there is room for, with a message about the volume of
24 hours, which holds for what follows it, and before the first quote of the venue: up to there
the book's own touch serves as quote, and the two never mix in one series.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np

from alphaplus.analysis.tape import TRADE, DayVolume, TradeArray
from alphaplus.book._kernels.looks import LOOK
from alphaplus.book.looks import LookArray
from alphaplus.book.quotes import QUOTE, QuoteArray
from alphaplus.events import EventArray, FeedStatus, Flag, Kind
from alphaplus.jit import kernel

_LAST: Final = int(Flag.LAST)
_OFF_MARKET: Final = int(Flag.OFF_MARKET)
_BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
_DEPTH: Final = int(Kind.DEPTH)
_END: Final = int(Kind.SNAPSHOT_END)
_TRADE: Final = int(Kind.TRADE)
_TICKER: Final = int(Kind.BOOK_TICKER)
_MARK: Final = int(Kind.MARK_PRICE)
_INDEX: Final = int(Kind.INDEX_PRICE)
_FUNDING: Final = int(Kind.FUNDING_RATE)
_OPEN_INTEREST: Final = int(Kind.OPEN_INTEREST)
_STATUS: Final = int(Kind.STATUS)
_VOLUME: Final = int(Kind.VOLUME_24H)
_TURNOVER: Final = int(Kind.TURNOVER_24H)

SPLIT: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("book_ts_event", "<i8"),  # of the last message of the book
        ("strange_times", "<i8"),  # events whose venue time is far ahead of ours
        ("messages", "<i8"),
        ("level_updates", "<i8"),
        ("trades", "<i8"),
        ("next_funding_ts", "<i8"),
        ("last_trade_tick", "<i8"),
        ("mark_price", "<f8"),
        ("index_price", "<f8"),
        ("funding_rate", "<f8"),
        ("open_interest", "<f8"),
        ("volume_24h", "<f8"),  # base units
        ("turnover_24h", "<f8"),  # quote currency
        ("bid_tick", "<i8"),  # of the ticker that is being read
        ("ask_tick", "<i8"),
        ("bid_quantity", "<f8"),
        ("ask_quantity", "<f8"),
        ("has_tickers", "<i8"),
        ("has_trades", "<i8"),
        ("look_due", "<i8"),  # venue time of the next look at the levels near the mid
        ("look_every", "<i8"),
    ],
    align=True,
)
_UNKNOWN_AT_FIRST: Final = (
    "mark_price",
    "index_price",
    "funding_rate",
    "open_interest",
    "volume_24h",
    "turnover_24h",
)
_TS_EVENT, _BOOK_TS_EVENT, _HAS_TICKERS = (
    (SPLIT.names or ()).index(name) for name in ("ts_event", "book_ts_event", "has_tickers")
)
"""Places in the row, all of whose fields have 8 bytes: a memoryview is read fastest."""
NEVER: Final = 2**63 - 1
NO_LOOKS: Final = np.zeros(0, dtype=LOOK)
_FIRST_ROWS: Final = 256
_TOLD: Final = -2

MAX_AHEAD_NS: Final = 3600 * 10**9
"""A venue time so far ahead of ours is a defect that would freeze every window of time.

Such an event counts as of the moment at which it was received.
"""


class Piece(NamedTuple):
    """Rows `begin..end` of a batch; its arrays hold until `begin_anew`."""

    end: int
    quotes: QuoteArray
    """The venue's own quotes."""
    trades: TradeArray
    has_levels: bool
    """Whether it has any row for the book."""
    book_messages: int
    """Messages of the book that it completes."""
    status: FeedStatus | None
    """The new status, if that is all that the piece says."""
    looks: int
    """Turns to look at the levels near the mid: so many rows of the looks are written."""
    has_day_volume: bool
    """Whether it ends with a message about the volume of 24 hours."""


class EventSplitter:
    """Reads the events of one market piece by piece, and keeps its counts and last values.

    `looks` gets the turns to look at the levels near the mid: the first book message in each
    `every_ns` of venue time.
    """

    def __init__(self, looks: LookArray = NO_LOOKS, every_ns: int = 0) -> None:
        self.last = np.zeros(1, dtype=SPLIT)
        """Counts and last values: nan (0 for times and ticks) while unknown."""
        for name in _UNKNOWN_AT_FIRST:
            self.last[name] = np.nan
        self.last["look_due"] = 0 if len(looks) else NEVER
        self.last["look_every"] = every_ns
        self._looks = looks
        self._words = self.last.view(np.int64).data
        self._quotes = np.empty(_FIRST_ROWS, dtype=QUOTE)
        self._trades = np.empty(_FIRST_ROWS, dtype=TRADE)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Use the space of all pieces again."""
        self._free_quotes, self._free_trades = self._quotes, self._trades

    @property
    def ts_event(self) -> int:
        """The newest venue time that the stream has shown, ns; it never goes back."""
        return self._words[_TS_EVENT]

    @property
    def book_ts_event(self) -> int:
        """Venue time of the last message of the book, ns."""
        return self._words[_BOOK_TS_EVENT]

    @property
    def day_volume(self) -> DayVolume:
        """What the venue said last of the volume of 24 hours."""
        volume, turnover = (float(self.last[name][0]) for name in ("volume_24h", "turnover_24h"))
        return DayVolume(
            volume=volume if 0 <= volume < math.inf else None,
            turnover=turnover if 0 <= turnover < math.inf else None,
        )

    @property
    def has_tickers(self) -> bool:
        """Whether the venue has sent quotes of its own."""
        return self._words[_HAS_TICKERS] != 0

    def read(self, events: EventArray, begin: int, due: int) -> Piece:
        """Read from row `begin` to the end of the piece; `due` is a venue time, ns.

        A batch begins with row 0, and its pieces are read in their order.
        """
        if len(events) - begin > min(len(self._free_quotes), len(self._free_trades)):
            size = max(len(events), len(self._trades))  # earlier pieces keep what they have
            self._quotes, self._trades = np.empty(size, dtype=QUOTE), np.empty(size, dtype=TRADE)
            self.begin_anew()
        free_quotes, free_trades = self._free_quotes, self._free_trades
        end, quotes, trades, levels, messages, looks, status = _read(
            self.last, events, begin, due, free_quotes, free_trades, self._looks
        )
        self._free_quotes, self._free_trades = free_quotes[quotes:], free_trades[trades:]
        return Piece(
            end,
            free_quotes[:quotes],
            free_trades[:trades],
            levels > 0,
            messages,
            FeedStatus(status) if status >= 0 else None,
            looks,
            status == _TOLD,
        )


@kernel
def _read(
    last_row: Any, events: Any, begin: int, due: int, quotes: Any, trades: Any, looks: Any
) -> tuple[int, int, int, int, int, int, int]:
    """Return end, quotes, trades, rows and messages of the book, looks, status (-1: none)."""
    last = last_row[0]
    if events[begin].kind == _STATUS:
        return begin + 1, 0, 0, 0, 0, 0, int(events[begin].value)
    n_quotes = n_trades = levels = messages = n_looks = updates = 0
    most_looks = max(len(looks), 1)  # without any there is never one
    status = -1
    end = begin
    while end < len(events):
        event = events[end]
        kind = event.kind
        ends = event.flags & _LAST != 0
        if kind == _DEPTH:  # nearly all rows: as little as can be for each
            end += 1
            levels += 1
            updates += event.price_tick != 0 or event.value != 0.0
            if not ends:
                if event.ts_event > event.ts_recv + MAX_AHEAD_NS:
                    last.strange_times += 1
                continue
        elif kind == _STATUS or (kind == _TICKER and last.has_tickers == 0 and end > begin):
            break
        else:
            end += 1
        ts_event = _take_time(last, event)
        if ends:
            last.messages += 1
        if kind == _DEPTH or kind == _END:
            levels += kind == _END
            messages += 1
            last.book_ts_event = ts_event
            if ts_event >= last.look_due:
                _turn(last, looks[n_looks], end - 1 - begin, ts_event, n_trades)
                n_looks += 1
            if ts_event >= due or n_looks == most_looks:
                break
        elif kind == _BEGIN:
            levels += 1
        elif kind == _TICKER:
            last.has_tickers = 1
            if _take_ticker(last, event, ts_event, quotes, n_quotes):
                n_quotes += 1
        elif kind == _TRADE:
            _take_trade(last, event, ts_event, trades[n_trades])
            n_trades += 1
        elif kind == _VOLUME or kind == _TURNOVER:
            _take_value(last, event)
            if ends:
                status = _TOLD
                break
        else:
            _take_value(last, event)
    last.level_updates += updates
    return end, n_quotes, n_trades, levels, messages, n_looks, status


@kernel
def _take_time(last: Any, event: Any) -> int:
    """Return the venue time of a row, and keep the newest."""
    ts_event = event.ts_event
    if ts_event > event.ts_recv + MAX_AHEAD_NS:
        ts_event = event.ts_recv
        last.strange_times += 1
    if ts_event > last.ts_event:
        last.ts_event = ts_event
    return ts_event  # type: ignore[no-any-return]


@kernel
def _take_ticker(last: Any, event: Any, ts_event: int, quotes: Any, at: int) -> bool:
    """Take one side of the best quote; return whether a whole quote was written."""
    if event.side == 1:
        last.bid_tick = event.price_tick
        last.bid_quantity = event.value
    else:
        last.ask_tick = event.price_tick
        last.ask_quantity = event.value
    if event.flags & _LAST == 0:
        return False
    quote = quotes[at]
    quote.ts_event = ts_event
    quote.ts_recv = event.ts_recv
    quote.sequence = event.sequence
    quote.bid_tick = last.bid_tick
    quote.ask_tick = last.ask_tick
    quote.bid_quantity = last.bid_quantity
    quote.ask_quantity = last.ask_quantity
    return True


@kernel
def _take_trade(last: Any, event: Any, ts_event: int, trade: Any) -> None:
    trade.ts_event = ts_event
    trade.ts_recv = event.ts_recv
    trade.trade_id = event.sequence
    trade.price_tick = event.price_tick
    trade.quantity = event.value
    trade.side = event.side
    trade.off_market = 1 if event.flags & _OFF_MARKET != 0 else 0
    last.trades += 1
    last.last_trade_tick = event.price_tick
    last.has_trades = 1


@kernel
def _take_value(last: Any, event: Any) -> None:
    """Keep what an event says of the instrument."""
    if event.kind == _MARK:
        last.mark_price = event.value
    elif event.kind == _INDEX:
        last.index_price = event.value
    elif event.kind == _FUNDING:
        last.funding_rate = event.value
        last.next_funding_ts = event.sequence
    elif event.kind == _OPEN_INTEREST:
        last.open_interest = event.value
    elif event.kind == _VOLUME:
        last.volume_24h = event.value
    elif event.kind == _TURNOVER:
        last.turnover_24h = event.value


@kernel
def _turn(last: Any, look: Any, row: int, ts_event: int, trades: int) -> None:
    """Note a turn to look behind a row, and when the next one is."""
    look.row = row
    look.ts_event = ts_event
    look.trades = trades
    last.look_due = (ts_event // last.look_every + 1) * last.look_every
