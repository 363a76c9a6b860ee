"""Numbers: prices to whole ticks exactly, quantities to the nearest float64, ids."""

import math
from typing import Final

import numpy as np

from alphaplus.feeds._kernels.layout import FIELD, NUMBER, OFF_GRID, Bytes
from alphaplus.feeds._kernels.syntax import DOT, MINUS, QUOTE, byte_at
from alphaplus.feeds._kernels.words import ZERO_DIGITS, digits_in, digits_value, word_at
from alphaplus.jit import borrowing_kernel

MAX_DIGITS: Final = 18
TENS: Final = np.array([10**k for k in range(19)], dtype=np.int64)
"""The powers of ten."""
FLOAT_TENS: Final = np.array([10.0**k for k in range(23)])

_FAST_DIGITS: Final = 15
"""Digits whose number is surely below 2**53."""


@borrowing_kernel
def read_price(buffer: Bytes, at: int, decimals: int, tick_units: int) -> tuple[int, int]:
    """Read a quoted decimal as a whole number of ticks: (position behind it, ticks)."""
    if byte_at(buffer, at) != QUOTE:
        return -FIELD, 0
    at += 1
    begin = at
    units = 0
    byte = byte_at(buffer, at)
    while 48 <= byte <= 57:
        units = units * 10 + (byte - 48)
        at += 1
        byte = byte_at(buffer, at)
    whole = at - begin
    left = decimals
    if byte == DOT:
        at += 1
        begin = at
        byte = byte_at(buffer, at)
        while left > 0 and 48 <= byte <= 57:
            units = units * 10 + (byte - 48)
            left -= 1
            at += 1
            byte = byte_at(buffer, at)
        while byte == 48:
            at += 1
            byte = byte_at(buffer, at)
        if 49 <= byte <= 57:
            return -OFF_GRID, 0
        if at == begin:
            return -NUMBER, 0
    if byte != QUOTE or whole == 0 or whole + decimals > MAX_DIGITS:
        return -NUMBER, 0
    if left > 0:
        units *= TENS[left]
    if tick_units != 1:
        if units % tick_units != 0:
            return -OFF_GRID, 0
        units //= tick_units
    return at + 1, units


@borrowing_kernel
def _quotient(mantissa: int, divisor: int) -> float:
    """Return mantissa / divisor correctly rounded, both below 10**18, by long division."""
    quotient = mantissa // divisor
    rest = mantissa % divisor
    exponent = 0
    while quotient < 1 << 54:
        rest *= 2
        quotient *= 2
        if rest >= divisor:
            rest -= divisor
            quotient += 1
        exponent -= 1
    shift = 0
    while quotient >> shift >= 1 << 53:
        shift += 1
    head = quotient >> shift
    tail = quotient - (head << shift)
    half = 1 << (shift - 1)
    if tail > half or (tail == half and (rest != 0 or head & 1 == 1)):
        head += 1
    return math.ldexp(float(head), exponent + shift)


@borrowing_kernel
def _long_decimal(buffer: Bytes, begin: int, end: int) -> tuple[bool, float]:
    """Read up to 18 significant digits exactly, for decimals that exceed the fast path."""
    last = end
    has_dot = False
    for at in range(begin, end):
        if byte_at(buffer, at) == DOT:
            has_dot = True
    if has_dot:
        while byte_at(buffer, last - 1) == 48:
            last -= 1
    mantissa = 0
    digits = 0
    fraction = 0
    after_dot = False
    for at in range(begin, last):
        byte = byte_at(buffer, at)
        if byte == DOT:
            after_dot = True
            continue
        if digits > 0 or byte != 48:
            digits += 1
            if digits > MAX_DIGITS:
                return False, math.nan
            mantissa = mantissa * 10 + (byte - 48)
        if after_dot:
            fraction += 1
    if mantissa < 1 << 53 and fraction <= 22:
        return True, mantissa / FLOAT_TENS[fraction]
    if fraction == 0:
        return True, float(mantissa)
    if fraction > MAX_DIGITS:
        return False, math.nan
    return True, _quotient(mantissa, TENS[fraction])


@borrowing_kernel
def _decimal_text(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a decimal up to its closing quote as the nearest float64: (position behind, value).

    A quotient of two integers below 2**53, the lower a power of ten up to 10**22, is rounded
    once and so is exact (Clinger 1990, "How to read floating point numbers accurately").
    """
    begin = at
    mantissa = 0
    byte = byte_at(buffer, at)
    while 48 <= byte <= 57:
        mantissa = mantissa * 10 + (byte - 48)
        at += 1
        byte = byte_at(buffer, at)
    digits = at - begin
    fraction = 0
    if digits == 0:
        return -NUMBER, math.nan
    if byte == DOT:
        at += 1
        fraction = at
        byte = byte_at(buffer, at)
        while 48 <= byte <= 57:
            mantissa = mantissa * 10 + (byte - 48)
            at += 1
            byte = byte_at(buffer, at)
        fraction = at - fraction
        digits += fraction
        if fraction == 0:
            return -NUMBER, math.nan
    if byte != QUOTE:
        return -NUMBER, math.nan
    if digits <= _FAST_DIGITS:
        return at + 1, mantissa / FLOAT_TENS[fraction]
    is_exact, value = _long_decimal(buffer, begin, at)
    if not is_exact:
        return -NUMBER, math.nan
    return at + 1, value


@borrowing_kernel
def read_decimal(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a quoted decimal without sign."""
    if byte_at(buffer, at) != QUOTE:
        return -FIELD, math.nan
    return _decimal_text(buffer, at + 1)


@borrowing_kernel
def read_signed_decimal(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a quoted decimal with an optional minus."""
    if byte_at(buffer, at) == QUOTE and byte_at(buffer, at + 1) == MINUS:
        at, value = _decimal_text(buffer, at + 2)
        return at, -value
    return read_decimal(buffer, at)


@borrowing_kernel
def read_whole(buffer: Bytes, begin: int, end: int) -> int:
    """Read a JSON number that is a whole number of up to 18 digits; negative: an error."""
    if end - begin > MAX_DIGITS:
        return -NUMBER
    number = 0
    while begin < end:
        text = word_at(buffer, begin) ^ ZERO_DIGITS
        count = min(8, end - begin)
        if digits_in(text) < count:
            return -NUMBER
        number = number * TENS[count] + digits_value(text, count)
        begin += count
    return number
