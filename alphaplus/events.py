"""The one event format: what feeds produce, actors apply, captures keep and replays read.

A batch of events is one contiguous numpy array of dtype `EVENT` for one instrument, in the
order in which the venue sent them. One venue message becomes one or more rows; its last row
carries `Flag.LAST`, so a batch may be cut at any message without loss of meaning.

===============  ==================  ==========  ====================  =======================
kind             sequence            side        price_tick            value
===============  ==================  ==========  ====================  =======================
SNAPSHOT_BEGIN   last update id      0           0                     nan
DEPTH            last update id      BID / ASK   price                 quantity, 0 = no level
SNAPSHOT_END     last update id      0           0                     nan
TRADE            trade id            aggressor   price                 quantity
BOOK_TICKER      update id           BID / ASK   best price            quantity at it
MARK_PRICE       0                   0           0                     price
INDEX_PRICE      0                   0           0                     price
FUNDING_RATE     next funding, ns    0           0                     rate per interval
OPEN_INTEREST    0                   0           0                     base units or contracts
LIQUIDATION      0                   of order    price                 quantity
STATUS           0                   0           0                     `FeedStatus`
VOLUME_24H       0                   0           0                     base units
TURNOVER_24H     0                   0           0                     quote currency
===============  ==================  ==========  ====================  =======================

Times are int64 nanoseconds since 1970 UTC: `ts_event` is the venue's clock (`ts_recv` where the
venue gives none), `ts_recv` is ours. Prices are integer ticks of the instrument; quantities are
in the venue's own unit (base units, or contracts) as the float64 nearest to the decimal text.

What was traded in the 24 hours before `ts_event`, as the venue states it, is in base units and in
quote currency for every instrument: of an inverse one, both cannot be told from contracts alone.
One message brings both rows, the volume first.
"""

from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import numpy.typing as npt

EventArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `EVENT`."""


class Kind(IntEnum):
    """What a row says."""

    SNAPSHOT_BEGIN = 1
    DEPTH = 2
    SNAPSHOT_END = 3
    TRADE = 4
    BOOK_TICKER = 5
    MARK_PRICE = 6
    INDEX_PRICE = 7
    FUNDING_RATE = 8
    OPEN_INTEREST = 9
    LIQUIDATION = 10
    STATUS = 11
    VOLUME_24H = 12
    TURNOVER_24H = 13


class Side(IntEnum):
    """+1 for bids and buyers, -1 for asks and sellers, 0 where a row has no side."""

    ASK = -1
    NONE = 0
    BID = 1


class Flag(IntFlag):
    """Bits of the `flags` field."""

    LAST = 1
    """The last row of a venue message."""
    OFF_MARKET = 2
    """A trade that no market order made (insurance fund, ADL): no aggressor statistics."""


class FeedStatus(IntEnum):
    """Where the book of one instrument stands; the value of a STATUS row."""

    CONNECTING = 0
    BUFFERING = 1
    SYNCED = 2
    RESYNC = 3
    DISCONNECTED = 4


EVENT: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("sequence", "<i8"),
        ("price_tick", "<i8"),
        ("value", "<f8"),
        ("kind", "u1"),
        ("side", "i1"),
        ("flags", "u1"),
    ],
    align=True,
)
"""48 bytes a row; aligned, so compiled kernels read fields at machine speed."""


def empty_events(count: int = 0) -> EventArray:
    """Return `count` zeroed rows."""
    return np.zeros(count, dtype=EVENT)


def event(
    kind: Kind,
    *,
    ts_recv: int,
    ts_event: int | None = None,
    sequence: int = 0,
    side: Side = Side.NONE,
    price_tick: int = 0,
    value: float = np.nan,
    flags: Flag = Flag.LAST,
) -> EventArray:
    """Return one event as an array of one row, for the rare events that no kernel makes."""
    row = empty_events(1)
    row["ts_event"] = ts_recv if ts_event is None else ts_event
    row["ts_recv"] = ts_recv
    row["sequence"] = sequence
    row["price_tick"] = price_tick
    row["value"] = value
    row["kind"] = kind
    row["side"] = side
    row["flags"] = flags
    return row


def status_event(status: FeedStatus, *, ts_recv: int) -> EventArray:
    """Return the one-row batch that says where a book stands."""
    return event(Kind.STATUS, ts_recv=ts_recv, value=float(status))


def events_from_bytes(payload: Any) -> EventArray:
    """View a buffer of whole rows as events, without a copy (read-only).

    Raises ValueError if the buffer is not a whole number of rows.
    """
    return np.frombuffer(payload, dtype=EVENT)


def plain(events: EventArray) -> EventArray:
    """Return events as one contiguous, aligned, read-only array: one variant for all kernels."""
    flags: Any = events.flags
    if flags.carray:
        events = events[:]
        events.setflags(write=False)
    elif not (flags.c_contiguous and flags.aligned):
        events = np.array(events)
        events.setflags(write=False)
    return events
