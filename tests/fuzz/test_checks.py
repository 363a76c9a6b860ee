"""A short run of the checks that fuzzers drive, and proof that they can fail."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.book import L2Book
from alphaplus.events import Side
from alphaplus.feeds.binance import FrameError, MessageKind
from tests.book.events import INSTRUMENT, message, snapshot
from tests.book.twins import BoundedDictBook
from tests.fuzz import decoder
from tests.fuzz.book import assert_equal, assert_within, check_book
from tests.fuzz.choices import Choices
from tests.fuzz.decoder import DECODER, NOW, SEEDS, check_decoder, check_frame, frame_of


@given(st.binary(max_size=1_500))
@settings(max_examples=200, deadline=None)
def test_book_is_its_twin_whatever_it_gets(data: bytes) -> None:
    check_book(data)


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_frames_are_read_right_or_counted_as_wrong(data: bytes) -> None:
    check_decoder(data)


def test_frame_that_names_two_instruments_is_of_neither() -> None:
    text = SEEDS[1].replace(b'"U"', b'"symbol":"BTCUSDT","U"')
    decoded = DECODER.decode([text, SEEDS[1]], [NOW, NOW])
    assert decoded.messages["error"].tolist() == [FrameError.SYMBOL, FrameError.NONE]
    assert len(decoded.events) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_of_the_venue_pass(seed: bytes) -> None:
    decoded = DECODER.decode([seed], [NOW])
    found = decoded.messages[0]
    assert found["error"] == FrameError.NONE
    check_frame(
        seed, FrameError.NONE, MessageKind(found["kind"]), decoded.events, found["instrument"]
    )


def test_frames_of_the_fuzzer_are_torn_spliced_and_whole() -> None:
    frames = {
        frame_of(Choices(bytes((i * 37 + k * 11) % 256 for k in range(40)))) for i in range(256)
    }
    assert len(frames) > 100
    assert len(frames - set(SEEDS)) > 80
    errors = DECODER.decode(list(frames), [NOW] * len(frames)).messages["error"]
    assert 0 < (errors != FrameError.NONE).sum() < len(frames)


def test_check_of_a_frame_notices_what_is_wrong() -> None:
    seed = SEEDS[0]
    decoded = DECODER.decode([seed], [NOW])
    arguments = (FrameError.NONE, MessageKind.DEPTH, decoded.events, 0)
    wrong = decoded.events.copy()
    wrong["price_tick"][1] += 1
    for frame, error, kind, rows, instrument in (
        (seed[:-1], *arguments),
        (seed, FrameError.SYNTAX, *arguments[1:]),
        (seed, FrameError.NONE, MessageKind.OTHER, decoded.events[:0], 0),
        (seed, FrameError.NONE, MessageKind.DEPTH, wrong, 0),
        (seed, *arguments[:3], 1),
    ):
        with pytest.raises(AssertionError):
            check_frame(frame, error, kind, rows, instrument)


def test_checks_of_a_book_notice_what_is_wrong() -> None:
    start = snapshot([(Side.BID, 10, 1.0), (Side.ASK, 12, 1.0)])
    book, twin = L2Book(INSTRUMENT), BoundedDictBook(INSTRUMENT)
    book.apply(start)
    twin.apply(start)
    assert_equal(book, twin)
    assert_within(book, twin)
    book.apply(message([(Side.BID, 10, 2.0)], 1))
    for check in (assert_equal, assert_within):
        with pytest.raises(AssertionError):
            check(book, twin)


def test_symbol_that_a_frame_names_decides_its_instrument() -> None:
    names = [made.venue_symbol for made in decoder.INSTRUMENTS]
    assert names == ["BTCUSDT", "ETHUSDT"]
    assert decoder.symbols_of({"stream": "ethusdt@trade"}, {}) == {1}
    assert decoder.symbols_of({"stream": "ethusdt@trade"}, {"s": "BTCUSDT"}) == {0}
    assert decoder.symbols_of({}, {"e": "forceOrder", "s": "BTCUSDT", "o": {"s": "ETHUSDT"}}) == {1}
    assert decoder.symbols_of({}, {"s": "BTCUSDT", "symbol": "ETHUSDT"}) == set()


def test_choices_come_from_the_bytes_and_end_with_the_first() -> None:
    choices = Choices(b"\x05\x02ab")
    assert (choices.integer(0, 9), choices.pick("xyz"), choices.bytes(9)) == (5, "z", b"ab")
    assert (choices.left, choices.integer(3, 9), choices.pick("xyz"), choices.bytes(1)) == (
        0, 3, "x", b"",
    )  # fmt: skip
