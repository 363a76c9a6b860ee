"""The compiled frame decoder against its slow twin, and against what no frame should be."""

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.events import EVENT, EventArray, Flag, Kind, Side
from alphaplus.feeds._kernels import layout
from alphaplus.feeds.binance import FrameDecoder, FrameError, MessageKind
from alphaplus.instruments import Instrument, InstrumentKind
from tests.feeds.frames import INSTRUMENT, SPOT, frames
from tests.feeds.reference import Row, reference_rows

NOW = 1_700_000_000_000_000_000
DECODER = FrameDecoder([INSTRUMENT, SPOT])

DEPTH = (
    b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":5,"T":4,"s":"BTCUSDT","U":10,'
    b'"u":12,"pu":9,"b":[["100.50","0.014"],["99","0"]],"a":[["101.00","2.500"]]}}'
)


def decode(*texts: bytes, hints: list[int] | None = None):
    return DECODER.decode(texts, [NOW] * len(texts), hints)


def as_rows(events: EventArray) -> list[Row]:
    names = ("kind", "side", "price_tick", "value", "sequence", "flags", "ts_event")
    return [tuple(row[name].item() for name in names) for row in events]


def same(left: list[Row], right: list[Row]) -> bool:
    # repr tells apart every float64 and equates nan with nan
    return [tuple(map(repr, map(float, row))) for row in left] == [
        tuple(map(repr, map(float, row))) for row in right
    ]


@given(st.lists(frames(), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_frames_become_the_rows_of_the_reference(batch: list[bytes]) -> None:
    decoded = decode(*batch)
    for frame, message in zip(batch, decoded.messages, strict=True):
        assert FrameError(message["error"]) is FrameError.NONE, frame
        rows = as_rows(decoded.events[message["begin"] : message["end"]])
        expected = reference_rows(frame, INSTRUMENT, NOW)
        if message["kind"] in (MessageKind.DEPTH, MessageKind.SNAPSHOT):  # sides in any order
            body = slice(1, -1) if message["kind"] == MessageKind.SNAPSHOT else slice(None)
            plain = [(*row[:5], 0, row[6]) for row in rows]
            wanted = [(*row[:5], 0, row[6]) for row in expected]
            plain[body] = sorted(plain[body], key=lambda row: -row[1])
            assert same(plain, wanted), frame
            assert [row[5] for row in rows] == [0] * (len(rows) - 1) + [Flag.LAST]
        else:
            assert same(rows, expected), frame
        assert message["instrument"] == 0
    assert (decoded.events["ts_recv"] == NOW).all()


@st.composite
def level_lists(draw: st.DrawFn) -> tuple[Instrument, list[list[str]]]:
    """An instrument, and levels written mostly alike, as a venue does."""
    price_decimals, size_decimals = draw(st.integers(0, 8)), draw(st.integers(0, 8))
    ticks = draw(st.sampled_from([1, 1, 5]))
    made = Instrument(
        symbol="X-USDT-PERP", exchange="binance", venue_symbol="BTCUSDT",
        tick_size=ticks * Decimal(1).scaleb(-price_decimals),
        lot_size=Decimal(1).scaleb(-size_decimals),
    )  # fmt: skip
    zeros = st.sampled_from([draw(st.integers(0, 9))] * 9 + [0, 1, 9])
    whole = draw(st.integers(0, 10**7))
    levels = []
    for _ in range(draw(st.integers(1, 12))):
        price = ticks * draw(st.integers(whole, 11 * whole + 50))
        size = draw(st.integers(0, 10 ** draw(st.integers(1, 12))))
        levels.append([
            _text(price, price_decimals, draw(zeros)), _text(size, size_decimals, draw(zeros)),
        ])  # fmt: skip
    return made, levels


def _text(number: int, decimals: int, zeros: int) -> str:
    text = f"{Decimal(number).scaleb(-decimals):.{decimals}f}"
    return text + "." * (decimals == 0 and zeros > 0) + "0" * zeros


@given(level_lists(), st.integers(1, 10**6), st.sampled_from([None, *'0123456789.,"[]- e']))
@settings(max_examples=400, deadline=None)
def test_levels_in_the_layout_of_a_venue(
    case: tuple[Instrument, list[list[str]]], place: int, byte: str | None
) -> None:
    made, levels = case
    decoder = FrameDecoder([made])
    frame = depth(b=levels, a=levels)
    decoded = decoder.decode([frame], [NOW])
    assert FrameError(decoded.messages["error"][0]) is FrameError.NONE, frame
    expected = reference_rows(frame, made, NOW)
    rows = as_rows(decoded.events)
    assert same(rows, expected), frame
    if byte is None:
        return
    begin = frame.index(b'"b"')
    at = begin + place % (len(frame) - begin)
    torn = frame[:at] + byte.encode() + frame[at + 1 :]
    read = decoder.decode([torn], [NOW])
    if read.messages["error"][0] == FrameError.NONE:
        assert same(as_rows(read.events), reference_rows(torn, made, NOW)), torn


@given(frames(), st.data())
@settings(max_examples=100, deadline=None)
def test_every_torn_frame_is_an_error_without_rows(frame: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(frame.rstrip()) - 1))
    decoded = decode(frame[:cut], frame)
    assert decoded.messages["error"][0] != FrameError.NONE
    assert decoded.messages["begin"][0] == decoded.messages["end"][0] == 0
    assert decoded.messages["error"][1] == FrameError.NONE


def test_every_prefix_of_a_depth_frame_is_a_syntax_error() -> None:
    prefixes = [DEPTH[:cut] for cut in range(len(DEPTH))]
    decoded = decode(*prefixes)
    assert (decoded.messages["error"] != FrameError.NONE).all()
    assert len(decoded.events) == 0


@given(st.lists(frames() | st.just(DEPTH) | st.just(b"{") | st.just(b"{}"), max_size=5))
@settings(max_examples=200, deadline=None)
def test_run_holds_the_sums_of_a_batch_or_is_none(batch: list[bytes]) -> None:
    decoded = decode(*batch, DEPTH)
    messages = decoded.messages
    kinds, run = messages["kind"], decoded.run
    if messages["error"].any() or np.isin(kinds, [MessageKind.OTHER, MessageKind.SNAPSHOT]).any():
        assert run is None
        return
    assert run is not None
    changes = messages[kinds == MessageKind.DEPTH]
    assert run.instrument == 0
    assert run.trades == np.count_nonzero(kinds == MessageKind.TRADE)
    assert (run.changes, run.levels) == (len(changes), changes["levels"].sum())
    assert (run.first_id, run.previous_id, run.first_last_id) == tuple(
        int(changes[name][0]) for name in ("first_id", "previous_id", "last_id")
    )
    assert run.last_id == changes["last_id"][-1]


def test_run_is_of_one_instrument() -> None:
    other = DEPTH.replace(b"BTCUSDT", b"ETHUSDT")
    assert decode(DEPTH, other).run is None
    assert decode(other).run == decode(DEPTH).run._replace(instrument=1)


@given(frames(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
@settings(max_examples=300, deadline=None)
@example(b'{"a":"\\ud800"}', [])
@example(b'{"a":"\\q"}', [])
def test_mutated_frames_never_raise_and_invalid_json_never_passes(
    frame: bytes, changes: list[tuple[int, int]]
) -> None:
    text = bytearray(frame)
    for at, byte in changes:
        text[at % len(text)] = byte
    message = decode(bytes(text)).messages[0]
    try:
        orjson.loads(bytes(text))
    except orjson.JSONDecodeError:
        assert message["error"] != FrameError.NONE
        assert message["begin"] == message["end"]


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_garbage_never_raises(text: bytes) -> None:
    assert len(decode(text).events) == 0


@pytest.mark.parametrize(
    "text",
    [b"[1,2]", b"null", b" true ", b"-1.5e3", b'"text"', b"{}", b'{"result":null,"id":1}',
     b'{"stream":"x","data":{}}', b'{"stream":"x","data":[1]}', b'{"data":{},"stream":"x"}',
     b'{"e":"kline","s":"BTCUSDT","k":{"o":"1"}}', b'{"a":1e400}', b'{"b":{"c":[[],{}]}}'],
)  # fmt: skip
def test_valid_json_of_no_use_is_other(text: bytes) -> None:
    message = decode(text).messages[0]
    assert (message["kind"], message["error"]) == (MessageKind.OTHER, FrameError.NONE)


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b"}", b"{}}", b"{} x", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"[1,]",
     b"01", b"1.", b"+1", b".5", b"1e", b"tru", b"nul", b"falsy", b"NaN", b"'a'", b'"\t"',
     b'"\x00"', b'{"a":1 "b":2}', b"[1 2]", b'{"a":[}', b"\xff", b'{"a":"\xff"}',
     b'"\\u12g4"', b"{1:2}"],
)  # fmt: skip
def test_invalid_json_is_a_syntax_error(text: bytes) -> None:
    assert decode(text).messages["error"][0] == FrameError.SYNTAX


def depth(**changes: object) -> bytes:
    data = orjson.loads(DEPTH)["data"] | changes
    return orjson.dumps({key: value for key, value in data.items() if value != "absent"})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (depth(b=[["100.25", "1"]]), FrameError.OFF_GRID),
        (depth(b=[["100.501", "1"]]), FrameError.OFF_GRID),
        (depth(b=[["-100", "1"]]), FrameError.NUMBER),
        (depth(b=[["100", "-1"]]), FrameError.NUMBER),
        (depth(b=[["", "1"]]), FrameError.NUMBER),
        (depth(b=[["100.", "1"]]), FrameError.NUMBER),
        (depth(b=[["100", ".5"]]), FrameError.NUMBER),
        (depth(b=[["1e2", "1"]]), FrameError.NUMBER),
        (depth(b=[["100", "1" * 19]]), FrameError.NUMBER),
        (depth(b=[["9" * 19, "1"]]), FrameError.NUMBER),
        (depth(b=[["100"]]), FrameError.FIELD),
        (depth(b=[[100, "1"]]), FrameError.FIELD),
        (depth(b=["100", "1"]), FrameError.FIELD),
        (depth(b={}), FrameError.FIELD),
        (depth(b="absent"), FrameError.FIELD),
        (depth(U="absent"), FrameError.FIELD),
        (depth(u="12"), FrameError.NUMBER),
        (depth(u=1.5), FrameError.NUMBER),
        (depth(pu=-1), FrameError.NUMBER),
        (depth(E=10**16), FrameError.NUMBER),
        (depth(s="absent"), FrameError.FIELD),
        (depth(s="DOGEUSDT"), FrameError.SYMBOL),
        (depth(s="btcusdt"), FrameError.SYMBOL),
        (depth(symbol="ETHUSDT"), FrameError.SYMBOL),
        (b'{"e":"trade","e":"trade"}', FrameError.REPEATED),
        (b'{"e":"forceOrder","E":1,"o":1}', FrameError.FIELD),
        (b'{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","m":1,"T":1}', FrameError.FIELD),
        (b'{"lastUpdateId":1,"bids":[],"asks":[]}', FrameError.FIELD),
    ],
)
def test_wrong_content_is_an_error_without_rows(text: bytes, error: FrameError) -> None:
    decoded = decode(text, DEPTH)
    assert FrameError(decoded.messages["error"][0]) is error
    assert decoded.messages["begin"][1] == 0
    assert decoded.messages["error"][1] == FrameError.NONE
    assert len(decoded.events) == 3


@pytest.mark.parametrize("wrong", [b"\0", b'{"a\0b":1}', b"{}\0", b"\0{}", DEPTH[:120] + b"\0"])
def test_frame_with_a_nul_leaves_the_others_of_its_batch_alone(wrong: bytes) -> None:
    decoded = decode(DEPTH, wrong, DEPTH, wrong)
    errors = decoded.messages["error"].tolist()
    assert errors[0] == errors[2] == FrameError.NONE
    assert FrameError.NONE not in errors[1::2]
    assert decoded.messages["begin"].tolist() == [0, 3, 3, 6]
    assert len(decoded.events) == 6


@pytest.mark.parametrize("rare", ['{"a":"\\n"}', '{"a":"Ä"}', '{"\\u00c4":[]}'])
def test_rare_text_in_one_frame_leaves_the_batch_as_it_is(rare: str) -> None:
    decoded = decode(DEPTH, rare.encode(), DEPTH)
    assert decoded.messages["error"].tolist() == [0, 0, 0]
    rows = as_rows(decoded.events)
    assert same(rows, 2 * as_rows(decode(DEPTH).events))


@pytest.mark.parametrize("count", [1, 5, 40, 1000])
def test_shortest_levels_and_frames_find_room(count: int) -> None:
    bids = depth(b=[[str(n % 10), "0"] for n in range(count)], a=[])
    empty = b'{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":1,"b":[],"a":[]}'
    made = b'{"lastUpdateId":7,"s":"BTCUSDT","bids":[["1","1"]],"asks":[["2","1"]]}'
    batch = [bids, *[empty] * count, bids, *[made] * count]
    decoded = FrameDecoder([INSTRUMENT]).decode(batch, [NOW] * len(batch))
    assert not decoded.messages["error"].any()
    expected = [row for frame in batch for row in reference_rows(frame, INSTRUMENT, NOW)]
    assert same(as_rows(decoded.events), expected)


def test_rows_have_no_byte_unset() -> None:
    raw = decode(DEPTH).events.view(np.uint8).reshape(-1, EVENT.itemsize)
    assert not raw[:, EVENT.fields["flags"][1] + 1 :].any()


def test_torn_frame_is_attributed_as_far_as_it_went() -> None:
    by_symbol, by_stream, by_nothing = decode(DEPTH[:120], DEPTH[:45], DEPTH[:20]).messages
    assert by_symbol["instrument"] == by_stream["instrument"] == 0
    assert by_nothing["instrument"] == -1


def test_depth_header_holds_the_ids_of_the_wire() -> None:
    message = decode(DEPTH).messages[0]
    assert (message["first_id"], message["last_id"], message["previous_id"]) == (10, 12, 9)
    assert (message["levels"], message["ts_event"]) == (3, 5_000_000)


def test_depth_without_levels_still_moves_the_sequence() -> None:
    decoded = decode(depth(b=[], a=[]))
    assert decoded.messages["levels"][0] == 0
    assert as_rows(decoded.events)[0][:5] == (Kind.DEPTH, Side.BID, 0, 0.0, 12)


def test_nameless_snapshot_takes_the_hint_and_a_stream_names_its_own() -> None:
    bare = b'{"lastUpdateId":7,"bids":[["100","1"]],"asks":[]}'
    wrapped = b'{"stream":"ethusdt@depthSnapshot","data":' + bare + b"}"
    decoded = decode(bare, wrapped, hints=[0, -1])
    assert decoded.messages["instrument"].tolist() == [0, 1]
    assert decoded.messages["kind"].tolist() == [MessageKind.SNAPSHOT] * 2
    assert decoded.events["price_tick"][[1, 4]].tolist() == [200, 10_000]


def test_hint_that_contradicts_the_symbol_is_an_error() -> None:
    assert decode(DEPTH, hints=[1]).messages["error"][0] == FrameError.SYMBOL


@pytest.mark.parametrize("stream", ["btcusdt@depth20@100ms", "btcusdt@depth5"])
def test_partial_books_are_not_taken_for_changes_or_snapshots(stream: str) -> None:
    spot = {"lastUpdateId": 7, "bids": [], "asks": []}
    for data in (orjson.loads(DEPTH)["data"], spot):
        decoded = decode(orjson.dumps({"stream": stream, "data": data}))
        assert decoded.messages["kind"][0] == MessageKind.OTHER
        assert len(decoded.events) == 0


def test_lists_of_levels_where_none_belong_make_no_rows() -> None:
    lists = b'"b":[["1","1"]],"a":[["2","2"]]'
    for text in (
        DEPTH.replace(b'{"stream"', b'{"s":"BTCUSDT",' + lists + b',"stream"'),
        DEPTH[:-1] + b',"s":"BTCUSDT",' + lists + b"}",
    ):
        assert same(as_rows(decode(text).events), as_rows(decode(DEPTH).events))
    trade = b'{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","m":true,"T":1,' + lists + b"}"
    assert decode(trade).events["kind"].tolist() == [Kind.TRADE]
    assert len(decode(b'{"s":"BTCUSDT",' + lists + b"}").events) == 0


def test_escaped_keys_and_values_are_read_as_what_they_mean() -> None:
    text = DEPTH.replace(b'"e"', b'"\\u0065"').replace(b"BTCUSDT", b"BTC\\u0055SDT")
    assert same(as_rows(decode(text).events), as_rows(decode(DEPTH).events))


def test_symbols_beyond_ascii_are_found() -> None:
    name = "币安人生USDT"
    instrument = Instrument(
        symbol="X-USDT-PERP", exchange="binance", venue_symbol=name,
        tick_size=Decimal("0.5"), lot_size=Decimal(1),
    )  # fmt: skip
    raw = DEPTH.replace(b"BTCUSDT", name.encode())
    escaped = DEPTH.replace(b"BTCUSDT", name.encode("unicode_escape"))
    decoded = FrameDecoder([instrument]).decode([raw, escaped], [NOW, NOW])
    assert decoded.messages["instrument"].tolist() == [0, 0]


@given(st.integers(0, 10**18 - 1), st.integers(0, 18))
@settings(max_examples=500, deadline=None)
@example(9007199254740993, 1)
@example(999999999999999999, 18)
@example(900719925474099250, 2)
def test_quantities_are_the_nearest_float(mantissa: int, decimals: int) -> None:
    text = f"{mantissa:0{decimals + 1}d}"
    if decimals:
        text = f"{text[:-decimals]}.{text[-decimals:]}"
    events = decode(depth(b=[["100", text]], a=[])).events
    assert events["value"][0] == float(text)


def test_many_symbols_are_told_apart() -> None:
    names = [f"{letter}{number}USDT" for letter in "ABCDEFG" for number in range(60)]
    instruments = [
        Instrument(symbol=f"{name}-USDT-SPOT", exchange="binance", venue_symbol=name,
                   tick_size=Decimal("0.1"), lot_size=Decimal(1), kind=InstrumentKind.SPOT)
        for name in names
    ]  # fmt: skip
    batch = [depth(s=name) for name in names]
    decoded = FrameDecoder(instruments).decode(batch, [NOW] * len(names))
    assert decoded.messages["instrument"].tolist() == list(range(len(names)))


def test_one_venue_symbol_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="BTCUSDT twice"):
        FrameDecoder([INSTRUMENT, INSTRUMENT])


def test_kernel_numbers_are_those_of_the_events() -> None:
    for name in ("SNAPSHOT_BEGIN", "DEPTH", "SNAPSHOT_END", "TRADE", "BOOK_TICKER", "MARK_PRICE",
                 "INDEX_PRICE", "FUNDING_RATE", "OPEN_INTEREST", "LIQUIDATION"):  # fmt: skip
        assert getattr(layout, f"EVENT_{name}") == Kind[name]
    assert (layout.BID, layout.ASK) == (Side.BID, Side.ASK)
    assert (layout.FLAG_LAST, layout.FLAG_OFF_MARKET) == (Flag.LAST, Flag.OFF_MARKET)


def test_published_messages_of_binance_futures_decode(data_dir: Path) -> None:
    lines = (data_dir / "feeds" / "tardis" / "binance-futures.jsonl").read_bytes().splitlines()
    messages = [orjson.dumps(orjson.loads(line)["message"]) for line in lines]
    instruments = [
        Instrument(symbol="X-USDT-PERP", exchange="binance", venue_symbol=name,
                   tick_size=Decimal("0.01"), lot_size=Decimal("0.001"))
        for name in ("BTCUSDT", "ETHUSDT", "BTCBUSD_210129")
    ]  # fmt: skip
    decoded = FrameDecoder(instruments).decode(messages, [NOW] * len(messages))
    # The first line is of 2019, when aggregated trades had no id yet.
    assert decoded.messages["error"].tolist() == [FrameError.FIELD, *[0] * (len(lines) - 1)]
    kinds = decoded.events["kind"]
    forced = decoded.events[kinds == Kind.LIQUIDATION]
    assert forced["side"].tolist() == [Side.BID]
    assert forced["value"].tolist() == [0.014]
    assert np.count_nonzero(decoded.events["flags"] & Flag.OFF_MARKET) == 1
    assert np.count_nonzero(kinds == Kind.FUNDING_RATE) == 2  # the dated contract has none
    assert np.count_nonzero(kinds == Kind.OPEN_INTEREST) == 1
    assert not math.isnan(decoded.events["value"][kinds == Kind.MARK_PRICE].sum())
