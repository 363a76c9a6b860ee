"""Lists of price levels to rows: nearly all bytes of a feed pass here."""

from typing import Final

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.decimals import FLOAT_TENS, MAX_DIGITS, TENS, read_decimal, read_price
from alphaplus.feeds._kernels.layout import (
    ASK,
    BID,
    EVENT_DEPTH,
    FIELD,
    NO_ROOM,
    SPARE_ROWS,
    SYNTAX,
    Bytes,
    Record,
    Records,
)
from alphaplus.feeds._kernels.rows import marks_of
from alphaplus.feeds._kernels.syntax import (
    CLOSE_LIST,
    COMMA,
    DOT,
    OPEN_LIST,
    QUOTE,
    byte_at,
    skip_space,
    skip_value,
)
from alphaplus.feeds._kernels.words import (
    FIRST_BYTES,
    ZERO_DIGITS,
    Word,
    digits_in,
    eight_digits,
    others_in,
    word_at,
)
from alphaplus.intrinsics import prefetch, prefetch_to_write
from alphaplus.jit import borrowing_kernel

_BETWEEN_NUMBERS: Final = Word(int.from_bytes(b'","', "little"))
_BETWEEN_LEVELS: Final = Word(int.from_bytes(b'"],["', "little"))
_END_OF_LEVEL: Final = Word(int.from_bytes(b'"]', "little"))
_BYTES_AHEAD: Final = 1024
_ROWS_AHEAD: Final = 48
"""How far ahead memory is asked for: some 40 levels, or half a microsecond."""


@borrowing_kernel
def _read_level(buffer: Bytes, at: int, decimals: int, tick_units: int) -> tuple[int, int, float]:
    """Read one `["price","quantity"]` in any form: (position behind it, ticks, quantity)."""
    if byte_at(buffer, at) != OPEN_LIST:
        return -FIELD, 0, 0.0
    at, tick = read_price(buffer, skip_space(buffer, at + 1), decimals, tick_units)
    if at < 0:
        return at, 0, 0.0
    at = skip_space(buffer, at)
    if byte_at(buffer, at) != COMMA:
        return -FIELD, 0, 0.0
    at, quantity = read_decimal(buffer, skip_space(buffer, at + 1))
    if at < 0:
        return at, 0, 0.0
    at = skip_space(buffer, at)
    while byte_at(buffer, at) == COMMA:  # elements that we do not know
        at = skip_value(buffer, skip_space(buffer, at + 1))
        if at < 0:
            return at, 0, 0.0
        at = skip_space(buffer, at)
    if byte_at(buffer, at) != CLOSE_LIST:
        return -SYNTAX, 0, 0.0
    return at + 1, tick, quantity


@borrowing_kernel
def _zeros_and(zeros: int, behind: Word, length: int) -> tuple[Word, Word]:
    """Return up to eight bytes, as a mask and text: zeros, and the text of a length behind them."""
    text = ZERO_DIGITS & FIRST_BYTES[zeros]
    if zeros < 8:
        text |= behind << Word(8 * zeros)
    mask = FIRST_BYTES[min(zeros + length, 8)]
    return mask, text & mask


@borrowing_kernel
def _read_usual_levels(
    buffer: Bytes, at: int, events: Records, row: int, side: int, market: Record
) -> tuple[int, int]:
    """Decode levels from `at` on while they look like the first: (position behind, next row).

    Nearly all bytes of a feed pass here. The venue writes all prices of an instrument with the
    same decimals, its quantities likewise, and most prices of a list have the same length. So
    the layout of the first level is measured, and in the others it is not looked for but only
    checked. What is laid out otherwise, has more than 8 digits that count, is off the grid or
    no level at all, is left to the caller, as are those that there is no row for.
    """
    decimals = market.price_decimals
    start = at + 2  # of the price
    whole = digits_in(word_at(buffer, start) ^ ZERO_DIGITS)
    point = 1 if byte_at(buffer, start + whole) == DOT else 0
    to_fraction = whole + point
    fraction = digits_in(word_at(buffer, start + to_fraction) ^ ZERO_DIGITS)
    kept = min(fraction, decimals)
    to_zeros = to_fraction + kept
    to_quote = to_fraction + fraction
    first = to_quote + 3
    digits = digits_in(word_at(buffer, start + first) ^ ZERO_DIGITS)
    size_stop = byte_at(buffer, start + first + digits)
    size_point = 1 if size_stop == DOT else 0
    size_fraction = digits_in(word_at(buffer, start + first + digits + size_point) ^ ZERO_DIGITS)
    size_kept = min(size_fraction, market.quantity_decimals)
    # The zero before the point of a small price is no digit that counts.
    is_small = point == 1 and whole == 1 and byte_at(buffer, start) == 48
    counted = 0 if is_small else whole
    if (
        byte_at(buffer, at) != OPEN_LIST
        or byte_at(buffer, at + 1) != QUOTE
        or whole == 0
        or whole + point > 8
        or not 1 <= counted + kept <= 8
        or size_kept > 7
        or (point == 1) != (fraction > 0)
        or (size_point == 1) != (size_fraction > 0)
        or whole + decimals > MAX_DIGITS
    ):
        return at, row
    to_behind = to_fraction - counted
    front = FIRST_BYTES[counted]
    back = FIRST_BYTES[counted + kept] ^ front
    shift = Word(64 - 8 * (counted + kept))
    exact = (FIRST_BYTES[to_fraction] ^ FIRST_BYTES[whole]) | (FIRST_BYTES[whole] ^ front)
    layout = word_at(buffer, start) & exact
    scale = TENS[decimals - kept]
    tick_units = market.tick_units
    # Zeros and the text behind them are compared as one word; what it has no room for, once more.
    zeros = fraction - kept
    between_mask, between = _zeros_and(zeros, _BETWEEN_NUMBERS, 3)
    to_size_zeros = size_point + size_kept
    size_zeros = size_fraction - size_kept
    next_mask, next_text = _zeros_and(size_zeros, _BETWEEN_LEVELS, 5)
    end_mask, end_text = _zeros_and(size_zeros, _END_OF_LEVEL, 2)
    most_digits = Word(8 - size_kept)
    divisor = FLOAT_TENS[size_kept]
    marks = marks_of(EVENT_DEPTH, side, 0)
    while row < events.size - SPARE_ROWS:
        prefetch(buffer, Word(start + _BYTES_AHEAD))
        prefetch_to_write(events, Word(row + _ROWS_AHEAD))
        head = word_at(buffer, start)
        price = (head & front) | (word_at(buffer, start + to_behind) & back)
        price = (price ^ ZERO_DIGITS) << shift
        if (
            head & exact != layout
            or word_at(buffer, start + to_zeros) & between_mask != between
            or (
                zeros > 5 and word_at(buffer, start + to_quote) & FIRST_BYTES[3] != _BETWEEN_NUMBERS
            )
        ):
            return at, row
        place = start + first
        head = word_at(buffer, place)
        digits = digits_in(head ^ ZERO_DIGITS)
        if (
            Word(digits - 1) >= most_digits  # none wraps around
            or byte_at(buffer, place + digits) != size_stop
        ):
            return at, row
        front_of_size = FIRST_BYTES[digits]
        size = (head & front_of_size) | (word_at(buffer, place + size_point) & ~front_of_size)
        size = (size ^ ZERO_DIGITS) << Word(64 - 8 * (digits + size_kept))
        if others_in(price) | others_in(size) != Word(0):
            return at, row
        place += digits + to_size_zeros
        tail = word_at(buffer, place)
        place += size_zeros
        goes_on = tail & next_mask == next_text
        if size_zeros > 3:
            goes_on &= word_at(buffer, place) & FIRST_BYTES[5] == _BETWEEN_LEVELS
        if not goes_on and (
            tail & end_mask != end_text
            or (size_zeros > 6 and word_at(buffer, place) & FIRST_BYTES[2] != _END_OF_LEVEL)
        ):
            return at, row
        tick = eight_digits(price) * scale
        if tick_units != 1:
            units = tick
            tick = units // tick_units
            if tick * tick_units != units:
                return at, row
        event = events[Word(row)]
        event.price_tick = tick
        event.value = eight_digits(size) / divisor
        event.marks = marks
        row += 1
        at = place + 2
        if not goes_on:
            return at, row
        start = place + 5
    return at, row


@borrowing_kernel
def _read_levels(
    buffer: Bytes, at: int, events: Records, row: int, side: int, market: Record
) -> tuple[int, int]:
    """Decode `[["price","quantity"],...]` into rows: (position behind it, next free row)."""
    at = skip_space(buffer, at + 1)
    if byte_at(buffer, at) == CLOSE_LIST:
        return at + 1, row
    while row < events.size - SPARE_ROWS:
        first = row
        at, row = _read_usual_levels(buffer, at, events, row, side, market)
        if row == first:
            at, tick, quantity = _read_level(buffer, at, market.price_decimals, market.tick_units)
            if at < 0:
                return at, row
            event = events[Word(row)]
            event.price_tick = tick
            event.value = quantity
            event.marks = marks_of(EVENT_DEPTH, side, 0)
            row += 1
        at = skip_space(buffer, at)
        if byte_at(buffer, at) == CLOSE_LIST:
            return at + 1, row
        if byte_at(buffer, at) != COMMA:
            return -SYNTAX, row
        at = skip_space(buffer, at + 1)
    return -NO_ROOM, row


@borrowing_kernel
def read_side(
    buffer: Bytes,
    at: int,
    field: int,
    instrument: int,
    scan: Record,
    market: Records,
    events: Records,
) -> int:
    """Decode the level list of a field into the next rows; a snapshot keeps one row before."""
    if (field == fields.BIDS or field == fields.ASKS) and scan.row == scan.base:
        scan.row += 1
    side = BID if field == fields.b or field == fields.BIDS else ASK
    at, row = _read_levels(buffer, at, events, scan.row, side, market[instrument])
    scan.row = row
    scan.decoded |= 1 << field
    return at
