"""Eight bytes at once: loaded as one number, searched, and read as digits."""

from typing import Final

import numpy as np

from alphaplus.feeds._kernels.layout import Bytes
from alphaplus.jit import borrowing_kernel

Word = np.uint64
"""Eight bytes, the first in the lowest bits."""


def packed(text: str) -> tuple[Word, Word]:
    """Return a constant of up to 16 bytes as two words."""
    raw = text.encode().ljust(16, b"\0")
    return Word(int.from_bytes(raw[:8], "little")), Word(int.from_bytes(raw[8:], "little"))


def every(byte: int) -> Word:
    """Return the word of eight equal bytes."""
    return Word(int.from_bytes(bytes([byte] * 8), "little"))


ZERO_DIGITS: Final = every(48)
LOW_BITS: Final = every(0x7F)
HIGH_BITS: Final = every(0x80)
FIRST_BYTES: Final = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)
"""The first n bytes of a word."""

_ONES: Final = every(1)
_TO_TEN: Final = every(0x80 - 10)
_PAIRS: Final = Word(0x00FF00FF00FF00FF)
_FOURS: Final = Word(0x0000FFFF0000FFFF)
_TIMES_10: Final = Word((10 << 8) + 1)
_TIMES_100: Final = Word((100 << 16) + 1)
_TIMES_10_000: Final = Word((10_000 << 32) + 1)
_EVEN_BITS: Final = every(0x55)
_EVEN_PAIRS: Final = every(0x33)
_LOW_HALVES: Final = every(0x0F)
_B1, _B2, _B3, _B4 = Word(1), Word(2), Word(3), Word(4)
_B8, _B16, _B24, _B32, _B40, _B48, _B56 = (Word(8 * k) for k in range(1, 8))


@borrowing_kernel
def word_at(buffer: Bytes, at: int) -> Word:
    """Return the eight bytes at a position; compiled, this is one unaligned load."""
    return (
        Word(buffer[Word(at)])
        | Word(buffer[Word(at + 1)]) << _B8
        | Word(buffer[Word(at + 2)]) << _B16
        | Word(buffer[Word(at + 3)]) << _B24
        | Word(buffer[Word(at + 4)]) << _B32
        | Word(buffer[Word(at + 5)]) << _B40
        | Word(buffer[Word(at + 6)]) << _B48
        | Word(buffer[Word(at + 7)]) << _B56
    )


@borrowing_kernel
def _bits_below(word: Word) -> Word:
    """Return how many zero bits are below the lowest set one; 64 if none is set.

    Compiled, this is one instruction. It is a kernel of its own because the compiler knows
    the count of bits only in this form, before it is mixed with what callers do to it.
    """
    bits = (word - _B1) & ~word
    bits = bits - ((bits >> _B1) & _EVEN_BITS)
    bits = (bits & _EVEN_PAIRS) + ((bits >> _B2) & _EVEN_PAIRS)
    bits = (bits + (bits >> _B4)) & _LOW_HALVES
    return (bits * _ONES) >> _B56


@borrowing_kernel
def bytes_before(found: Word) -> int:
    """Return how many bytes precede the first with its high bit set; 8 if none has."""
    return np.int64(_bits_below(found) >> _B3)  # type: ignore[return-value]


@borrowing_kernel
def others_in(text: Word) -> Word:
    """Return 0 if all bytes are digits; else the lowest high bit set is that of the first other.

    `text` is the word XOR `ZERO_DIGITS`, so that digits are the bytes 0..9. Only bytes behind
    another one are reached by a carry.
    """
    return ((text + _TO_TEN) | text) & HIGH_BITS


@borrowing_kernel
def digits_in(text: Word) -> int:
    """Return how many digits a word begins with; `text` as above."""
    return bytes_before(others_in(text))


@borrowing_kernel
def eight_digits(text: Word) -> int:
    """Return the number that eight digits make, the last one in the highest byte.

    Neighbours are joined to pairs, fours and eights (Lemire 2022, "Parsing numbers quickly").
    """
    text = ((text * _TIMES_10) >> _B8) & _PAIRS
    text = ((text * _TIMES_100) >> _B16) & _FOURS
    return np.int64((text * _TIMES_10_000) >> _B32)  # type: ignore[return-value]


@borrowing_kernel
def digits_value(text: Word, count: int) -> int:
    """Return the number that the first `count` (0..8) digits make; `text` as above."""
    shift = Word(32 - 4 * count)  # half of it, as a shift by 64 is undefined
    return eight_digits((text << shift) << shift)
