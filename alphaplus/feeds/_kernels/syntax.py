"""JSON by its grammar: kernels that skip a value, strictly, and return what is behind it."""

from typing import Final

import numpy as np

from alphaplus.feeds._kernels.layout import SETTLED, SYNTAX, UNSETTLED, Bytes
from alphaplus.feeds._kernels.words import (
    HIGH_BITS,
    LOW_BITS,
    ZERO_DIGITS,
    bytes_before,
    digits_in,
    every,
    word_at,
)
from alphaplus.jit import borrowing_kernel

QUOTE: Final = 34
COMMA: Final = 44
MINUS: Final = 45
DOT: Final = 46
COLON: Final = 58
OPEN_LIST: Final = 91
CLOSE_LIST: Final = 93
OPEN_OBJECT: Final = 123
CLOSE_OBJECT: Final = 125
_BACKSLASH: Final = 92

_MAX_NESTING: Final = 60
_TO_SPACE: Final = every(0x80 - 32)
_QUOTES: Final = every(QUOTE)
_BACKSLASHES: Final = every(_BACKSLASH)


@borrowing_kernel
def byte_at(buffer: Bytes, at: int) -> int:
    """Return one byte as a number; an unsigned index spares the test for a negative one."""
    return np.int64(buffer[np.uint64(at)])  # type: ignore[return-value]


@borrowing_kernel
def skip_space(buffer: Bytes, at: int) -> int:
    while True:
        byte = byte_at(buffer, at)
        if byte > 32 or not (byte == 32 or byte == 10 or byte == 13 or byte == 9):
            return at
        at += 1


@borrowing_kernel
def end_of_frame(buffer: Bytes, at: int) -> int:
    while byte_at(buffer, at) != 0:
        at += 1
    return at


@borrowing_kernel
def _is_hex(byte: int) -> bool:
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@borrowing_kernel
def _skip_escape(buffer: Bytes, at: int) -> int:
    """Return the last byte of the escape that begins at a backslash."""
    byte = byte_at(buffer, at + 1)
    if byte == 117:  # \\uXXXX
        for place in range(at + 2, at + 6):
            if not _is_hex(byte_at(buffer, place)):
                return -SYNTAX
        return at + 5
    if (
        byte == QUOTE
        or byte == _BACKSLASH
        or byte == 47
        or byte == 98
        or byte == 102
        or byte == 110
        or byte == 114
        or byte == 116
    ):
        return at + 1
    return -SYNTAX


@borrowing_kernel
def skip_string(buffer: Bytes, at: int) -> int:
    at += 1
    while True:
        word = word_at(buffer, at)
        quotes = word ^ _QUOTES
        backslashes = word ^ _BACKSLASHES
        plain = (word & LOW_BITS) + _TO_SPACE
        plain &= (quotes & LOW_BITS) + LOW_BITS
        plain &= (backslashes & LOW_BITS) + LOW_BITS
        count = bytes_before((~plain | word) & HIGH_BITS)
        at += count
        if count == 8:
            continue
        byte = byte_at(buffer, at)
        if byte == QUOTE:
            return at + 1
        if byte < 32:
            return -SYNTAX
        if byte_at(buffer, 0) != SETTLED:
            return -UNSETTLED
        if byte == _BACKSLASH:
            at = _skip_escape(buffer, at)
            if at < 0:
                return at
        at += 1


@borrowing_kernel
def skip_digits(buffer: Bytes, at: int) -> int:
    while True:
        count = digits_in(word_at(buffer, at) ^ ZERO_DIGITS)
        at += count
        if count < 8:
            return at


@borrowing_kernel
def skip_number(buffer: Bytes, at: int) -> int:
    if byte_at(buffer, at) == MINUS:
        at += 1
    if byte_at(buffer, at) == 48:
        at += 1
    else:
        begin = at
        at = skip_digits(buffer, at)
        if at == begin:
            return -SYNTAX
    if byte_at(buffer, at) == DOT:
        begin = at + 1
        at = skip_digits(buffer, begin)
        if at == begin:
            return -SYNTAX
    if byte_at(buffer, at) == 69 or byte_at(buffer, at) == 101:  # exponent
        at += 1
        if byte_at(buffer, at) == 43 or byte_at(buffer, at) == MINUS:
            at += 1
        begin = at
        at = skip_digits(buffer, at)
        if at == begin:
            return -SYNTAX
    return at


@borrowing_kernel
def _skip_literal(buffer: Bytes, at: int) -> int:
    if byte_at(buffer, at) == 116:  # true
        if (
            byte_at(buffer, at + 1) == 114
            and byte_at(buffer, at + 2) == 117
            and byte_at(buffer, at + 3) == 101
        ):
            return at + 4
    elif byte_at(buffer, at) == 110:  # null
        if (
            byte_at(buffer, at + 1) == 117
            and byte_at(buffer, at + 2) == 108
            and byte_at(buffer, at + 3) == 108
        ):
            return at + 4
    elif byte_at(buffer, at) == 102:  # false
        if (
            byte_at(buffer, at + 1) == 97
            and byte_at(buffer, at + 2) == 108
            and byte_at(buffer, at + 3) == 115
            and byte_at(buffer, at + 4) == 101
        ):
            return at + 5
    return -SYNTAX


@borrowing_kernel
def _skip_key(buffer: Bytes, at: int) -> int:
    """Skip `"key" :` and the space after it."""
    if byte_at(buffer, at) != QUOTE:
        return -SYNTAX
    at = skip_string(buffer, at)
    if at < 0:
        return at
    at = skip_space(buffer, at)
    if byte_at(buffer, at) != COLON:
        return -SYNTAX
    return skip_space(buffer, at + 1)


@borrowing_kernel
def skip_value(buffer: Bytes, at: int) -> int:
    """Skip any JSON value, strictly; what is open is remembered in the bits of a number."""
    open_objects = 0
    depth = 0
    while True:
        byte = byte_at(buffer, at)
        if byte == QUOTE:
            at = skip_string(buffer, at)
        elif byte == OPEN_OBJECT or byte == OPEN_LIST:
            at = skip_space(buffer, at + 1)
            if byte_at(buffer, at) == byte + 2:  # in ASCII a bracket closes two after it opens
                at += 1
            else:
                if depth == _MAX_NESTING:
                    return -SYNTAX
                depth += 1
                open_objects *= 2
                if byte == OPEN_OBJECT:
                    open_objects += 1
                    at = _skip_key(buffer, at)
                    if at < 0:
                        return at
                continue
        elif byte == MINUS or 48 <= byte <= 57:
            at = skip_number(buffer, at)
        else:
            at = _skip_literal(buffer, at)
        if at < 0:
            return at
        while True:
            if depth == 0:
                return at
            at = skip_space(buffer, at)
            byte = byte_at(buffer, at)
            in_object = open_objects & 1
            if byte == COMMA:
                at = skip_space(buffer, at + 1)
                if in_object:
                    at = _skip_key(buffer, at)
                    if at < 0:
                        return at
                break
            if byte != (CLOSE_OBJECT if in_object else CLOSE_LIST):
                return -SYNTAX
            open_objects >>= 1
            depth -= 1
            at += 1
