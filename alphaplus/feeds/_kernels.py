"""Compiled scanner of Binance frames: JSON bytes to event rows, without a Python object.

The input is one buffer of all frames of a batch with a NUL byte after each. NUL is valid
nowhere in JSON, so every loop below stops at the end of its frame without a bounds check,
and a torn frame is a syntax error at its last byte.

A frame is scanned once. Level lists are decoded on the way if the symbol came before them
(as the venue sends it); in any other key order their place is noted and decoded after.
Functions return the position behind what they read, or minus an error code.
"""

# ruff: noqa: PLR1714 - numba compiles chains of comparisons best

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]

# Error codes: `binance.FrameError` holds the same numbers.
SYNTAX: Final = 1
FIELD: Final = 2
NUMBER: Final = 3
OFF_GRID: Final = 4
SYMBOL: Final = 5
REPEATED: Final = 6

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


def _packed(text: str) -> tuple[int, int]:
    raw = text.encode().ljust(16, b"\0")
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


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

# Slots of the scan state.
_SEEN: Final = 0  # and 1: bit sets of the fields seen outside and inside of "data"
_FOUND: Final = 2  # and 3: instrument named by the symbol field there, -1 none, -2 unknown
_ROW: Final = 4
_BASE: Final = 5
_DECODED: Final = 6  # bit set of the level lists already decoded
_HINT: Final = 7
_NESTED: Final = 8  # 1 if "data" holds an object
STATE: Final = 9


# ---------------------------------------------------------------------------- JSON


@kernel
def _byte(buffer: Bytes, at: int) -> int:
    """Return one byte as a number; an unsigned index spares the test for a negative one."""
    return np.int64(buffer[np.uint64(at)])  # type: ignore[return-value]


@kernel
def _space(buffer: Bytes, at: int) -> int:
    while True:
        byte = _byte(buffer, at)
        if byte > 32 or not (byte == 32 or byte == 10 or byte == 13 or byte == 9):
            return at
        at += 1


@kernel
def _is_hex(byte: int) -> bool:
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@kernel
def _string(buffer: Bytes, at: int) -> int:
    at += 1
    while True:
        byte = _byte(buffer, at)
        if byte == _QUOTE:
            return at + 1
        if byte < 32:
            return -SYNTAX
        if byte == _BACKSLASH:
            at += 1
            byte = _byte(buffer, at)
            if byte == 117:  # \uXXXX
                for _ in range(4):
                    at += 1
                    if not _is_hex(_byte(buffer, at)):
                        return -SYNTAX
            elif not (
                byte == _QUOTE
                or byte == _BACKSLASH
                or byte == 47
                or byte == 98
                or byte == 102
                or byte == 110
                or byte == 114
                or byte == 116
            ):
                return -SYNTAX
        at += 1


@kernel
def _digits(buffer: Bytes, at: int) -> int:
    while 48 <= _byte(buffer, at) <= 57:
        at += 1
    return at


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
def _decimal(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a quoted decimal without sign as the nearest float64: (position behind it, value).

    A quotient of two integers below 2**53, the lower a power of ten up to 10**22, is rounded
    once and so is exact (Clinger 1990, "How to read floating point numbers accurately").
    """
    if _byte(buffer, at) != _QUOTE:
        return -FIELD, math.nan
    at += 1
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


@kernel
def _signed_decimal(buffer: Bytes, at: int) -> tuple[int, float]:
    """Read a quoted decimal with an optional minus."""
    if _byte(buffer, at) == _QUOTE and _byte(buffer, at + 1) == _MINUS:
        # The minus takes the place of the quote for the reader of the rest.
        end = _string(buffer, at)
        if end < 0:
            return end, math.nan
        whole = _digits(buffer, at + 2)
        stop = whole
        if _byte(buffer, whole) == _DOT:
            stop = _digits(buffer, whole + 1)
            if stop == whole + 1:
                return -NUMBER, math.nan
        if whole == at + 2 or stop != end - 1:
            return -NUMBER, math.nan
        is_exact, value = _long_decimal(buffer, at + 2, stop)
        if not is_exact:
            return -NUMBER, math.nan
        return end, -value
    return _decimal(buffer, at)


@kernel
def _whole(buffer: Bytes, begin: int, end: int) -> int:
    """Read a JSON number that is a whole number of up to 18 digits; negative: an error."""
    if end - begin > _MAX_DIGITS:
        return -NUMBER
    number = 0
    for at in range(begin, end):
        byte = _byte(buffer, at)
        if byte < 48 or byte > 57:
            return -NUMBER
        number = number * 10 + (byte - 48)
    return number


# --------------------------------------------------------------------------- names


@kernel
def _pack(buffer: Bytes, begin: int, end: int) -> tuple[int, int]:
    """Return a text of up to 16 bytes as two little-endian numbers."""
    low = 0
    high = 0
    for at in range(begin, min(end, begin + 8)):
        low |= _byte(buffer, at) << (8 * (at - begin))
    for at in range(begin + 8, end):
        high |= _byte(buffer, at) << (8 * (at - begin - 8))
    return low, high


@kernel
def _is_text(buffer: Bytes, at: int, end: int, name: tuple[int, int]) -> bool:
    """Say whether the JSON value between the positions is the string `name`."""
    if _byte(buffer, at) != _QUOTE or end - at > 18:
        return False
    low, high = _pack(buffer, at + 1, end - 1)
    return low == name[0] and high == name[1]


@kernel
def _field(buffer: Bytes, begin: int, end: int) -> int:
    """Return the number of a field that is kept, or -1."""
    length = end - begin
    if length == 1:
        byte = _byte(buffer, begin)
        if 65 <= byte <= 90:
            return byte - 65
        if 97 <= byte <= 122:
            return byte - 71
        return -1
    if length == 0 or length > 12:
        return -1
    low, high = _pack(buffer, begin, end)
    if high == 0:
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


@kernel
def _upper(byte: int) -> int:
    return byte - 32 if 97 <= byte <= 122 else byte


@kernel
def _find(
    buffer: Bytes, begin: int, end: int, fold: bool, names: Bytes, slots: Longs, market: Rows
) -> int:
    """Look a venue symbol up in the hash table; -2 if it is not there."""
    mask = slots.size - 1
    code = 0
    for at in range(begin, end):
        byte = _byte(buffer, at)
        code = (code * 31 + (_upper(byte) if fold else byte)) & 0x7FFFFFFF
    slot = code & mask
    while slots[slot] >= 0:
        found = slots[slot]
        first = market["name_begin"][found]
        if market["name_end"][found] - first == end - begin:
            equal = True
            for k in range(end - begin):
                byte = _byte(buffer, begin + k)
                if fold:
                    byte = _upper(byte)
                if byte != names[first + k]:
                    equal = False
                    break
            if equal:
                return int(found)
        slot = (slot + 1) & mask
    return -2


@kernel
def hash_slot(name: Bytes, mask: int) -> int:
    """Return the slot where `_find` starts to look for a name."""
    code = 0
    for at in range(name.size):
        code = (code * 31 + _byte(name, at)) & 0x7FFFFFFF
    return code & mask


# -------------------------------------------------------------------------- scanning


@kernel
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


@kernel
def _levels(
    buffer: Bytes, at: int, events: Rows, row: int, side: int, decimals: int, tick_units: int
) -> tuple[int, int]:
    """Decode `[["price","quantity"],...]` into rows: (position behind it, next free row).

    Most bytes of a feed pass here, so a level in the form that the venue sends is read in
    place: calls in this loop would cost several times the reading. Where anything is unusual,
    spaces, long numbers or an error, `_level` reads the same level again and decides.
    """
    ticks = events["price_tick"]
    values = events["value"]
    sides = events["side"]
    at = _space(buffer, at + 1)
    if _byte(buffer, at) == _CLOSE_LIST:
        return at + 1, row
    while True:
        is_usual = False
        units = 0
        mantissa = 0
        fraction = 0
        place = at + 2
        if _byte(buffer, at) == _OPEN_LIST and _byte(buffer, at + 1) == _QUOTE:
            digit = _byte(buffer, place) - 48
            while 0 <= digit <= 9:
                units = units * 10 + digit
                place += 1
                digit = _byte(buffer, place) - 48
            whole = place - at - 2
            left = decimals
            if digit == _DOT - 48:
                place += 1
                digit = _byte(buffer, place) - 48
                while left > 0 and 0 <= digit <= 9:
                    units = units * 10 + digit
                    left -= 1
                    place += 1
                    digit = _byte(buffer, place) - 48
                while digit == 0:  # zeros beyond the grid
                    place += 1
                    digit = _byte(buffer, place) - 48
            is_usual = (
                digit == _QUOTE - 48
                and 0 < whole <= _MAX_DIGITS - decimals
                and _byte(buffer, place - 1) != _DOT
                and _byte(buffer, place + 1) == _COMMA
                and _byte(buffer, place + 2) == _QUOTE
            )
            if left > 0 and is_usual:
                units *= _TEN[left]
        if is_usual:
            place += 3
            begin = place
            digit = _byte(buffer, place) - 48
            while 0 <= digit <= 9:
                mantissa = mantissa * 10 + digit
                place += 1
                digit = _byte(buffer, place) - 48
            whole = place - begin
            if digit == _DOT - 48:
                place += 1
                begin = place
                digit = _byte(buffer, place) - 48
                while 0 <= digit <= 9:
                    mantissa = mantissa * 10 + digit
                    place += 1
                    digit = _byte(buffer, place) - 48
                fraction = place - begin
                if fraction == 0:
                    whole = 0
            is_usual = (
                digit == _QUOTE - 48
                and whole > 0
                and whole + fraction <= _FAST_DIGITS
                and _byte(buffer, place + 1) == _CLOSE_LIST
            )
        tick = units
        if is_usual and tick_units != 1:
            tick = units // tick_units
            is_usual = tick * tick_units == units
        if is_usual:
            at = place + 2
            quantity = mantissa / _TEN_FLOAT[fraction]
        else:
            at, tick, quantity = _level(buffer, at, decimals, tick_units)
            if at < 0:
                return at, row
        free = np.uint64(row)
        ticks[free] = tick
        values[free] = quantity
        sides[free] = side
        row += 1
        if _byte(buffer, at) != _COMMA:
            at = _space(buffer, at)
            if _byte(buffer, at) == _CLOSE_LIST:
                return at + 1, row
            if _byte(buffer, at) != _COMMA:
                return -SYNTAX, row
        at += 1
        if _byte(buffer, at) != _OPEN_LIST:
            at = _space(buffer, at)


@kernel
def _side_levels(
    buffer: Bytes, at: int, field: int, instrument: int, state: Longs, market: Rows, events: Rows
) -> int:
    """Decode the level list of a field into the next rows; a snapshot keeps one row before."""
    if (field == _BIDS or field == _ASKS) and state[_ROW] == state[_BASE]:
        state[_ROW] += 1
    side = _BID if field == _b or field == _BIDS else _ASK
    at, row = _levels(
        buffer,
        at,
        events,
        state[_ROW],
        side,
        market["price_decimals"][instrument],
        market["tick_units"][instrument],
    )
    state[_ROW] = row
    state[_DECODED] |= 1 << field
    return at


@kernel
def _scan(
    buffer: Bytes,
    at: int,
    starts: Longs,
    ends: Longs,
    state: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
    events: Rows,
) -> int:
    """Scan the object at `at`, and the object under its key "data", noting where fields are.

    `starts` and `ends` have one row for each of the two objects. Returns the position behind.
    """
    level = 0
    state[_SEEN] = 0
    state[_SEEN + 1] = 0
    state[_FOUND] = -1
    state[_FOUND + 1] = -1
    state[_DECODED] = 0
    state[_NESTED] = 0
    at = _space(buffer, at + 1)
    if _byte(buffer, at) == _CLOSE_OBJECT:
        return at + 1
    while True:
        if _byte(buffer, at) != _QUOTE:
            return -SYNTAX
        begin = at + 1
        at = _string(buffer, at)
        if at < 0:
            return at
        field = _field(buffer, begin, at - 1)
        if _byte(buffer, at) != _COLON:
            at = _space(buffer, at)
            if _byte(buffer, at) != _COLON:
                return -SYNTAX
        at = _space(buffer, at + 1)
        byte = _byte(buffer, at)
        enters = False
        if field < 0:
            at = _value(buffer, at)
        else:
            bit = 1 << field
            if state[_SEEN + level] & bit:
                return -REPEATED
            state[_SEEN + level] |= bit
            starts[level, field] = at
            ends[level, field] = -1
            if field == _DATA and level == 0 and byte == _OPEN_OBJECT:
                state[_NESTED] = 1
                state[_DECODED] = 0  # lists beside "data" are none of its book
                state[_ROW] = state[_BASE]
                level = 1
                at = _space(buffer, at + 1)
                enters = _byte(buffer, at) != _CLOSE_OBJECT
            else:
                is_levels = (
                    byte == _OPEN_LIST
                    and level == state[_NESTED]
                    and (field == _b or field == _a or field == _BIDS or field == _ASKS)
                )
                instrument = state[_HINT] if state[_HINT] >= 0 else state[_FOUND + level]
                if is_levels and instrument >= 0:
                    at = _side_levels(buffer, at, field, instrument, state, market, events)
                else:
                    at = _value(buffer, at)
                if at < 0:
                    return at
                ends[level, field] = at
                if (field == _s or field == _SYMBOL_NAME) and byte == _QUOTE:
                    state[_FOUND + level] = _find(
                        buffer, starts[level, field] + 1, at - 1, False, names, slots, market
                    )
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


@kernel
def _stream_symbol_end(buffer: Bytes, begin: int, end: int) -> int:
    """Return where the symbol ends in a stream name such as btcusdt@depth@100ms."""
    for at in range(begin, end):
        if _byte(buffer, at) == _AT:
            return at
    return end


@kernel
def _is_partial_book(buffer: Bytes, begin: int, end: int) -> bool:
    """Say whether a stream is btcusdt@depth20: whole top levels under the look of a change."""
    at = _stream_symbol_end(buffer, begin, end)
    if end - at < 7:
        return False
    low, _ = _pack(buffer, at, at + 6)
    return low == _NAME_AT_DEPTH[0] and 48 <= _byte(buffer, at + 6) <= 57


@kernel
def _has(seen: int, field: int) -> bool:
    return seen >> field & 1 == 1


@kernel
def _kind_of(buffer: Bytes, starts: Longs, ends: Longs, state: Longs) -> int:
    """Say which of the known messages was scanned."""
    level = state[_NESTED]
    seen = state[_SEEN + level]
    is_wrapped = _has(state[_SEEN], _STREAM) and _has(state[_SEEN], _DATA)
    if is_wrapped and _is_partial_book(buffer, starts[0, _STREAM] + 1, ends[0, _STREAM] - 1):
        return OTHER
    if _has(seen, _e):
        at = starts[level, _e]
        end = ends[level, _e]
        if _is_text(buffer, at, end, _NAME_BOOK_TICKER):
            return BOOK_TICKER
        if _is_text(buffer, at, end, _NAME_DEPTH_UPDATE):
            return DEPTH
        if _is_text(buffer, at, end, _NAME_TRADE) or _is_text(buffer, at, end, _NAME_AGG_TRADE):
            return TRADE
        if _is_text(buffer, at, end, _NAME_MARK_PRICE_UPDATE):
            return MARK_PRICE
        if _is_text(buffer, at, end, _NAME_FORCE_ORDER):
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


@kernel
def _instrument_of(
    buffer: Bytes,
    starts: Longs,
    ends: Longs,
    state: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
) -> int:
    """Return the instrument that the hint, the symbol or the stream names; -1 none, -2 unknown."""
    found = state[_FOUND + state[_NESTED]]
    if state[_HINT] >= 0:
        return state[_HINT] if found == -1 or found == state[_HINT] else -2
    if found == -1 and _has(state[_SEEN], _STREAM) and _byte(buffer, starts[0, _STREAM]) == _QUOTE:
        begin = starts[0, _STREAM] + 1
        end = _stream_symbol_end(buffer, begin, ends[0, _STREAM] - 1)
        return _find(buffer, begin, end, True, names, slots, market)
    return int(found)


@kernel
def _id(buffer: Bytes, starts: Longs, ends: Longs, level: int, seen: int, field: int) -> int:
    """Read a whole number; negative: minus the error code."""
    if not _has(seen, field):
        return -FIELD
    return _whole(buffer, starts[level, field], ends[level, field])


@kernel
def _nanoseconds(
    buffer: Bytes, starts: Longs, ends: Longs, level: int, seen: int, field: int, default: int
) -> int:
    """Read milliseconds as nanoseconds; where the field is missing, `default`."""
    if not _has(seen, field):
        return default
    number = _whole(buffer, starts[level, field], ends[level, field])
    if number < 0:
        return number
    if number > _MAX_MS:
        return -NUMBER
    return number * 1_000_000


@kernel
def _put(
    events: Rows, row: int, kind: int, side: int, tick: int, value: float, sequence: int
) -> None:
    events["kind"][row] = kind
    events["side"][row] = side
    events["price_tick"][row] = tick
    events["value"][row] = value
    events["sequence"][row] = sequence
    events["flags"][row] = 0


@kernel
def _finish_book(
    buffer: Bytes,
    starts: Longs,
    ends: Longs,
    state: Longs,
    kind: int,
    instrument: int,
    market: Rows,
    message: Any,
    events: Rows,
) -> int:
    """Complete the rows of a change or a snapshot of the book; returns an error code."""
    level = state[_NESTED]
    seen = state[_SEEN + level]
    bids, asks = (_b, _a) if kind == DEPTH else (_BIDS, _ASKS)
    for field in (bids, asks):
        if not _has(seen, field) or _byte(buffer, starts[level, field]) != _OPEN_LIST:
            return FIELD
        if not _has(state[_DECODED], field):
            at = _side_levels(
                buffer, starts[level, field], field, instrument, state, market, events
            )
            if at < 0:
                return -at
    if state[_DECODED] != (1 << bids) | (1 << asks):
        return FIELD
    last_id = _id(buffer, starts, ends, level, seen, _u if kind == DEPTH else _LAST_UPDATE_ID)
    first_id = _id(buffer, starts, ends, level, seen, _U) if kind == DEPTH else last_id
    if last_id < 0 or first_id < 0:
        return NUMBER if last_id == -NUMBER or first_id == -NUMBER else FIELD
    previous_id = -1
    if kind == DEPTH and _has(seen, _PU):
        previous_id = _whole(buffer, starts[level, _PU], ends[level, _PU])
        if previous_id < 0:
            return NUMBER
    message["first_id"] = first_id
    message["last_id"] = last_id
    message["previous_id"] = previous_id
    message["levels"] = state[_ROW] - state[_BASE] - (1 if kind == SNAPSHOT else 0)
    begin = state[_BASE]
    kinds = events["kind"]
    sequences = events["sequence"]
    flags = events["flags"]
    if kind == SNAPSHOT:
        _put(events, begin, _EVENT_SNAPSHOT_BEGIN, 0, 0, math.nan, last_id)
        begin += 1
    for row in range(begin, state[_ROW]):
        kinds[row] = _EVENT_DEPTH
        sequences[row] = last_id
        flags[row] = 0
    if kind == SNAPSHOT:
        _put(events, state[_ROW], _EVENT_SNAPSHOT_END, 0, 0, math.nan, last_id)
        state[_ROW] += 1
    elif state[_ROW] == state[_BASE]:
        # A change of no level still moves the sequence: it travels as a deletion of nothing.
        _put(events, state[_ROW], _EVENT_DEPTH, _BID, 0, 0.0, last_id)
        state[_ROW] += 1
    return 0


@kernel
def _finish_ticker(
    buffer: Bytes,
    starts: Longs,
    ends: Longs,
    state: Longs,
    decimals: int,
    tick_units: int,
    message: Any,
    events: Rows,
) -> int:
    level = state[_NESTED]
    seen = state[_SEEN + level]
    update_id = _id(buffer, starts, ends, level, seen, _u)
    if update_id < 0:
        return -update_id
    for side in (_BID, _ASK):
        price_field, size_field = (_b, _B) if side == _BID else (_a, _A)
        if not _has(seen, price_field) or not _has(seen, size_field):
            return FIELD
        at, tick = _price(buffer, starts[level, price_field], decimals, tick_units)
        if at < 0:
            return -at
        at, quantity = _decimal(buffer, starts[level, size_field])
        if at < 0:
            return -at
        _put(events, state[_ROW], _EVENT_BOOK_TICKER, side, tick, quantity, update_id)
        state[_ROW] += 1
    message["first_id"] = update_id
    message["last_id"] = update_id
    return 0


@kernel
def _finish_trade(
    buffer: Bytes,
    starts: Longs,
    ends: Longs,
    state: Longs,
    decimals: int,
    tick_units: int,
    message: Any,
    events: Rows,
) -> int:
    level = state[_NESTED]
    seen = state[_SEEN + level]
    trade_id = _id(buffer, starts, ends, level, seen, _t if _has(seen, _t) else _a)
    if trade_id < 0:
        return -trade_id
    if not (_has(seen, _p) and _has(seen, _q) and _has(seen, _m)):
        return FIELD
    at, tick = _price(buffer, starts[level, _p], decimals, tick_units)
    if at < 0:
        return -at
    at, quantity = _decimal(buffer, starts[level, _q])
    if at < 0:
        return -at
    maker = _byte(buffer, starts[level, _m])
    if maker != 116 and maker != 102:
        return FIELD
    side = _ASK if maker == 116 else _BID  # m: the buyer is the maker, so the seller was taking
    row = state[_ROW]
    _put(events, row, _EVENT_TRADE, side, tick, quantity, trade_id)
    if _has(seen, _X) and not _is_text(buffer, starts[level, _X], ends[level, _X], _NAME_MARKET):
        events["flags"][row] = _OFF_MARKET
    state[_ROW] += 1
    message["first_id"] = trade_id
    message["last_id"] = trade_id
    return 0


@kernel
def _is_empty(buffer: Bytes, at: int) -> bool:
    return _byte(buffer, at) == _QUOTE and _byte(buffer, at + 1) == _QUOTE


@kernel
def _finish_mark(buffer: Bytes, starts: Longs, ends: Longs, state: Longs, events: Rows) -> int:
    """Mark and index price, and the funding rate of contracts that have one."""
    level = state[_NESTED]
    seen = state[_SEEN + level]
    if not _has(seen, _p):
        return FIELD
    at, price = _decimal(buffer, starts[level, _p])
    if at < 0:
        return -at
    _put(events, state[_ROW], _EVENT_MARK_PRICE, 0, 0, price, 0)
    state[_ROW] += 1
    if _has(seen, _i) and not _is_empty(buffer, starts[level, _i]):
        at, price = _decimal(buffer, starts[level, _i])
        if at < 0:
            return -at
        _put(events, state[_ROW], _EVENT_INDEX_PRICE, 0, 0, price, 0)
        state[_ROW] += 1
    next_funding = _nanoseconds(buffer, starts, ends, level, seen, _T, 0)
    if next_funding < 0:
        return -next_funding
    # Dated contracts pay no funding: the venue sends the time 0, or an empty rate.
    if next_funding > 0 and _has(seen, _r) and not _is_empty(buffer, starts[level, _r]):
        at, rate = _signed_decimal(buffer, starts[level, _r])
        if at < 0:
            return -at
        _put(events, state[_ROW], _EVENT_FUNDING_RATE, 0, 0, rate, next_funding)
        state[_ROW] += 1
    return 0


@kernel
def _finish_liquidation(
    buffer: Bytes,
    starts: Longs,
    ends: Longs,
    state: Longs,
    decimals: int,
    tick_units: int,
    events: Rows,
) -> int:
    """A liquidation order: `starts`, `ends` and `state` are those of the inner object."""
    seen = state[_SEEN]
    if not (_has(seen, _S) and _has(seen, _p) and _has(seen, _q)):
        return FIELD
    if _is_text(buffer, starts[0, _S], ends[0, _S], _NAME_SELL):
        side = _ASK
    elif _is_text(buffer, starts[0, _S], ends[0, _S], _NAME_BUY):
        side = _BID
    else:
        return FIELD
    at, tick = _price(buffer, starts[0, _p], decimals, tick_units)
    if at < 0:
        return -at
    at, quantity = _decimal(buffer, starts[0, _q])
    if at < 0:
        return -at
    _put(events, state[_ROW], _EVENT_LIQUIDATION, side, tick, quantity, 0)
    state[_ROW] += 1
    return 0


@kernel
def _partial_instrument(
    buffer: Bytes,
    starts: Longs,
    ends: Longs,
    state: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
) -> int:
    """Return the instrument of a frame that broke off, as far as it was told; -1 if not."""
    if state[_HINT] >= 0:
        return int(state[_HINT])
    found = max(state[_FOUND], state[_FOUND + 1])
    if found >= 0:
        return int(found)
    if _has(state[_SEEN], _STREAM) and ends[0, _STREAM] >= 0:
        return _instrument_of(buffer, starts, ends, state, names, slots, market)
    return -1


@kernel
def _decode_known(
    buffer: Bytes,
    kind: int,
    ts_recv: int,
    starts: Longs,
    ends: Longs,
    state: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
    message: Any,
    events: Rows,
) -> int:
    """Make the rows of a message whose kind is known; returns an error code."""
    level = state[_NESTED]
    seen = state[_SEEN + level]
    clock = _E
    if kind == OPEN_INTEREST:
        clock = _TIME
    elif kind == TRADE and _has(seen, _T):
        clock = _T
    ts_event = _nanoseconds(buffer, starts, ends, level, seen, clock, ts_recv)
    if kind == LIQUIDATION:
        if not _has(seen, _o) or _byte(buffer, starts[level, _o]) != _OPEN_OBJECT:
            return FIELD
        at = _scan(buffer, starts[level, _o], starts, ends, state, names, slots, market, events)
        if at < 0:
            return -at
        if ts_event >= 0:
            ts_event = _nanoseconds(buffer, starts, ends, 0, state[_SEEN], _T, ts_event)
    instrument = _instrument_of(buffer, starts, ends, state, names, slots, market)
    if instrument == -2:
        return SYMBOL
    if instrument < 0:
        return FIELD
    message["instrument"] = instrument
    if ts_event < 0:
        return -ts_event
    decimals = market["price_decimals"][instrument]
    tick_units = market["tick_units"][instrument]
    error = 0
    if kind != DEPTH and kind != SNAPSHOT:
        state[_ROW] = state[_BASE]  # lists of levels in it mean something else
    if kind == DEPTH or kind == SNAPSHOT:
        error = _finish_book(buffer, starts, ends, state, kind, instrument, market, message, events)
    elif kind == BOOK_TICKER:
        error = _finish_ticker(buffer, starts, ends, state, decimals, tick_units, message, events)
    elif kind == TRADE:
        error = _finish_trade(buffer, starts, ends, state, decimals, tick_units, message, events)
    elif kind == MARK_PRICE:
        error = _finish_mark(buffer, starts, ends, state, events)
    elif kind == LIQUIDATION:
        error = _finish_liquidation(buffer, starts, ends, state, decimals, tick_units, events)
    else:
        at, interest = _decimal(buffer, starts[level, _OPEN_INTEREST])
        if at < 0:
            return -at
        _put(events, state[_ROW], _EVENT_OPEN_INTEREST, 0, 0, interest, 0)
        state[_ROW] += 1
    if error != 0:
        return error
    message["ts_event"] = ts_event
    times = events["ts_event"]
    received = events["ts_recv"]
    for row in range(state[_BASE], state[_ROW]):
        times[row] = ts_event
        received[row] = ts_recv
    events["flags"][state[_ROW] - 1] |= _LAST
    return 0


@kernel
def _decode_frame(
    buffer: Bytes,
    begin: int,
    end: int,
    ts_recv: int,
    starts: Longs,
    ends: Longs,
    state: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
    message: Any,
    events: Rows,
) -> int:
    """Decode one frame into a message and its rows; returns an error code."""
    at = _space(buffer, begin)
    state[_SEEN] = 0
    state[_NESTED] = 0
    state[_FOUND] = -1
    if _byte(buffer, at) != _OPEN_OBJECT:
        at = _value(buffer, at)
        if at >= 0 and _space(buffer, at) == end:
            return 0
        return SYNTAX
    at = _scan(buffer, at, starts, ends, state, names, slots, market, events)
    if at < 0:
        message["instrument"] = max(
            -1, _partial_instrument(buffer, starts, ends, state, names, slots, market)
        )
        return -at
    if _space(buffer, at) != end:
        return SYNTAX
    kind = _kind_of(buffer, starts, ends, state)
    message["kind"] = kind
    if kind == OTHER:
        state[_ROW] = state[_BASE]
        return 0
    return _decode_known(
        buffer, kind, ts_recv, starts, ends, state, names, slots, market, message, events
    )


@kernel
def decode(
    buffer: Bytes,
    offsets: Longs,
    ts_recv: Longs,
    hints: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
    messages: Rows,
    events: Rows,
) -> int:
    """Decode every frame of a batch; returns the number of rows made.

    Frame i lies in `buffer[offsets[i] : offsets[i + 1] - 1]`, with a NUL behind it and a few
    more behind the last. A frame with an error makes no rows.
    """
    starts = np.empty((2, FIELDS), dtype=np.int64)
    ends = np.empty((2, FIELDS), dtype=np.int64)
    state = np.zeros(STATE, dtype=np.int64)
    rows = 0
    for i in range(offsets.size - 1):
        message = messages[i]
        message["first_id"] = -1
        message["last_id"] = -1
        message["previous_id"] = -1
        message["ts_event"] = ts_recv[i]
        message["ts_recv"] = ts_recv[i]
        message["begin"] = rows
        message["levels"] = 0
        message["instrument"] = hints[i]
        message["kind"] = OTHER
        state[_ROW] = rows
        state[_BASE] = rows
        state[_HINT] = hints[i]
        error = _decode_frame(
            buffer,
            offsets[i],
            offsets[i + 1] - 1,
            ts_recv[i],
            starts,
            ends,
            state,
            names,
            slots,
            market,
            message,
            events,
        )
        message["error"] = error
        if error == 0:
            rows = state[_ROW]
        message["end"] = rows
    return rows


# ------------------------------------------------------------------------ discovery


@kernel
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


@kernel
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


@kernel
def _survey_frame(
    buffer: Bytes,
    begin: int,
    end: int,
    starts: Longs,
    ends: Longs,
    state: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
    events: Rows,
    note: Any,
) -> None:
    at = _space(buffer, begin)
    if _byte(buffer, at) != _OPEN_OBJECT:
        return
    at = _scan(buffer, at, starts, ends, state, names, slots, market, events)
    if at < 0 or _space(buffer, at) != end:
        return
    kind = _kind_of(buffer, starts, ends, state)
    level = state[_NESTED]
    if _has(state[_SEEN], _STREAM) and _byte(buffer, starts[0, _STREAM]) == _QUOTE:
        note["name_begin"] = starts[0, _STREAM] + 1
        note["name_end"] = _stream_symbol_end(buffer, starts[0, _STREAM] + 1, ends[0, _STREAM] - 1)
    seen = state[_SEEN + level]
    note["has_event_type"] = _has(seen, _e)
    if kind == LIQUIDATION:
        if not _has(seen, _o) or _byte(buffer, starts[level, _o]) != _OPEN_OBJECT:
            return
        _scan(buffer, starts[level, _o], starts, ends, state, names, slots, market, events)
        level = 0
        seen = state[_SEEN]
    for field in (_s, _SYMBOL_NAME):
        if _has(seen, field) and _byte(buffer, starts[level, field]) == _QUOTE:
            note["name_begin"] = starts[level, field] + 1
            note["name_end"] = ends[level, field] - 1
    price = 0
    quantity = 0
    for field in (_b, _a, _BIDS, _ASKS):
        if _has(seen, field):
            if _byte(buffer, starts[level, field]) == _OPEN_LIST:
                needed, size = _needed_by_levels(buffer, starts[level, field], ends[level, field])
                price = max(price, needed)
                quantity = max(quantity, size)
            elif kind == BOOK_TICKER:
                price = max(price, _needed_decimals(buffer, starts[level, field]))
    if kind == TRADE or kind == LIQUIDATION:
        if _has(seen, _p):
            price = max(price, _needed_decimals(buffer, starts[level, _p]))
        if _has(seen, _q):
            quantity = max(quantity, _needed_decimals(buffer, starts[level, _q]))
    note["kind"] = kind
    note["price_decimals"] = price
    note["quantity_decimals"] = quantity
    note["has_previous_id"] = _has(seen, _PU)
    note["is_spot_trade"] = _has(seen, _M)
    if kind == SNAPSHOT:
        note["last_id"] = _id(buffer, starts, ends, level, seen, _LAST_UPDATE_ID)
    elif kind == DEPTH:
        note["first_id"] = _id(buffer, starts, ends, level, seen, _U)
        note["last_id"] = _id(buffer, starts, ends, level, seen, _u)


@kernel
def survey(
    buffer: Bytes,
    offsets: Longs,
    names: Bytes,
    slots: Longs,
    market: Rows,
    events: Rows,
    notes: Rows,
) -> None:
    """Note of every frame which symbol it names and what decimals its numbers need.

    The tables are those of a decoder without instruments, and `events` is empty.
    """
    starts = np.empty((2, FIELDS), dtype=np.int64)
    ends = np.empty((2, FIELDS), dtype=np.int64)
    state = np.zeros(STATE, dtype=np.int64)
    state[_HINT] = -1
    for i in range(offsets.size - 1):
        note = notes[i]
        note["first_id"] = -1
        note["last_id"] = -1
        note["name_begin"] = 0
        note["name_end"] = 0
        note["kind"] = OTHER
        note["price_decimals"] = 0
        note["quantity_decimals"] = 0
        note["has_previous_id"] = 0
        note["has_event_type"] = 0
        note["is_spot_trade"] = 0
        _survey_frame(
            buffer,
            offsets[i],
            offsets[i + 1] - 1,
            starts,
            ends,
            state,
            names,
            slots,
            market,
            events,
            note,
        )
