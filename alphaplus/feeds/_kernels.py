"""Compiled scanner of Binance frames: JSON bytes to event rows, without a Python object.

The input is one buffer of all frames of a batch: the mark `RAW` or `SETTLED`, then each frame,
all of these with a NUL behind, then `PADDING` bytes. NUL is valid nowhere in JSON, so every
loop below stops at the end of its frame without a bounds check, and a torn frame is a syntax
error at its last byte. Where eight bytes are read at once, some may lie behind the frame: they
are looked at only as far as all before them are valid.

Raw frames have not been looked at. Escapes, bytes beyond ASCII and NUL are rare, so what to make
of them is settled by the caller: `decode` and `survey` only say that there are some.

A frame is scanned once. Level lists are decoded on the way if the symbol came before them
(as the venue sends it); in any other key order their place is noted and decoded after.
Functions return the position behind what they read, or minus an error code.
"""

# ruff: noqa: PLR1714 - numba compiles chains of comparisons best

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.jit import borrowing_kernel, kernel

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Word = np.uint64
"""Eight bytes, the first in the lowest bits."""
Words = npt.NDArray[np.uint64]
Records = npt.NDArray[np.void]
Record = Any
"""One row of a structured array, by reference: what is set in it is set in the array."""

RAW: Final = 1
SETTLED: Final = 2
"""A frame has escapes only where they cannot be avoided, valid UTF-8, and no NUL."""
FIRST_FRAME: Final = 2
"""Where the first frame begins."""
PADDING: Final = 64
"""Bytes that must be readable behind the last frame: a level is read before it is checked."""

ROW: Final = np.dtype(
    [
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("sequence", "<i8"),
        ("price_tick", "<i8"),
        ("value", "<f8"),
        ("marks", "<i8"),
    ]
)
"""A row of `events.EVENT` with its last three fields and the padding behind them as one number:
kind in bits 0-7, side in 8-15, flags in 16-23. One store writes all, and no byte stays unset."""

# Error codes: `binance.FrameError` holds the same numbers.
SYNTAX: Final = 1
FIELD: Final = 2
NUMBER: Final = 3
OFF_GRID: Final = 4
SYMBOL: Final = 5
REPEATED: Final = 6
UNSETTLED: Final = 7
"""No verdict: the batch is to be settled first."""
NO_ROOM: Final = 8
"""No verdict: the batch makes more rows than there are."""
_SPARE_ROWS: Final = 4
"""Rows that a frame may make beside its levels."""

# Kinds of messages: `binance.MessageKind` holds the same numbers.
OTHER: Final = 0
DEPTH: Final = 1
SNAPSHOT: Final = 2
TRADE: Final = 3
BOOK_TICKER: Final = 4
MARK_PRICE: Final = 5
LIQUIDATION: Final = 6
OPEN_INTEREST: Final = 7

# Kinds, sides and flags of events: the numbers of `events.Kind`, `Side`, `Flag`.
_EVENT_SNAPSHOT_BEGIN: Final = 1
_EVENT_DEPTH: Final = 2
_EVENT_SNAPSHOT_END: Final = 3
_EVENT_TRADE: Final = 4
_EVENT_BOOK_TICKER: Final = 5
_EVENT_MARK_PRICE: Final = 6
_EVENT_INDEX_PRICE: Final = 7
_EVENT_FUNDING_RATE: Final = 8
_EVENT_OPEN_INTEREST: Final = 9
_EVENT_LIQUIDATION: Final = 10
_BID: Final = 1
_ASK: Final = -1
_LAST: Final = 1
_OFF_MARKET: Final = 2

_QUOTE: Final = 34
_COMMA: Final = 44
_MINUS: Final = 45
_DOT: Final = 46
_COLON: Final = 58
_AT: Final = 64
_OPEN_LIST: Final = 91
_BACKSLASH: Final = 92
_CLOSE_LIST: Final = 93
_OPEN_OBJECT: Final = 123
_CLOSE_OBJECT: Final = 125

_MAX_NESTING: Final = 60
_MAX_DIGITS: Final = 18
_FAST_DIGITS: Final = 15
"""Digits whose number is surely below 2**53."""
_MAX_MS: Final = 9_223_372_036_854
"""The latest millisecond whose nanosecond fits 64 bits."""

# Numbers of the fields that are kept: A-Z are 0..25 and a-z are 26..51, then these.
_PU: Final = 52
_SYMBOL_NAME: Final = 53
_LAST_UPDATE_ID: Final = 54
_BIDS: Final = 55
_ASKS: Final = 56
_OPEN_INTEREST: Final = 57
_TIME: Final = 58
_STREAM: Final = 59
_DATA: Final = 60
FIELDS: Final = 61

_A, _B, _E, _M, _S, _T, _U, _X = 0, 1, 4, 12, 18, 19, 20, 23
_a, _b, _e, _i, _m, _o, _p, _q, _r, _s, _t, _u = 26, 27, 30, 34, 38, 40, 41, 42, 43, 44, 45, 46


def _packed(text: str) -> tuple[Word, Word]:
    raw = text.encode().ljust(16, b"\0")
    return Word(int.from_bytes(raw[:8], "little")), Word(int.from_bytes(raw[8:], "little"))


def _every(byte: int) -> Word:
    return Word(int.from_bytes(bytes([byte] * 8), "little"))


_NAME_PU: Final = _packed("pu")
_NAME_DATA: Final = _packed("data")
_NAME_TIME: Final = _packed("time")
_NAME_BIDS: Final = _packed("bids")
_NAME_ASKS: Final = _packed("asks")
_NAME_STREAM: Final = _packed("stream")
_NAME_SYMBOL: Final = _packed("symbol")
_NAME_LAST_UPDATE_ID: Final = _packed("lastUpdateId")
_NAME_OPEN_INTEREST: Final = _packed("openInterest")
_NAME_TRADE: Final = _packed("trade")
_NAME_AGG_TRADE: Final = _packed("aggTrade")
_NAME_BOOK_TICKER: Final = _packed("bookTicker")
_NAME_FORCE_ORDER: Final = _packed("forceOrder")
_NAME_DEPTH_UPDATE: Final = _packed("depthUpdate")
_NAME_MARK_PRICE_UPDATE: Final = _packed("markPriceUpdate")
_NAME_MARKET: Final = _packed("MARKET")
_NAME_BUY: Final = _packed("BUY")
_NAME_SELL: Final = _packed("SELL")
_NAME_AT_DEPTH: Final = _packed("@depth")

_TEN: Final = np.array([10**k for k in range(19)], dtype=np.int64)
_TEN_FLOAT: Final = np.array([10.0**k for k in range(23)])

# What is told of a batch whose messages are all good, of one instrument and no snapshots.
_RUN_INSTRUMENT: Final = 0  # -1: no message yet, -2: no such batch
_RUN_TRADES: Final = 1
_RUN_CHANGES: Final = 2
_RUN_LEVELS: Final = 3
_RUN_FIRST_ID: Final = 4  # and the next two: ids of the first change
_RUN_PREVIOUS_ID: Final = 5
_RUN_FIRST_LAST_ID: Final = 6
_RUN_LAST_ID: Final = 7
_RUN_BREAKS: Final = 8  # bits of rules that some change breaks: 1 futures, 2 spot
_RUN_TS_RECV: Final = 9  # of the last message
RUN_FIELDS: Final = 10

SCAN: Final = np.dtype(
    [
        ("seen", "<i8", (2,)),  # bit sets of the fields seen outside and inside of "data"
        ("found", "<i8", (2,)),  # instrument named by the symbol field there, -1 none, -2 unknown
        ("begin", "<i8", (2, FIELDS)),  # where the values of the fields are
        ("end", "<i8", (2, FIELDS)),
        ("row", "<i8"),  # next free row
        ("base", "<i8"),  # first row of the frame
        ("decoded", "<i8"),  # bit set of the level lists already decoded
        ("hint", "<i8"),
        ("nested", "<i8"),  # 1 if "data" holds an object
        ("run", "<i8", (RUN_FIELDS,)),
    ],
    align=True,
)
"""What is known of the frame at hand."""

# Words of eight equal bytes, and parts of words.
_ONES: Final = _every(1)
_ZERO_DIGITS: Final = _every(48)
_LOW_BITS: Final = _every(0x7F)
_HIGH_BITS: Final = _every(0x80)
_TO_TEN: Final = _every(0x80 - 10)
_TO_SPACE: Final = _every(0x80 - 32)
_QUOTES: Final = _every(_QUOTE)
_BACKSLASHES: Final = _every(_BACKSLASH)
_FIRST: Final = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)
"""The first n bytes of a word."""
_PAIRS: Final = Word(0x00FF00FF00FF00FF)
_FOURS: Final = Word(0x0000FFFF0000FFFF)
_TIMES_10: Final = Word((10 << 8) + 1)
_TIMES_100: Final = Word((100 << 16) + 1)
_TIMES_10_000: Final = Word((10_000 << 32) + 1)
_HASH_FACTOR: Final = Word(0x9E3779B97F4A7C15)
_EVEN_BITS: Final = _every(0x55)
_EVEN_PAIRS: Final = _every(0x33)
_LOW_HALVES: Final = _every(0x0F)
_B1, _B2, _B3, _B4 = Word(1), Word(2), Word(3), Word(4)
_B8, _B16, _B24, _B32, _B40, _B48, _B56 = (Word(8 * k) for k in range(1, 8))

_BETWEEN_NUMBERS: Final = Word(int.from_bytes(b'","', "little"))
_BETWEEN_LEVELS: Final = Word(int.from_bytes(b'"],["', "little"))
_END_OF_LEVEL: Final = Word(int.from_bytes(b'"]', "little"))
_LETTER_KEY: Final = Word(int.from_bytes(b'"\0":', "little"))
_NOT_LETTER: Final = Word(0xFFFF00FF)


# --------------------------------------------------------------------------- words


@borrowing_kernel
def _word(buffer: Bytes, at: int) -> Word:
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
def _bytes_before(found: Word) -> int:
    """Return how many bytes precede the first with its high bit set; 8 if none has."""
    return np.int64(_bits_below(found) >> _B3)  # type: ignore[return-value]


@borrowing_kernel
def _others_in(text: Word) -> Word:
    """Return 0 if all bytes are digits; else the lowest high bit set is that of the first other.

    `text` is the word XOR `_ZERO_DIGITS`, so that digits are the bytes 0..9. Only bytes behind
    another one are reached by a carry.
    """
    return ((text + _TO_TEN) | text) & _HIGH_BITS


@borrowing_kernel
def _digits_in(text: Word) -> int:
    """Return how many digits a word begins with; `text` as above."""
    return _bytes_before(_others_in(text))


@borrowing_kernel
def _eight_digits(text: Word) -> int:
    """Return the number that eight digits make, the last one in the highest byte.

    Neighbours are joined to pairs, fours and eights (Lemire 2022, "Parsing numbers quickly").
    """
    text = ((text * _TIMES_10) >> _B8) & _PAIRS
    text = ((text * _TIMES_100) >> _B16) & _FOURS
    return np.int64((text * _TIMES_10_000) >> _B32)  # type: ignore[return-value]


@borrowing_kernel
def _digits_value(text: Word, count: int) -> int:
    """Return the number that the first `count` (0..8) digits make; `text` as above."""
    shift = Word(32 - 4 * count)  # half of it, as a shift by 64 is undefined
    return _eight_digits((text << shift) << shift)


# ---------------------------------------------------------------------------- JSON


@borrowing_kernel
def _byte(buffer: Bytes, at: int) -> int:
    """Return one byte as a number; an unsigned index spares the test for a negative one."""
    return np.int64(buffer[np.uint64(at)])  # type: ignore[return-value]


@borrowing_kernel
def _space(buffer: Bytes, at: int) -> int:
    while True:
        byte = _byte(buffer, at)
        if byte > 32 or not (byte == 32 or byte == 10 or byte == 13 or byte == 9):
            return at
        at += 1


@borrowing_kernel
def _is_hex(byte: int) -> bool:
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@borrowing_kernel
def _escape(buffer: Bytes, at: int) -> int:
    """Return the last byte of the escape that begins at a backslash."""
    byte = _byte(buffer, at + 1)
    if byte == 117:  # \\uXXXX
        for place in range(at + 2, at + 6):
            if not _is_hex(_byte(buffer, place)):
                return -SYNTAX
        return at + 5
    if (
        byte == _QUOTE
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
def _string(buffer: Bytes, at: int) -> int:
    at += 1
    while True:
        word = _word(buffer, at)
        quotes = word ^ _QUOTES
        backslashes = word ^ _BACKSLASHES
        plain = (word & _LOW_BITS) + _TO_SPACE
        plain &= (quotes & _LOW_BITS) + _LOW_BITS
        plain &= (backslashes & _LOW_BITS) + _LOW_BITS
        count = _bytes_before((~plain | word) & _HIGH_BITS)
        at += count
        if count == 8:
            continue
        byte = _byte(buffer, at)
        if byte == _QUOTE:
            return at + 1
        if byte < 32:
            return -SYNTAX
        if _byte(buffer, 0) != SETTLED:
            return -UNSETTLED
        if byte == _BACKSLASH:
            at = _escape(buffer, at)
            if at < 0:
                return at
        at += 1


@borrowing_kernel
def _digits(buffer: Bytes, at: int) -> int:
    while True:
        count = _digits_in(_word(buffer, at) ^ _ZERO_DIGITS)
        at += count
        if count < 8:
            return at


@borrowing_kernel
def _number(buffer: Bytes, at: int) -> int:
    if _byte(buffer, at) == _MINUS:
        at += 1
    if _byte(buffer, at) == 48:
        at += 1
    else:
        begin = at
        at = _digits(buffer, at)
        if at == begin:
            return -SYNTAX
    if _byte(buffer, at) == _DOT:
        begin = at + 1
        at = _digits(buffer, begin)
        if at == begin:
            return -SYNTAX
    if _byte(buffer, at) == 69 or _byte(buffer, at) == 101:  # exponent
        at += 1
        if _byte(buffer, at) == 43 or _byte(buffer, at) == _MINUS:
            at += 1
        begin = at
        at = _digits(buffer, at)
        if at == begin:
            return -SYNTAX
    return at


@borrowing_kernel
def _literal(buffer: Bytes, at: int) -> int:
    if _byte(buffer, at) == 116:  # true
        if (
            _byte(buffer, at + 1) == 114
            and _byte(buffer, at + 2) == 117
            and _byte(buffer, at + 3) == 101
        ):
            return at + 4
    elif _byte(buffer, at) == 110:  # null
        if (
            _byte(buffer, at + 1) == 117
            and _byte(buffer, at + 2) == 108
            and _byte(buffer, at + 3) == 108
        ):
            return at + 4
    elif _byte(buffer, at) == 102:  # false
        if (
            _byte(buffer, at + 1) == 97
            and _byte(buffer, at + 2) == 108
            and _byte(buffer, at + 3) == 115
            and _byte(buffer, at + 4) == 101
        ):
            return at + 5
    return -SYNTAX


@borrowing_kernel
def _key(buffer: Bytes, at: int) -> int:
    """Skip `"key" :` and the space after it."""
    if _byte(buffer, at) != _QUOTE:
        return -SYNTAX
    at = _string(buffer, at)
    if at < 0:
        return at
    at = _space(buffer, at)
    if _byte(buffer, at) != _COLON:
        return -SYNTAX
    return _space(buffer, at + 1)


@borrowing_kernel
def _value(buffer: Bytes, at: int) -> int:
    """Skip any JSON value, strictly; what is open is remembered in the bits of a number."""
    open_objects = 0
    depth = 0
    while True:
        byte = _byte(buffer, at)
        if byte == _QUOTE:
            at = _string(buffer, at)
        elif byte == _OPEN_OBJECT or byte == _OPEN_LIST:
            at = _space(buffer, at + 1)
            if _byte(buffer, at) == byte + 2:  # in ASCII a bracket closes two after it opens
                at += 1
            else:
                if depth == _MAX_NESTING:
                    return -SYNTAX
                depth += 1
                open_objects *= 2
                if byte == _OPEN_OBJECT:
                    open_objects += 1
                    at = _key(buffer, at)
                    if at < 0:
                        return at
                continue
        elif byte == _MINUS or 48 <= byte <= 57:
            at = _number(buffer, at)
        else:
            at = _literal(buffer, at)
        if at < 0:
            return at
        while True:
            if depth == 0:
                return at
            at = _space(buffer, at)
            byte = _byte(buffer, at)
            in_object = open_objects & 1
            if byte == _COMMA:
                at = _space(buffer, at + 1)
                if in_object:
                    at = _key(buffer, at)
                    if at < 0:
                        return at
                break
            if byte != (_CLOSE_OBJECT if in_object else _CLOSE_LIST):
                return -SYNTAX
            open_objects >>= 1
            depth -= 1
            at += 1


# ------------------------------------------------------------------------- numbers


@borrowing_kernel
def _price(buffer: Bytes, at: int, decimals: int, tick_units: int) -> tuple[int, int]:
    """Read a quoted decimal as a whole number of ticks: (position behind it, ticks)."""
    if _byte(buffer, at) != _QUOTE:
        return -FIELD, 0
    at += 1
    begin = at
    units = 0
    byte = _byte(buffer, at)
    while 48 <= byte <= 57:
        units = units * 10 + (byte - 48)
        at += 1
        byte = _byte(buffer, at)
    whole = at - begin
    left = decimals
    if byte == _DOT:
        at += 1
        begin = at
        byte = _byte(buffer, at)
        while left > 0 and 48 <= byte <= 57:
            units = units * 10 + (byte - 48)
            left -= 1
            at += 1
            byte = _byte(buffer, at)
        while byte == 48:
            at += 1
            byte = _byte(buffer, at)
        if 49 <= byte <= 57:
            return -OFF_GRID, 0
        if at == begin:
            return -NUMBER, 0
    if byte != _QUOTE or whole == 0 or whole + decimals > _MAX_DIGITS:
        return -NUMBER, 0
    if left > 0:
        units *= _TEN[left]
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
        if _byte(buffer, at) == _DOT:
            has_dot = True
    if has_dot:
        while _byte(buffer, last - 1) == 48:
            last -= 1
    mantissa = 0
    digits = 0
    fraction = 0
    after_dot = False
    for at in range(begin, last):
        byte = _byte(buffer, at)
        if byte == _DOT:
            after_dot = True
            continue
        if digits > 0 or byte != 48:
            digits += 1
            if digits > _MAX_DIGITS:
                return False, math.nan
            mantissa = mantissa * 10 + (byte - 48)
        if after_dot:
            fraction += 1
    if mantissa < 1 << 53 and fraction <= 22:
        return True, mantissa / _TEN_FLOAT[fraction]
    if fraction == 0:
        return True, float(mantissa)
    if fraction > _MAX_DIGITS:
        return False, math.nan
    return True, _quotient(mantissa, _TEN[fraction])


@borrowing_kernel
def _decimal_text(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a decimal up to its closing quote as the nearest float64: (position behind, value).

    A quotient of two integers below 2**53, the lower a power of ten up to 10**22, is rounded
    once and so is exact (Clinger 1990, "How to read floating point numbers accurately").
    """
    begin = at
    mantissa = 0
    byte = _byte(buffer, at)
    while 48 <= byte <= 57:
        mantissa = mantissa * 10 + (byte - 48)
        at += 1
        byte = _byte(buffer, at)
    digits = at - begin
    fraction = 0
    if digits == 0:
        return -NUMBER, math.nan
    if byte == _DOT:
        at += 1
        fraction = at
        byte = _byte(buffer, at)
        while 48 <= byte <= 57:
            mantissa = mantissa * 10 + (byte - 48)
            at += 1
            byte = _byte(buffer, at)
        fraction = at - fraction
        digits += fraction
        if fraction == 0:
            return -NUMBER, math.nan
    if byte != _QUOTE:
        return -NUMBER, math.nan
    if digits <= _FAST_DIGITS:
        return at + 1, mantissa / _TEN_FLOAT[fraction]
    is_exact, value = _long_decimal(buffer, begin, at)
    if not is_exact:
        return -NUMBER, math.nan
    return at + 1, value


@borrowing_kernel
def _decimal(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a quoted decimal without sign."""
    if _byte(buffer, at) != _QUOTE:
        return -FIELD, math.nan
    return _decimal_text(buffer, at + 1)


@borrowing_kernel
def _signed_decimal(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a quoted decimal with an optional minus."""
    if _byte(buffer, at) == _QUOTE and _byte(buffer, at + 1) == _MINUS:
        at, value = _decimal_text(buffer, at + 2)
        return at, -value
    return _decimal(buffer, at)


@borrowing_kernel
def _whole(buffer: Bytes, begin: int, end: int) -> int:
    """Read a JSON number that is a whole number of up to 18 digits; negative: an error."""
    if end - begin > _MAX_DIGITS:
        return -NUMBER
    number = 0
    while begin < end:
        text = _word(buffer, begin) ^ _ZERO_DIGITS
        count = min(8, end - begin)
        if _digits_in(text) < count:
            return -NUMBER
        number = number * _TEN[count] + _digits_value(text, count)
        begin += count
    return number


# --------------------------------------------------------------------------- names


@borrowing_kernel
def _pack(buffer: Bytes, begin: int, end: int) -> tuple[Word, Word]:
    """Return a text of up to 16 bytes as two words, the second zero if it has up to 8."""
    length = end - begin
    if length <= 8:
        return _word(buffer, begin) & _FIRST[length], Word(0)
    return _word(buffer, begin), _word(buffer, begin + 8) & _FIRST[length - 8]


@borrowing_kernel
def _text(buffer: Bytes, at: int, end: int) -> tuple[Word, Word]:
    """Pack the JSON value between two positions if it is a string of 1-16 bytes, else zeros."""
    if _byte(buffer, at) != _QUOTE or end - at < 3 or end - at > 18:
        return Word(0), Word(0)
    return _pack(buffer, at + 1, end - 1)


@borrowing_kernel
def _letter(byte: int) -> int:
    """Return the number of a field named by one letter, or -1."""
    if 65 <= byte <= 90:
        return byte - 65
    if 97 <= byte <= 122:
        return byte - 71
    return -1


@borrowing_kernel
def _field(buffer: Bytes, begin: int, end: int) -> int:
    """Return the number of a field that is kept, or -1."""
    length = end - begin
    if length == 1:
        return _letter(_byte(buffer, begin))
    if length == 0 or length > 12:
        return -1
    low, high = _pack(buffer, begin, end)
    if high == Word(0):
        if low == _NAME_PU[0]:
            return _PU
        if low == _NAME_STREAM[0]:
            return _STREAM
        if low == _NAME_DATA[0]:
            return _DATA
        if low == _NAME_BIDS[0]:
            return _BIDS
        if low == _NAME_ASKS[0]:
            return _ASKS
        if low == _NAME_SYMBOL[0]:
            return _SYMBOL_NAME
        if low == _NAME_TIME[0]:
            return _TIME
        return -1
    if low == _NAME_LAST_UPDATE_ID[0] and high == _NAME_LAST_UPDATE_ID[1]:
        return _LAST_UPDATE_ID
    if low == _NAME_OPEN_INTEREST[0] and high == _NAME_OPEN_INTEREST[1]:
        return _OPEN_INTEREST
    return -1


@borrowing_kernel
def _name_word(buffer: Bytes, at: int, count: int, fold: bool) -> Word:
    """Return up to eight bytes of a symbol, zeros behind; `fold` turns letters to upper case."""
    if not fold:
        return Word(_word(buffer, at) & _FIRST[count])
    word = Word(0)
    for k in range(count):
        byte = _byte(buffer, at + k)
        if 97 <= byte <= 122:
            byte -= 32
        word |= Word(byte) << Word(8 * k)
    return word


@borrowing_kernel
def _mixed(code: Word, word: Word) -> Word:
    code = (code ^ word) * _HASH_FACTOR
    return Word(code ^ (code >> _B32))


@borrowing_kernel
def hash_slot(words: Words, length: int, mask: int) -> int:
    """Return the slot where `_find` starts to look for a name of so many bytes."""
    code = Word(length)
    for k in range(words.size):
        code = _mixed(code, words[k])
    return np.int64(code & Word(mask))  # type: ignore[return-value]


@borrowing_kernel
def _find(
    buffer: Bytes, begin: int, end: int, fold: bool, names: Words, slots: Longs, market: Records
) -> int:
    """Look a venue symbol up in the hash table; -2 if it is not there."""
    length = end - begin
    code = Word(length)
    for at in range(begin, end, 8):
        code = _mixed(code, _name_word(buffer, at, min(8, end - at), fold))
    mask = slots.size - 1
    slot = np.int64(code & Word(mask))
    while slots[slot] >= 0:
        found = slots[slot]
        if market[found].name_length == length:
            word = market[found].name_begin
            equal = True
            for at in range(begin, end, 8):
                if names[word] != _name_word(buffer, at, min(8, end - at), fold):
                    equal = False
                    break
                word += 1
            if equal:
                return int(found)
        slot = (slot + 1) & mask
    return -2


# -------------------------------------------------------------------------- scanning


@borrowing_kernel
def _level(buffer: Bytes, at: int, decimals: int, tick_units: int) -> tuple[int, int, float]:
    """Read one `["price","quantity"]` in any form: (position behind it, ticks, quantity)."""
    if _byte(buffer, at) != _OPEN_LIST:
        return -FIELD, 0, 0.0
    at, tick = _price(buffer, _space(buffer, at + 1), decimals, tick_units)
    if at < 0:
        return at, 0, 0.0
    at = _space(buffer, at)
    if _byte(buffer, at) != _COMMA:
        return -FIELD, 0, 0.0
    at, quantity = _decimal(buffer, _space(buffer, at + 1))
    if at < 0:
        return at, 0, 0.0
    at = _space(buffer, at)
    while _byte(buffer, at) == _COMMA:  # elements that we do not know
        at = _value(buffer, _space(buffer, at + 1))
        if at < 0:
            return at, 0, 0.0
        at = _space(buffer, at)
    if _byte(buffer, at) != _CLOSE_LIST:
        return -SYNTAX, 0, 0.0
    return at + 1, tick, quantity


@borrowing_kernel
def _usual_levels(
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
    whole = _digits_in(_word(buffer, start) ^ _ZERO_DIGITS)
    point = 1 if _byte(buffer, start + whole) == _DOT else 0
    to_fraction = whole + point
    fraction = _digits_in(_word(buffer, start + to_fraction) ^ _ZERO_DIGITS)
    kept = min(fraction, decimals)
    to_zeros = to_fraction + kept
    to_quote = to_fraction + fraction
    first = to_quote + 3
    digits = _digits_in(_word(buffer, start + first) ^ _ZERO_DIGITS)
    size_stop = _byte(buffer, start + first + digits)
    size_point = 1 if size_stop == _DOT else 0
    size_fraction = _digits_in(_word(buffer, start + first + digits + size_point) ^ _ZERO_DIGITS)
    size_kept = min(size_fraction, market.quantity_decimals)
    # The zero before the point of a small price is no digit that counts.
    is_small = point == 1 and whole == 1 and _byte(buffer, start) == 48
    counted = 0 if is_small else whole
    if (
        _byte(buffer, at) != _OPEN_LIST
        or _byte(buffer, at + 1) != _QUOTE
        or whole == 0
        or whole + point > 8
        or counted + kept > 8
        or (point == 1) != (fraction > 0)
        or (size_point == 1) != (size_fraction > 0)
        or whole + decimals > _MAX_DIGITS
    ):
        return at, row
    to_behind = to_fraction - counted
    front = _FIRST[counted]
    back = _FIRST[counted + kept] ^ front
    shift = Word(32 - 4 * (counted + kept))
    exact = (_FIRST[to_fraction] ^ _FIRST[whole]) | (_FIRST[whole] ^ front)
    layout = _word(buffer, start) & exact
    zeros = _FIRST[fraction - kept]
    scale = _TEN[decimals - kept]
    tick_units = market.tick_units
    to_size_zeros = size_point + size_kept
    size_zeros = _FIRST[size_fraction - size_kept]
    divisor = _TEN_FLOAT[size_kept]
    marks = _marks(_EVENT_DEPTH, side, 0)
    while row < events.size - _SPARE_ROWS:
        head = _word(buffer, start)
        price = (head & front) | (_word(buffer, start + to_behind) & back)
        price = ((price ^ _ZERO_DIGITS) << shift) << shift
        if (
            head & exact != layout
            or _others_in(price) != Word(0)
            or (_word(buffer, start + to_zeros) ^ _ZERO_DIGITS) & zeros != Word(0)
            or _word(buffer, start + to_quote) & _FIRST[3] != _BETWEEN_NUMBERS
        ):
            return at, row
        place = start + first
        head = _word(buffer, place)
        digits = _digits_in(head ^ _ZERO_DIGITS)
        if digits == 0 or digits + size_kept > 8 or _byte(buffer, place + digits) != size_stop:
            return at, row
        front_of_size = _FIRST[digits]
        size = (head & front_of_size) | (_word(buffer, place + size_point) & ~front_of_size)
        size_shift = Word(32 - 4 * (digits + size_kept))
        size = ((size ^ _ZERO_DIGITS) << size_shift) << size_shift
        place += digits + to_size_zeros
        if _others_in(size) != Word(0) or (
            _word(buffer, place) ^ _ZERO_DIGITS
        ) & size_zeros != Word(0):
            return at, row
        place += size_fraction - size_kept
        tail = _word(buffer, place)
        if tail & _FIRST[2] != _END_OF_LEVEL:
            return at, row
        tick = _eight_digits(price) * scale
        if tick_units != 1:
            units = tick
            tick = units // tick_units
            if tick * tick_units != units:
                return at, row
        event = events[Word(row)]
        event.price_tick = tick
        event.value = _eight_digits(size) / divisor
        event.marks = marks
        row += 1
        at = place + 2
        if tail & _FIRST[5] != _BETWEEN_LEVELS:
            return at, row
        start = place + 5
    return at, row


@borrowing_kernel
def _levels(
    buffer: Bytes, at: int, events: Records, row: int, side: int, market: Record
) -> tuple[int, int]:
    """Decode `[["price","quantity"],...]` into rows: (position behind it, next free row)."""
    at = _space(buffer, at + 1)
    if _byte(buffer, at) == _CLOSE_LIST:
        return at + 1, row
    while row < events.size - _SPARE_ROWS:
        first = row
        at, row = _usual_levels(buffer, at, events, row, side, market)
        if row == first:
            at, tick, quantity = _level(buffer, at, market.price_decimals, market.tick_units)
            if at < 0:
                return at, row
            event = events[Word(row)]
            event.price_tick = tick
            event.value = quantity
            event.marks = _marks(_EVENT_DEPTH, side, 0)
            row += 1
        at = _space(buffer, at)
        if _byte(buffer, at) == _CLOSE_LIST:
            return at + 1, row
        if _byte(buffer, at) != _COMMA:
            return -SYNTAX, row
        at = _space(buffer, at + 1)
    return -NO_ROOM, row


@borrowing_kernel
def _side_levels(
    buffer: Bytes,
    at: int,
    field: int,
    instrument: int,
    scan: Record,
    market: Records,
    events: Records,
) -> int:
    """Decode the level list of a field into the next rows; a snapshot keeps one row before."""
    if (field == _BIDS or field == _ASKS) and scan.row == scan.base:
        scan.row += 1
    side = _BID if field == _b or field == _BIDS else _ASK
    at, row = _levels(buffer, at, events, scan.row, side, market[instrument])
    scan.row = row
    scan.decoded |= 1 << field
    return at


@borrowing_kernel
def _scan(
    buffer: Bytes,
    at: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    events: Records,
) -> int:
    """Scan the object at `at`, and the object under its key "data", noting where fields are.

    `starts` and `ends` have one row for each of the two objects. Returns the position behind.
    """
    level = 0
    scan.seen[0] = 0
    scan.seen[1] = 0
    scan.found[0] = -1
    scan.found[1] = -1
    scan.decoded = 0
    scan.nested = 0
    at = _space(buffer, at + 1)
    if _byte(buffer, at) == _CLOSE_OBJECT:
        return at + 1
    while True:
        if _byte(buffer, at) != _QUOTE:
            return -SYNTAX
        key = _word(buffer, at)
        field = _letter(_byte(buffer, at + 1))
        if key & _NOT_LETTER == _LETTER_KEY and field >= 0:
            at += 4
        else:
            begin = at + 1
            at = _string(buffer, at)
            if at < 0:
                return at
            field = _field(buffer, begin, at - 1)
            at = _space(buffer, at)
            if _byte(buffer, at) != _COLON:
                return -SYNTAX
            at += 1
        at = _space(buffer, at)
        byte = _byte(buffer, at)
        enters = False
        if field < 0:
            at = _value(buffer, at)
        else:
            bit = 1 << field
            if scan.seen[level] & bit:
                return -REPEATED
            scan.seen[level] |= bit
            scan.begin[level, field] = at
            scan.end[level, field] = -1
            if field == _DATA and level == 0 and byte == _OPEN_OBJECT:
                scan.nested = 1
                scan.decoded = 0  # lists beside "data" are none of its book
                scan.row = scan.base
                level = 1
                at = _space(buffer, at + 1)
                enters = _byte(buffer, at) != _CLOSE_OBJECT
            else:
                is_levels = (
                    byte == _OPEN_LIST
                    and level == scan.nested
                    and (field == _b or field == _a or field == _BIDS or field == _ASKS)
                )
                instrument = scan.hint if scan.hint >= 0 else scan.found[level]
                if is_levels and instrument >= 0:
                    at = _side_levels(buffer, at, field, instrument, scan, market, events)
                elif byte == _QUOTE:
                    at = _string(buffer, at)
                elif 49 <= byte <= 57:
                    at = _number(buffer, at)
                else:
                    at = _value(buffer, at)
                if at < 0:
                    return at
                scan.end[level, field] = at
                if (field == _s or field == _SYMBOL_NAME) and byte == _QUOTE:
                    found = _find(
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
            if _byte(buffer, at) != _COMMA:
                at = _space(buffer, at)
            byte = _byte(buffer, at)
            if byte == _COMMA:
                at = _space(buffer, at + 1)
                break
            if byte != _CLOSE_OBJECT:
                return -SYNTAX
            at += 1
            if level == 0:
                return at
            level = 0


@borrowing_kernel
def _stream_symbol_end(buffer: Bytes, begin: int, end: int) -> int:
    """Return where the symbol ends in a stream name such as btcusdt@depth@100ms."""
    for at in range(begin, end):
        if _byte(buffer, at) == _AT:
            return at
    return end


@borrowing_kernel
def _is_partial_book(buffer: Bytes, begin: int, end: int) -> bool:
    """Say whether a stream is btcusdt@depth20: whole top levels under the look of a change."""
    at = _stream_symbol_end(buffer, begin, end)
    if end - at < 7:
        return False
    low, _ = _pack(buffer, at, at + 6)
    return low == _NAME_AT_DEPTH[0] and 48 <= _byte(buffer, at + 6) <= 57


@borrowing_kernel
def _has(seen: int, field: int) -> bool:
    return seen >> field & 1 == 1


@borrowing_kernel
def _kind_of(buffer: Bytes, scan: Record) -> int:
    """Say which of the known messages was scanned."""
    level = scan.nested
    seen = scan.seen[level]
    is_wrapped = _has(scan.seen[0], _STREAM) and _has(scan.seen[0], _DATA)
    if is_wrapped and _is_partial_book(
        buffer, scan.begin[0, _STREAM] + 1, scan.end[0, _STREAM] - 1
    ):
        return OTHER
    if _has(seen, _e):
        event = _text(buffer, scan.begin[level, _e], scan.end[level, _e])
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
    if _has(seen, _LAST_UPDATE_ID) and _has(seen, _BIDS) and _has(seen, _ASKS):
        return SNAPSHOT
    if _has(seen, _u) and _has(seen, _b) and _has(seen, _a) and _has(seen, _s):
        if _has(seen, _B) and _has(seen, _A):
            return BOOK_TICKER  # the spot ticker names no event type
    if _has(seen, _OPEN_INTEREST):
        return OPEN_INTEREST
    return OTHER


@borrowing_kernel
def _instrument_of(buffer: Bytes, scan: Record, names: Words, slots: Longs, market: Records) -> int:
    """Return the instrument that the hint, the symbol or the stream names; -1 none, -2 unknown."""
    found = scan.found[scan.nested]
    if scan.hint >= 0:
        return scan.hint if found == -1 or found == scan.hint else -2
    if (
        found == -1
        and _has(scan.seen[0], _STREAM)
        and _byte(buffer, scan.begin[0, _STREAM]) == _QUOTE
    ):
        begin = scan.begin[0, _STREAM] + 1
        end = _stream_symbol_end(buffer, begin, scan.end[0, _STREAM] - 1)
        return _find(buffer, begin, end, True, names, slots, market)
    return int(found)


@borrowing_kernel
def _id(buffer: Bytes, scan: Record, level: int, seen: int, field: int) -> int:
    """Read a whole number; negative: minus the error code."""
    if not _has(seen, field):
        return -FIELD
    return _whole(buffer, scan.begin[level, field], scan.end[level, field])


@borrowing_kernel
def _nanoseconds(
    buffer: Bytes, scan: Record, level: int, seen: int, field: int, default: int
) -> int:
    """Read milliseconds as nanoseconds; where the field is missing, `default`."""
    if not _has(seen, field):
        return default
    number = _whole(buffer, scan.begin[level, field], scan.end[level, field])
    if number < 0:
        return number
    if number > _MAX_MS:
        return -NUMBER
    return number * 1_000_000


@borrowing_kernel
def _marks(kind: int, side: int, flags: int) -> int:
    return kind | (side & 255) << 8 | flags << 16


@borrowing_kernel
def _write(event: Record, marks: int, tick: int, value: float, sequence: int) -> None:
    """Write a row but for its times."""
    event.marks = marks
    event.price_tick = tick
    event.value = value
    event.sequence = sequence


@borrowing_kernel
def _put(events: Records, scan: Record, marks: int, tick: int, value: float, sequence: int) -> None:
    """Write the next row but for its times."""
    _write(events[Word(scan.row)], marks, tick, value, sequence)
    scan.row += 1


@borrowing_kernel
def _finish_book(
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
    bids, asks = (_b, _a) if kind == DEPTH else (_BIDS, _ASKS)
    for field in (bids, asks):
        if not _has(seen, field) or _byte(buffer, scan.begin[level, field]) != _OPEN_LIST:
            return FIELD
        if not _has(scan.decoded, field):
            at = _side_levels(
                buffer, scan.begin[level, field], field, instrument, scan, market, events
            )
            if at < 0:
                return -at
    if scan.decoded != (1 << bids) | (1 << asks):
        return FIELD
    last_id = _id(buffer, scan, level, seen, _u if kind == DEPTH else _LAST_UPDATE_ID)
    first_id = _id(buffer, scan, level, seen, _U) if kind == DEPTH else last_id
    if last_id < 0 or first_id < 0:
        return NUMBER if last_id == -NUMBER or first_id == -NUMBER else FIELD
    previous_id = -1
    if kind == DEPTH and _has(seen, _PU):
        previous_id = _whole(buffer, scan.begin[level, _PU], scan.end[level, _PU])
        if previous_id < 0:
            return NUMBER
    message.first_id = first_id
    message.last_id = last_id
    message.previous_id = previous_id
    message.levels = scan.row - scan.base - (1 if kind == SNAPSHOT else 0)
    if kind == SNAPSHOT:
        marks = _marks(_EVENT_SNAPSHOT_BEGIN, 0, 0)
        _write(events[Word(scan.base)], marks, 0, math.nan, last_id)
    if kind == SNAPSHOT:
        _put(events, scan, _marks(_EVENT_SNAPSHOT_END, 0, 0), 0, math.nan, last_id)
    elif scan.row == scan.base:
        # A change of no level still moves the sequence: it travels as a deletion of nothing.
        _put(events, scan, _marks(_EVENT_DEPTH, _BID, 0), 0, 0.0, last_id)
    return 0


@borrowing_kernel
def _finish_ticker(
    buffer: Bytes, scan: Record, decimals: int, tick_units: int, message: Record, events: Records
) -> int:
    level = scan.nested
    seen = scan.seen[level]
    update_id = _id(buffer, scan, level, seen, _u)
    if update_id < 0:
        return -update_id
    for side in (_BID, _ASK):
        price_field, size_field = (_b, _B) if side == _BID else (_a, _A)
        if not _has(seen, price_field) or not _has(seen, size_field):
            return FIELD
        at, tick = _price(buffer, scan.begin[level, price_field], decimals, tick_units)
        if at < 0:
            return -at
        at, quantity = _decimal(buffer, scan.begin[level, size_field])
        if at < 0:
            return -at
        _put(events, scan, _marks(_EVENT_BOOK_TICKER, side, 0), tick, quantity, update_id)
    message.first_id = update_id
    message.last_id = update_id
    return 0


@borrowing_kernel
def _finish_trade(
    buffer: Bytes, scan: Record, decimals: int, tick_units: int, message: Record, events: Records
) -> int:
    level = scan.nested
    seen = scan.seen[level]
    trade_id = _id(buffer, scan, level, seen, _t if _has(seen, _t) else _a)
    if trade_id < 0:
        return -trade_id
    if not (_has(seen, _p) and _has(seen, _q) and _has(seen, _m)):
        return FIELD
    at, tick = _price(buffer, scan.begin[level, _p], decimals, tick_units)
    if at < 0:
        return -at
    at, quantity = _decimal(buffer, scan.begin[level, _q])
    if at < 0:
        return -at
    maker = _byte(buffer, scan.begin[level, _m])
    if maker != 116 and maker != 102:
        return FIELD
    side = _ASK if maker == 116 else _BID  # m: the buyer is the maker, so the seller was taking
    flags = 0
    if _has(seen, _X):
        if _text(buffer, scan.begin[level, _X], scan.end[level, _X]) != _NAME_MARKET:
            flags = _OFF_MARKET
    _put(events, scan, _marks(_EVENT_TRADE, side, flags), tick, quantity, trade_id)
    message.first_id = trade_id
    message.last_id = trade_id
    return 0


@borrowing_kernel
def _is_empty(buffer: Bytes, at: int) -> bool:
    return _byte(buffer, at) == _QUOTE and _byte(buffer, at + 1) == _QUOTE


@borrowing_kernel
def _finish_mark(buffer: Bytes, scan: Record, events: Records) -> int:
    """Mark and index price, and the funding rate of contracts that have one."""
    level = scan.nested
    seen = scan.seen[level]
    if not _has(seen, _p):
        return FIELD
    at, price = _decimal(buffer, scan.begin[level, _p])
    if at < 0:
        return -at
    _put(events, scan, _marks(_EVENT_MARK_PRICE, 0, 0), 0, price, 0)
    if _has(seen, _i) and not _is_empty(buffer, scan.begin[level, _i]):
        at, price = _decimal(buffer, scan.begin[level, _i])
        if at < 0:
            return -at
        _put(events, scan, _marks(_EVENT_INDEX_PRICE, 0, 0), 0, price, 0)
    next_funding = _nanoseconds(buffer, scan, level, seen, _T, 0)
    if next_funding < 0:
        return -next_funding
    # Dated contracts pay no funding: the venue sends the time 0, or an empty rate.
    if next_funding > 0 and _has(seen, _r) and not _is_empty(buffer, scan.begin[level, _r]):
        at, rate = _signed_decimal(buffer, scan.begin[level, _r])
        if at < 0:
            return -at
        _put(events, scan, _marks(_EVENT_FUNDING_RATE, 0, 0), 0, rate, next_funding)
    return 0


@borrowing_kernel
def _finish_liquidation(
    buffer: Bytes, scan: Record, decimals: int, tick_units: int, events: Records
) -> int:
    """A liquidation order: `starts`, `ends` and `state` are those of the inner object."""
    seen = scan.seen[0]
    if not (_has(seen, _S) and _has(seen, _p) and _has(seen, _q)):
        return FIELD
    name = _text(buffer, scan.begin[0, _S], scan.end[0, _S])
    if name == _NAME_SELL:
        side = _ASK
    elif name == _NAME_BUY:
        side = _BID
    else:
        return FIELD
    at, tick = _price(buffer, scan.begin[0, _p], decimals, tick_units)
    if at < 0:
        return -at
    at, quantity = _decimal(buffer, scan.begin[0, _q])
    if at < 0:
        return -at
    _put(events, scan, _marks(_EVENT_LIQUIDATION, side, 0), tick, quantity, 0)
    return 0


@borrowing_kernel
def _partial_instrument(
    buffer: Bytes, scan: Record, names: Words, slots: Longs, market: Records
) -> int:
    """Return the instrument of a frame that broke off, as far as it was told; -1 if not."""
    if scan.hint >= 0:
        return int(scan.hint)
    found = max(scan.found[0], scan.found[1])
    if found >= 0:
        return int(found)
    if _has(scan.seen[0], _STREAM) and scan.end[0, _STREAM] >= 0:
        return _instrument_of(buffer, scan, names, slots, market)
    return -1


@borrowing_kernel
def _decode_known(
    buffer: Bytes,
    kind: int,
    ts_recv: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    message: Record,
    events: Records,
) -> int:
    """Make the rows of a message whose kind is known; returns an error code."""
    level = scan.nested
    seen = scan.seen[level]
    clock = _E
    if kind == OPEN_INTEREST:
        clock = _TIME
    elif (kind == TRADE or kind == BOOK_TICKER) and _has(seen, _T):
        clock = _T  # of the match; E, of sending, lags by up to some 30 ms
    ts_event = _nanoseconds(buffer, scan, level, seen, clock, ts_recv)
    if kind == LIQUIDATION:
        if not _has(seen, _o) or _byte(buffer, scan.begin[level, _o]) != _OPEN_OBJECT:
            return FIELD
        at = _scan(buffer, scan.begin[level, _o], scan, names, slots, market, events)
        if at < 0:
            return -at
        if ts_event >= 0:
            ts_event = _nanoseconds(buffer, scan, 0, scan.seen[0], _T, ts_event)
    instrument = _instrument_of(buffer, scan, names, slots, market)
    if instrument == -2:
        return SYMBOL
    if instrument < 0:
        return FIELD
    message.instrument = instrument
    if ts_event < 0:
        return -ts_event
    decimals = market[instrument].price_decimals
    tick_units = market[instrument].tick_units
    error = 0
    if kind != DEPTH and kind != SNAPSHOT:
        scan.row = scan.base  # lists of levels in it mean something else
    if kind == DEPTH or kind == SNAPSHOT:
        error = _finish_book(buffer, scan, kind, instrument, market, message, events)
    elif kind == BOOK_TICKER:
        error = _finish_ticker(buffer, scan, decimals, tick_units, message, events)
    elif kind == TRADE:
        error = _finish_trade(buffer, scan, decimals, tick_units, message, events)
    elif kind == MARK_PRICE:
        error = _finish_mark(buffer, scan, events)
    elif kind == LIQUIDATION:
        error = _finish_liquidation(buffer, scan, decimals, tick_units, events)
    else:
        at, interest = _decimal(buffer, scan.begin[level, _OPEN_INTEREST])
        if at < 0:
            return -at
        _put(events, scan, _marks(_EVENT_OPEN_INTEREST, 0, 0), 0, interest, 0)
    if error != 0:
        return error
    message.ts_event = ts_event
    row = scan.base
    while row < scan.row:  # an end in memory keeps the compiler from scatter stores, far slower
        event = events[Word(row)]
        event.ts_event = ts_event
        event.ts_recv = ts_recv
        if kind == DEPTH or kind == SNAPSHOT:
            event.sequence = message.last_id
        row += 1
    events[Word(scan.row - 1)].marks |= _LAST << 16
    return 0


@borrowing_kernel
def _decode_frame(
    buffer: Bytes,
    at: int,
    ts_recv: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    message: Record,
    events: Records,
) -> int:
    """Decode one frame into a message and its rows: the end of it, or minus an error code."""
    at = _space(buffer, at)
    scan.seen[0] = 0
    scan.nested = 0
    scan.found[0] = -1
    is_object = _byte(buffer, at) == _OPEN_OBJECT
    if is_object:
        at = _scan(buffer, at, scan, names, slots, market, events)
    else:
        at = _value(buffer, at)
    if at < 0:
        if is_object:
            instrument = _partial_instrument(buffer, scan, names, slots, market)
            message.instrument = max(-1, instrument)
        return at
    at = _space(buffer, at)
    if _byte(buffer, at) != 0:
        return -SYNTAX
    if not is_object:
        return at
    kind = _kind_of(buffer, scan)
    message.kind = kind
    if kind == OTHER:
        scan.row = scan.base
        return at
    error = _decode_known(buffer, kind, ts_recv, scan, names, slots, market, message, events)
    return -error if error != 0 else at


@borrowing_kernel
def _join_run(run: Longs, message: Record) -> None:
    """Add a good message to what is told of the batch."""
    kind = message.kind
    run[_RUN_TS_RECV] = message.ts_recv
    if run[_RUN_INSTRUMENT] == -1:
        run[_RUN_INSTRUMENT] = message.instrument
    if kind == OTHER or kind == SNAPSHOT or run[_RUN_INSTRUMENT] != message.instrument:
        run[_RUN_INSTRUMENT] = -2
    elif kind == TRADE:
        run[_RUN_TRADES] += 1
    elif kind == DEPTH:
        before = run[_RUN_LAST_ID]
        if run[_RUN_CHANGES] == 0:
            run[_RUN_FIRST_ID] = message.first_id
            run[_RUN_PREVIOUS_ID] = message.previous_id
            run[_RUN_FIRST_LAST_ID] = message.last_id
        elif message.last_id <= before:
            run[_RUN_BREAKS] = 3
        else:
            if message.previous_id != before:
                run[_RUN_BREAKS] |= 1
            if message.first_id != before + 1:
                run[_RUN_BREAKS] |= 2
        run[_RUN_CHANGES] += 1
        run[_RUN_LEVELS] += message.levels
        run[_RUN_LAST_ID] = message.last_id


@borrowing_kernel
def _end_of_frame(buffer: Bytes, at: int) -> int:
    while _byte(buffer, at) != 0:
        at += 1
    return at


@borrowing_kernel
def decode(
    buffer: Bytes,
    ts_recv: Longs,
    hints: Longs,
    names: Words,
    slots: Longs,
    market: Records,
    messages: Records,
    events: Records,
    scans: Records,
) -> int:
    """Decode every frame of a batch; returns the number of rows made, or how it failed:
    minus `UNSETTLED` or `NO_ROOM`. Then the messages and rows say nothing.

    A frame with an error makes no rows. There is one message for each frame; no hints are as
    good as -1 for each. `scans` is one row of scratch; its `run` tells of the batch as a whole.
    """
    scan = scans[0]
    run = scan.run
    for field in range(RUN_FIELDS):
        run[field] = 0
    run[_RUN_INSTRUMENT] = -1
    rows = 0
    at = FIRST_FRAME
    for i in range(messages.size):
        if rows > events.size - _SPARE_ROWS:
            return -NO_ROOM
        hint = hints[i] if hints.size > 0 else -1
        message = messages[i]
        message.first_id = -1
        message.last_id = -1
        message.previous_id = -1
        message.ts_event = ts_recv[i]
        message.ts_recv = ts_recv[i]
        message.begin = rows
        message.levels = 0
        message.instrument = hint
        message.kind = OTHER
        message.error = 0
        scan.row = rows
        scan.base = rows
        scan.hint = hint
        end = _decode_frame(buffer, at, ts_recv[i], scan, names, slots, market, message, events)
        if end >= 0:
            rows = scan.row
            _join_run(run, message)
        elif end == -UNSETTLED or end == -NO_ROOM:
            return end
        else:
            message.error = -end
            run[_RUN_INSTRUMENT] = -2
            end = _end_of_frame(buffer, at)
        message.end = rows
        at = end + 1
    if at != buffer.size - PADDING:
        return -UNSETTLED  # a NUL within a frame
    return rows


# ------------------------------------------------------------------------ discovery


@borrowing_kernel
def _needed_decimals(buffer: Bytes, at: int) -> int:
    """Return the digits after the point of a quoted decimal, trailing zeros not counted."""
    if _byte(buffer, at) != _QUOTE:
        return 0
    at = _digits(buffer, at + 1)
    if _byte(buffer, at) != _DOT:
        return 0
    begin = at + 1
    last = at
    at = begin
    while 48 <= _byte(buffer, at) <= 57:
        if _byte(buffer, at) != 48:
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
        byte = _byte(buffer, at)
        if byte == _OPEN_LIST:
            depth += 1
            element = 0
        elif byte == _CLOSE_LIST:
            depth -= 1
        elif byte == _COMMA:
            element += 1
        elif byte == _QUOTE:
            if depth == 2 and element == 0:
                price = max(price, _needed_decimals(buffer, at))
            elif depth == 2 and element == 1:
                quantity = max(quantity, _needed_decimals(buffer, at))
            at = _string(buffer, at)
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
    at = _space(buffer, at)
    if _byte(buffer, at) != _OPEN_OBJECT:
        return 0
    at = _scan(buffer, at, scan, names, slots, market, events)
    if at < 0:
        return at
    if _byte(buffer, _space(buffer, at)) != 0:
        return -SYNTAX
    kind = _kind_of(buffer, scan)
    level = scan.nested
    if _has(scan.seen[0], _STREAM) and _byte(buffer, scan.begin[0, _STREAM]) == _QUOTE:
        note.name_begin = scan.begin[0, _STREAM] + 1
        note.name_end = _stream_symbol_end(
            buffer, scan.begin[0, _STREAM] + 1, scan.end[0, _STREAM] - 1
        )
    seen = scan.seen[level]
    note.has_event_type = _has(seen, _e)
    if kind == LIQUIDATION:
        if not _has(seen, _o) or _byte(buffer, scan.begin[level, _o]) != _OPEN_OBJECT:
            return -FIELD
        _scan(buffer, scan.begin[level, _o], scan, names, slots, market, events)
        level = 0
        seen = scan.seen[0]
    for field in (_s, _SYMBOL_NAME):
        if _has(seen, field) and _byte(buffer, scan.begin[level, field]) == _QUOTE:
            note.name_begin = scan.begin[level, field] + 1
            note.name_end = scan.end[level, field] - 1
    price = 0
    quantity = 0
    for field in (_b, _a, _BIDS, _ASKS):
        if _has(seen, field):
            if _byte(buffer, scan.begin[level, field]) == _OPEN_LIST:
                needed, size = _needed_by_levels(
                    buffer, scan.begin[level, field], scan.end[level, field]
                )
                price = max(price, needed)
                quantity = max(quantity, size)
            elif kind == BOOK_TICKER:
                price = max(price, _needed_decimals(buffer, scan.begin[level, field]))
    if kind == TRADE or kind == LIQUIDATION:
        if _has(seen, _p):
            price = max(price, _needed_decimals(buffer, scan.begin[level, _p]))
        if _has(seen, _q):
            quantity = max(quantity, _needed_decimals(buffer, scan.begin[level, _q]))
    note.kind = kind
    note.price_decimals = price
    note.quantity_decimals = quantity
    note.has_previous_id = _has(seen, _PU)
    note.is_spot_trade = _has(seen, _M)
    if kind == SNAPSHOT:
        note.last_id = _id(buffer, scan, level, seen, _LAST_UPDATE_ID)
    elif kind == DEPTH:
        note.first_id = _id(buffer, scan, level, seen, _U)
        note.last_id = _id(buffer, scan, level, seen, _u)
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
        at = _end_of_frame(buffer, at) + 1
    return bool(at == buffer.size - PADDING)
