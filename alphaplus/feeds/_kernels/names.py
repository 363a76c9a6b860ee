"""Names: of fields to their numbers, of symbols to instruments through a hash table."""

from typing import Final

import numpy as np

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.layout import Bytes, Longs, Records, Words
from alphaplus.feeds._kernels.syntax import QUOTE, byte_at
from alphaplus.feeds._kernels.words import FIRST_BYTES, Word, packed, word_at
from alphaplus.jit import borrowing_kernel

_NAME_PU: Final = packed("pu")
_NAME_DATA: Final = packed("data")
_NAME_TIME: Final = packed("time")
_NAME_BIDS: Final = packed("bids")
_NAME_ASKS: Final = packed("asks")
_NAME_STREAM: Final = packed("stream")
_NAME_SYMBOL: Final = packed("symbol")
_NAME_LAST_UPDATE_ID: Final = packed("lastUpdateId")
_NAME_OPEN_INTEREST: Final = packed("openInterest")

_HASH_FACTOR: Final = Word(0x9E3779B97F4A7C15)
_HALF: Final = Word(32)


@borrowing_kernel
def pack_bytes(buffer: Bytes, begin: int, end: int) -> tuple[Word, Word]:
    """Return a text of up to 16 bytes as two words, the second zero if it has up to 8."""
    length = end - begin
    if length <= 8:
        return word_at(buffer, begin) & FIRST_BYTES[length], Word(0)
    return word_at(buffer, begin), word_at(buffer, begin + 8) & FIRST_BYTES[length - 8]


@borrowing_kernel
def pack_string(buffer: Bytes, at: int, end: int) -> tuple[Word, Word]:
    """Pack the JSON value between two positions if it is a string of 1-16 bytes, else zeros."""
    if byte_at(buffer, at) != QUOTE or end - at < 3 or end - at > 18:
        return Word(0), Word(0)
    return pack_bytes(buffer, at + 1, end - 1)


@borrowing_kernel
def field_of_letter(byte: int) -> int:
    """Return the number of a field named by one letter, or -1."""
    if 65 <= byte <= 90:
        return byte - 65
    if 97 <= byte <= 122:
        return byte - 71
    return -1


@borrowing_kernel
def field_of_name(buffer: Bytes, begin: int, end: int) -> int:
    """Return the number of a field that is kept, or -1."""
    length = end - begin
    if length == 1:
        return field_of_letter(byte_at(buffer, begin))
    if length == 0 or length > 12:
        return -1
    low, high = pack_bytes(buffer, begin, end)
    if high == Word(0):
        if low == _NAME_PU[0]:
            return fields.PU
        if low == _NAME_STREAM[0]:
            return fields.STREAM
        if low == _NAME_DATA[0]:
            return fields.DATA
        if low == _NAME_BIDS[0]:
            return fields.BIDS
        if low == _NAME_ASKS[0]:
            return fields.ASKS
        if low == _NAME_SYMBOL[0]:
            return fields.SYMBOL
        if low == _NAME_TIME[0]:
            return fields.TIME
        return -1
    if low == _NAME_LAST_UPDATE_ID[0] and high == _NAME_LAST_UPDATE_ID[1]:
        return fields.LAST_UPDATE_ID
    if low == _NAME_OPEN_INTEREST[0] and high == _NAME_OPEN_INTEREST[1]:
        return fields.OPEN_INTEREST
    return -1


@borrowing_kernel
def _name_word(buffer: Bytes, at: int, count: int, fold: bool) -> Word:
    """Return up to eight bytes of a symbol, zeros behind; `fold` turns letters to upper case."""
    if not fold:
        return Word(word_at(buffer, at) & FIRST_BYTES[count])
    word = Word(0)
    for k in range(count):
        byte = byte_at(buffer, at + k)
        if 97 <= byte <= 122:
            byte -= 32
        word |= Word(byte) << Word(8 * k)
    return word


@borrowing_kernel
def _mixed(code: Word, word: Word) -> Word:
    code = (code ^ word) * _HASH_FACTOR
    return Word(code ^ (code >> _HALF))


@borrowing_kernel
def hash_slot(words: Words, length: int, mask: int) -> int:
    """Return the slot where `find_symbol` starts to look for a name of so many bytes."""
    code = Word(length)
    for k in range(words.size):
        code = _mixed(code, words[k])
    return np.int64(code & Word(mask))  # type: ignore[return-value]


@borrowing_kernel
def find_symbol(
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
