"""Scanned messages to rows, one kernel for each kind; each returns an error code or 0."""

import math
from typing import Final

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.decimals import (
    read_decimal,
    read_price,
    read_signed_decimal,
    read_whole,
)
from alphaplus.feeds._kernels.identity import has_field
from alphaplus.feeds._kernels.layout import (
    ASK,
    BID,
    DEPTH,
    EVENT_BOOK_TICKER,
    EVENT_DEPTH,
    EVENT_FUNDING_RATE,
    EVENT_INDEX_PRICE,
    EVENT_LIQUIDATION,
    EVENT_MARK_PRICE,
    EVENT_SNAPSHOT_BEGIN,
    EVENT_SNAPSHOT_END,
    EVENT_TRADE,
    FIELD,
    FLAG_OFF_MARKET,
    NUMBER,
    SNAPSHOT,
    Bytes,
    Record,
    Records,
)
from alphaplus.feeds._kernels.levels import read_side
from alphaplus.feeds._kernels.names import pack_string
from alphaplus.feeds._kernels.rows import marks_of, put_row, write_row
from alphaplus.feeds._kernels.syntax import OPEN_LIST, QUOTE, byte_at
from alphaplus.feeds._kernels.words import Word, packed
from alphaplus.jit import borrowing_kernel

_MAX_MS: Final = 9_223_372_036_854
"""The latest millisecond whose nanosecond fits 64 bits."""
_NAME_MARKET: Final = packed("MARKET")
_NAME_BUY: Final = packed("BUY")
_NAME_SELL: Final = packed("SELL")


@borrowing_kernel
def read_id(buffer: Bytes, scan: Record, level: int, seen: int, field: int) -> int:
    """Read a whole number; negative: minus the error code."""
    if not has_field(seen, field):
        return -FIELD
    return read_whole(buffer, scan.begin[level, field], scan.end[level, field])


@borrowing_kernel
def read_nanoseconds(
    buffer: Bytes, scan: Record, level: int, seen: int, field: int, default: int
) -> int:
    """Read milliseconds as nanoseconds; where the field is missing, `default`."""
    if not has_field(seen, field):
        return default
    number = read_whole(buffer, scan.begin[level, field], scan.end[level, field])
    if number < 0:
        return number
    if number > _MAX_MS:
        return -NUMBER
    return number * 1_000_000


@borrowing_kernel
def _is_empty(buffer: Bytes, at: int) -> bool:
    return byte_at(buffer, at) == QUOTE and byte_at(buffer, at + 1) == QUOTE


@borrowing_kernel
def finish_book(
    buffer: Bytes,
    scan: Record,
    kind: int,
    instrument: int,
    market: Records,
    message: Record,
    events: Records,
) -> int:
    """Complete the rows of a change or a snapshot of the book; returns an error code."""
    level = scan.nested
    seen = scan.seen[level]
    bids, asks = (fields.b, fields.a) if kind == DEPTH else (fields.BIDS, fields.ASKS)
    for field in (bids, asks):
        if not has_field(seen, field) or byte_at(buffer, scan.begin[level, field]) != OPEN_LIST:
            return FIELD
        if not has_field(scan.decoded, field):
            at = read_side(
                buffer, scan.begin[level, field], field, instrument, scan, market, events
            )
            if at < 0:
                return -at
    if scan.decoded != (1 << bids) | (1 << asks):
        return FIELD
    last_id = read_id(
        buffer, scan, level, seen, fields.u if kind == DEPTH else fields.LAST_UPDATE_ID
    )
    first_id = read_id(buffer, scan, level, seen, fields.U) if kind == DEPTH else last_id
    if last_id < 0 or first_id < 0:
        return NUMBER if last_id == -NUMBER or first_id == -NUMBER else FIELD
    previous_id = -1
    if kind == DEPTH and has_field(seen, fields.PU):
        previous_id = read_whole(buffer, scan.begin[level, fields.PU], scan.end[level, fields.PU])
        if previous_id < 0:
            return NUMBER
    message.first_id = first_id
    message.last_id = last_id
    message.previous_id = previous_id
    message.levels = scan.row - scan.base - (1 if kind == SNAPSHOT else 0)
    if kind == SNAPSHOT:
        marks = marks_of(EVENT_SNAPSHOT_BEGIN, 0, 0)
        write_row(events[Word(scan.base)], marks, 0, math.nan, last_id)
    if kind == SNAPSHOT:
        put_row(events, scan, marks_of(EVENT_SNAPSHOT_END, 0, 0), 0, math.nan, last_id)
    elif scan.row == scan.base:
        # A change of no level still moves the sequence: it travels as a deletion of nothing.
        put_row(events, scan, marks_of(EVENT_DEPTH, BID, 0), 0, 0.0, last_id)
    return 0


@borrowing_kernel
def finish_ticker(
    buffer: Bytes, scan: Record, decimals: int, tick_units: int, message: Record, events: Records
) -> int:
    level = scan.nested
    seen = scan.seen[level]
    update_id = read_id(buffer, scan, level, seen, fields.u)
    if update_id < 0:
        return -update_id
    for side in (BID, ASK):
        price_field, size_field = (fields.b, fields.B) if side == BID else (fields.a, fields.A)
        if not has_field(seen, price_field) or not has_field(seen, size_field):
            return FIELD
        at, tick = read_price(buffer, scan.begin[level, price_field], decimals, tick_units)
        if at < 0:
            return -at
        at, quantity = read_decimal(buffer, scan.begin[level, size_field])
        if at < 0:
            return -at
        put_row(events, scan, marks_of(EVENT_BOOK_TICKER, side, 0), tick, quantity, update_id)
    message.first_id = update_id
    message.last_id = update_id
    return 0


@borrowing_kernel
def finish_trade(
    buffer: Bytes, scan: Record, decimals: int, tick_units: int, message: Record, events: Records
) -> int:
    level = scan.nested
    seen = scan.seen[level]
    trade_id = read_id(
        buffer, scan, level, seen, fields.t if has_field(seen, fields.t) else fields.a
    )
    if trade_id < 0:
        return -trade_id
    if not (has_field(seen, fields.p) and has_field(seen, fields.q) and has_field(seen, fields.m)):
        return FIELD
    at, tick = read_price(buffer, scan.begin[level, fields.p], decimals, tick_units)
    if at < 0:
        return -at
    at, quantity = read_decimal(buffer, scan.begin[level, fields.q])
    if at < 0:
        return -at
    maker = byte_at(buffer, scan.begin[level, fields.m])
    if maker != 116 and maker != 102:
        return FIELD
    side = ASK if maker == 116 else BID  # m: the buyer is the maker, so the seller was taking
    flags = 0
    if has_field(seen, fields.X):
        if (
            pack_string(buffer, scan.begin[level, fields.X], scan.end[level, fields.X])
            != _NAME_MARKET
        ):
            flags = FLAG_OFF_MARKET
    put_row(events, scan, marks_of(EVENT_TRADE, side, flags), tick, quantity, trade_id)
    message.first_id = trade_id
    message.last_id = trade_id
    return 0


@borrowing_kernel
def finish_mark(buffer: Bytes, scan: Record, events: Records) -> int:
    """Mark and index price, and the funding rate of contracts that have one."""
    level = scan.nested
    seen = scan.seen[level]
    if not has_field(seen, fields.p):
        return FIELD
    at, price = read_decimal(buffer, scan.begin[level, fields.p])
    if at < 0:
        return -at
    put_row(events, scan, marks_of(EVENT_MARK_PRICE, 0, 0), 0, price, 0)
    if has_field(seen, fields.i) and not _is_empty(buffer, scan.begin[level, fields.i]):
        at, price = read_decimal(buffer, scan.begin[level, fields.i])
        if at < 0:
            return -at
        put_row(events, scan, marks_of(EVENT_INDEX_PRICE, 0, 0), 0, price, 0)
    next_funding = read_nanoseconds(buffer, scan, level, seen, fields.T, 0)
    if next_funding < 0:
        return -next_funding
    # Dated contracts pay no funding: the venue sends the time 0, or an empty rate.
    if (
        next_funding > 0
        and has_field(seen, fields.r)
        and not _is_empty(buffer, scan.begin[level, fields.r])
    ):
        at, rate = read_signed_decimal(buffer, scan.begin[level, fields.r])
        if at < 0:
            return -at
        put_row(events, scan, marks_of(EVENT_FUNDING_RATE, 0, 0), 0, rate, next_funding)
    return 0


@borrowing_kernel
def finish_liquidation(
    buffer: Bytes, scan: Record, decimals: int, tick_units: int, events: Records
) -> int:
    """A liquidation order: what was scanned is the inner object."""
    seen = scan.seen[0]
    if not (has_field(seen, fields.S) and has_field(seen, fields.p) and has_field(seen, fields.q)):
        return FIELD
    name = pack_string(buffer, scan.begin[0, fields.S], scan.end[0, fields.S])
    if name == _NAME_SELL:
        side = ASK
    elif name == _NAME_BUY:
        side = BID
    else:
        return FIELD
    at, tick = read_price(buffer, scan.begin[0, fields.p], decimals, tick_units)
    if at < 0:
        return -at
    at, quantity = read_decimal(buffer, scan.begin[0, fields.q])
    if at < 0:
        return -at
    put_row(events, scan, marks_of(EVENT_LIQUIDATION, side, 0), tick, quantity, 0)
    return 0
