"""The one pass over a frame: where its fields are, and its levels if their symbol is known."""

from typing import Final

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.layout import REPEATED, SYNTAX, Bytes, Longs, Record, Records, Words
from alphaplus.feeds._kernels.levels import read_side
from alphaplus.feeds._kernels.names import field_of_letter, field_of_name, find_symbol
from alphaplus.feeds._kernels.syntax import (
    CLOSE_OBJECT,
    COLON,
    COMMA,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    byte_at,
    skip_number,
    skip_space,
    skip_string,
    skip_value,
)
from alphaplus.feeds._kernels.words import Word, word_at
from alphaplus.jit import borrowing_kernel

_LETTER_KEY: Final = Word(int.from_bytes(b'"\0":', "little"))
_NOT_LETTER: Final = Word(0xFFFF00FF)


@borrowing_kernel
def scan_object(
    buffer: Bytes,
    at: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    events: Records,
) -> int:
    """Scan the object at `at`, and the object under its key "data", noting where fields are.

    `begin` and `end` of `scan` have a row for each of the two. Returns the position behind.
    """
    level = 0
    scan.seen[0] = 0
    scan.seen[1] = 0
    scan.found[0] = -1
    scan.found[1] = -1
    scan.decoded = 0
    scan.nested = 0
    at = skip_space(buffer, at + 1)
    if byte_at(buffer, at) == CLOSE_OBJECT:
        return at + 1
    while True:
        if byte_at(buffer, at) != QUOTE:
            return -SYNTAX
        key = word_at(buffer, at)
        field = field_of_letter(byte_at(buffer, at + 1))
        if key & _NOT_LETTER == _LETTER_KEY and field >= 0:
            at += 4
        else:
            begin = at + 1
            at = skip_string(buffer, at)
            if at < 0:
                return at
            field = field_of_name(buffer, begin, at - 1)
            at = skip_space(buffer, at)
            if byte_at(buffer, at) != COLON:
                return -SYNTAX
            at += 1
        at = skip_space(buffer, at)
        byte = byte_at(buffer, at)
        enters = False
        if field < 0:
            at = skip_value(buffer, at)
        else:
            bit = 1 << field
            if scan.seen[level] & bit:
                return -REPEATED
            scan.seen[level] |= bit
            scan.begin[level, field] = at
            scan.end[level, field] = -1
            if field == fields.DATA and level == 0 and byte == OPEN_OBJECT:
                scan.nested = 1
                scan.decoded = 0  # lists beside "data" are none of its book
                scan.row = scan.base
                level = 1
                at = skip_space(buffer, at + 1)
                enters = byte_at(buffer, at) != CLOSE_OBJECT
            else:
                is_levels = (
                    byte == OPEN_LIST
                    and level == scan.nested
                    and (
                        field == fields.b
                        or field == fields.a
                        or field == fields.BIDS
                        or field == fields.ASKS
                    )
                )
                instrument = scan.hint if scan.hint >= 0 else scan.found[level]
                if is_levels and instrument >= 0:
                    at = read_side(buffer, at, field, instrument, scan, market, events)
                elif byte == QUOTE:
                    at = skip_string(buffer, at)
                elif 49 <= byte <= 57:
                    at = skip_number(buffer, at)
                else:
                    at = skip_value(buffer, at)
                if at < 0:
                    return at
                scan.end[level, field] = at
                if (field == fields.s or field == fields.SYMBOL) and byte == QUOTE:
                    found = find_symbol(
                        buffer, scan.begin[level, field] + 1, at - 1, False, names, slots, market
                    )
                    if scan.found[level] != -1 and scan.found[level] != found:
                        found = -2  # "s" and "symbol" contradict each other
                    scan.found[level] = found
        if at < 0:
            return at
        if enters:
            continue
        while True:
            if byte_at(buffer, at) != COMMA:
                at = skip_space(buffer, at)
            byte = byte_at(buffer, at)
            if byte == COMMA:
                at = skip_space(buffer, at + 1)
                break
            if byte != CLOSE_OBJECT:
                return -SYNTAX
            at += 1
            if level == 0:
                return at
            level = 0
