"""What a scanned frame is: which message, and of which instrument."""

from typing import Final

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.layout import (
    BOOK_TICKER,
    DEPTH,
    LIQUIDATION,
    MARK_PRICE,
    OPEN_INTEREST,
    OTHER,
    SNAPSHOT,
    TRADE,
    Bytes,
    Longs,
    Record,
    Records,
    Words,
)
from alphaplus.feeds._kernels.names import find_symbol, pack_bytes, pack_string
from alphaplus.feeds._kernels.syntax import QUOTE, byte_at
from alphaplus.feeds._kernels.words import packed
from alphaplus.jit import borrowing_kernel

_AT_SIGN: Final = 64
_NAME_TRADE: Final = packed("trade")
_NAME_AGG_TRADE: Final = packed("aggTrade")
_NAME_BOOK_TICKER: Final = packed("bookTicker")
_NAME_FORCE_ORDER: Final = packed("forceOrder")
_NAME_DEPTH_UPDATE: Final = packed("depthUpdate")
_NAME_MARK_PRICE_UPDATE: Final = packed("markPriceUpdate")
_NAME_AT_DEPTH: Final = packed("@depth")


@borrowing_kernel
def has_field(seen: int, field: int) -> bool:
    """Say whether a field is in a bit set of those seen."""
    return seen >> field & 1 == 1


@borrowing_kernel
def end_of_symbol(buffer: Bytes, begin: int, end: int) -> int:
    """Return where the symbol ends in a stream name such as btcusdt@depth@100ms."""
    for at in range(begin, end):
        if byte_at(buffer, at) == _AT_SIGN:
            return at
    return end


@borrowing_kernel
def _is_partial_book(buffer: Bytes, begin: int, end: int) -> bool:
    """Say whether a stream is btcusdt@depth20: whole top levels under the look of a change."""
    at = end_of_symbol(buffer, begin, end)
    if end - at < 7:
        return False
    low, _ = pack_bytes(buffer, at, at + 6)
    return low == _NAME_AT_DEPTH[0] and 48 <= byte_at(buffer, at + 6) <= 57


@borrowing_kernel
def kind_of(buffer: Bytes, scan: Record) -> int:
    """Say which of the known messages was scanned."""
    level = scan.nested
    seen = scan.seen[level]
    is_wrapped = has_field(scan.seen[0], fields.STREAM) and has_field(scan.seen[0], fields.DATA)
    if is_wrapped and _is_partial_book(
        buffer, scan.begin[0, fields.STREAM] + 1, scan.end[0, fields.STREAM] - 1
    ):
        return OTHER
    if has_field(seen, fields.e):
        event = pack_string(buffer, scan.begin[level, fields.e], scan.end[level, fields.e])
        if event == _NAME_BOOK_TICKER:
            return BOOK_TICKER
        if event == _NAME_DEPTH_UPDATE:
            return DEPTH
        if event == _NAME_TRADE or event == _NAME_AGG_TRADE:
            return TRADE
        if event == _NAME_MARK_PRICE_UPDATE:
            return MARK_PRICE
        if event == _NAME_FORCE_ORDER:
            return LIQUIDATION
        return OTHER
    if (
        has_field(seen, fields.LAST_UPDATE_ID)
        and has_field(seen, fields.BIDS)
        and has_field(seen, fields.ASKS)
    ):
        return SNAPSHOT
    if (
        has_field(seen, fields.u)
        and has_field(seen, fields.b)
        and has_field(seen, fields.a)
        and has_field(seen, fields.s)
    ):
        if has_field(seen, fields.B) and has_field(seen, fields.A):
            return BOOK_TICKER  # the spot ticker names no event type
    if has_field(seen, fields.OPEN_INTEREST):
        return OPEN_INTEREST
    return OTHER


@borrowing_kernel
def instrument_of(buffer: Bytes, scan: Record, names: Words, slots: Longs, market: Records) -> int:
    """Return the instrument that the hint, the symbol or the stream names; -1 none, -2 unknown."""
    found = scan.found[scan.nested]
    if scan.hint >= 0:
        return scan.hint if found == -1 or found == scan.hint else -2
    if (
        found == -1
        and has_field(scan.seen[0], fields.STREAM)
        and byte_at(buffer, scan.begin[0, fields.STREAM]) == QUOTE
    ):
        begin = scan.begin[0, fields.STREAM] + 1
        end = end_of_symbol(buffer, begin, scan.end[0, fields.STREAM] - 1)
        return find_symbol(buffer, begin, end, True, names, slots, market)
    return int(found)


@borrowing_kernel
def partial_instrument(
    buffer: Bytes, scan: Record, names: Words, slots: Longs, market: Records
) -> int:
    """Return the instrument of a frame that broke off, as far as it was told; -1 if not."""
    if scan.hint >= 0:
        return int(scan.hint)
    found = max(scan.found[0], scan.found[1])
    if found >= 0:
        return int(found)
    if has_field(scan.seen[0], fields.STREAM) and scan.end[0, fields.STREAM] >= 0:
        return instrument_of(buffer, scan, names, slots, market)
    return -1
