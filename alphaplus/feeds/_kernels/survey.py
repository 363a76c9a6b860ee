"""What a recording's frames are of and how fine their numbers: the entry for discovery."""

import numpy as np

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.identity import end_of_symbol, has_field, kind_of
from alphaplus.feeds._kernels.layout import (
    BOOK_TICKER,
    DEPTH,
    FIELD,
    FIRST_FRAME,
    LIQUIDATION,
    OTHER,
    PADDING,
    SCAN,
    SNAPSHOT,
    SYNTAX,
    TRADE,
    UNSETTLED,
    Bytes,
    Longs,
    Record,
    Records,
    Words,
)
from alphaplus.feeds._kernels.messages import read_id
from alphaplus.feeds._kernels.scan import scan_object
from alphaplus.feeds._kernels.syntax import (
    CLOSE_LIST,
    COMMA,
    DOT,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    byte_at,
    end_of_frame,
    skip_digits,
    skip_space,
    skip_string,
)
from alphaplus.jit import borrowing_kernel, kernel


@borrowing_kernel
def _needed_decimals(buffer: Bytes, at: int) -> int:
    """Return the digits after the point of a quoted decimal, trailing zeros not counted."""
    if byte_at(buffer, at) != QUOTE:
        return 0
    at = skip_digits(buffer, at + 1)
    if byte_at(buffer, at) != DOT:
        return 0
    begin = at + 1
    last = at
    at = begin
    while 48 <= byte_at(buffer, at) <= 57:
        if byte_at(buffer, at) != 48:
            last = at
        at += 1
    return last + 1 - begin if last >= begin else 0


@borrowing_kernel
def _needed_by_levels(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the decimals that the prices and the quantities of a valid level list need."""
    price = 0
    quantity = 0
    depth = 0
    element = 0
    while at < end:
        byte = byte_at(buffer, at)
        if byte == OPEN_LIST:
            depth += 1
            element = 0
        elif byte == CLOSE_LIST:
            depth -= 1
        elif byte == COMMA:
            element += 1
        elif byte == QUOTE:
            if depth == 2 and element == 0:
                price = max(price, _needed_decimals(buffer, at))
            elif depth == 2 and element == 1:
                quantity = max(quantity, _needed_decimals(buffer, at))
            at = skip_string(buffer, at)
            continue
        at += 1
    return price, quantity


@borrowing_kernel
def _survey_frame(
    buffer: Bytes,
    at: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    events: Records,
    note: Record,
) -> int:
    """Note one frame; returns minus an error code."""
    at = skip_space(buffer, at)
    if byte_at(buffer, at) != OPEN_OBJECT:
        return 0
    at = scan_object(buffer, at, scan, names, slots, market, events)
    if at < 0:
        return at
    if byte_at(buffer, skip_space(buffer, at)) != 0:
        return -SYNTAX
    kind = kind_of(buffer, scan)
    level = scan.nested
    if (
        has_field(scan.seen[0], fields.STREAM)
        and byte_at(buffer, scan.begin[0, fields.STREAM]) == QUOTE
    ):
        note.name_begin = scan.begin[0, fields.STREAM] + 1
        note.name_end = end_of_symbol(
            buffer, scan.begin[0, fields.STREAM] + 1, scan.end[0, fields.STREAM] - 1
        )
    seen = scan.seen[level]
    note.has_event_type = has_field(seen, fields.e)
    if kind == LIQUIDATION:
        if (
            not has_field(seen, fields.o)
            or byte_at(buffer, scan.begin[level, fields.o]) != OPEN_OBJECT
        ):
            return -FIELD
        scan_object(buffer, scan.begin[level, fields.o], scan, names, slots, market, events)
        level = 0
        seen = scan.seen[0]
    for field in (fields.s, fields.SYMBOL):
        if has_field(seen, field) and byte_at(buffer, scan.begin[level, field]) == QUOTE:
            note.name_begin = scan.begin[level, field] + 1
            note.name_end = scan.end[level, field] - 1
    price = 0
    quantity = 0
    for field in (fields.b, fields.a, fields.BIDS, fields.ASKS):
        if has_field(seen, field):
            if byte_at(buffer, scan.begin[level, field]) == OPEN_LIST:
                needed, size = _needed_by_levels(
                    buffer, scan.begin[level, field], scan.end[level, field]
                )
                price = max(price, needed)
                quantity = max(quantity, size)
            elif kind == BOOK_TICKER:
                price = max(price, _needed_decimals(buffer, scan.begin[level, field]))
    if kind == TRADE or kind == LIQUIDATION:
        if has_field(seen, fields.p):
            price = max(price, _needed_decimals(buffer, scan.begin[level, fields.p]))
        if has_field(seen, fields.q):
            quantity = max(quantity, _needed_decimals(buffer, scan.begin[level, fields.q]))
    note.kind = kind
    note.price_decimals = price
    note.quantity_decimals = quantity
    note.has_previous_id = has_field(seen, fields.PU)
    note.is_spot_trade = has_field(seen, fields.M)
    if kind == SNAPSHOT:
        note.last_id = read_id(buffer, scan, level, seen, fields.LAST_UPDATE_ID)
    elif kind == DEPTH:
        note.first_id = read_id(buffer, scan, level, seen, fields.U)
        note.last_id = read_id(buffer, scan, level, seen, fields.u)
    return 0


@kernel
def survey(
    buffer: Bytes, names: Words, slots: Longs, market: Records, events: Records, notes: Records
) -> bool:
    """Note of every frame which symbol it names and what decimals its numbers need.

    Returns whether the batch is settled; if not, the notes say nothing. The tables are those
    of a decoder without instruments, and `events` is empty.
    """
    scan = np.empty(1, dtype=SCAN)[0]
    scan.hint = -1
    at = FIRST_FRAME
    for i in range(notes.size):
        note = notes[i]
        note.first_id = -1
        note.last_id = -1
        note.name_begin = 0
        note.name_end = 0
        note.kind = OTHER
        note.price_decimals = 0
        note.quantity_decimals = 0
        note.has_previous_id = 0
        note.has_event_type = 0
        note.is_spot_trade = 0
        error = _survey_frame(buffer, at, scan, names, slots, market, events, note)
        if error == -UNSETTLED:
            return False
        at = end_of_frame(buffer, at) + 1
    return bool(at == buffer.size - PADDING)
