"""Frames that are nearly right, through the decoder and its twin, and on into two books.

What is accepted must be what the text says; what is no frame must be counted as one.
"""

import copy
import json
import math
import re
from typing import Any

from alphaplus.book import L2Book
from alphaplus.events import EventArray
from alphaplus.feeds.binance import FrameDecoder, FrameError, MessageKind
from tests.book.twins import BoundedDictBook
from tests.feeds import reference
from tests.feeds.frames import INSTRUMENT, SPOT
from tests.fuzz.book import assert_equal
from tests.fuzz.choices import Choices

INSTRUMENTS = (INSTRUMENT, SPOT)
DECODER = FrameDecoder(INSTRUMENTS)
NOW = 1_700_000_000_000_000_000
EVENTS = ("depthUpdate", "bookTicker", "trade", "aggTrade", "markPriceUpdate", "forceOrder")
COMPARED = (
    MessageKind.DEPTH, MessageKind.SNAPSHOT, MessageKind.BOOK_TICKER, MessageKind.TRADE,
)  # fmt: skip

SEEDS = (
    b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161254123,"T":1723161254120,'
    b'"s":"BTCUSDT","U":10,"u":12,"pu":9,"b":[["61800.00","2.909"],["61799.50","0.000"]],'
    b'"a":[["61800.50","1.072"],["621368.50","0.014"]]}}',
    b'{"e":"depthUpdate","E":1723161254124,"s":"ETHUSDT","U":4,"u":4,"b":[],"a":[["2500.01","3"]]}',
    b'{"lastUpdateId":8,"E":1723161254000,"T":1723161253999,"symbol":"BTCUSDT",'
    b'"bids":[["61800.00","1.5"],["61799.00","12.125"]],"asks":[["61800.50","0.25"]]}',
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":12,"s":"BTCUSDT","b":"61800.0",'
    b'"B":"2.909","a":"61800.5","A":"1.072","T":1723161254120,"E":1723161254123}}',
    b'{"u":400900217,"s":"ETHUSDT","b":"2500.01","B":"31.21","a":"2500.02","A":"40.66"}',
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161254123,"T":1723161254120,'
    b'"s":"BTCUSDT","t":77,"p":"61800.50","q":"0.003","X":"MARKET","m":false}}',
    b'{"e":"aggTrade","E":1723161254123,"s":"ETHUSDT","a":26129,"p":"0.01","q":"4.70443515",'
    b'"f":27781,"l":27781,"T":1723161254120,"m":true,"M":true}',
    b'{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000",'
    b'"i":"11784.62659091","P":"11784.25641265","r":"-0.00038167","T":1562306400000}',
    b'{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC",'
    b'"q":"0.014","p":"9910.0","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}',
    b'{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}',
    b'{"result":null,"id":1}',
)
TOKENS = (
    b'"', b",", b":", b"[", b"]", b"{", b"}", b"[[", b"]]", b".", b"-", b"0", b"9", b"1e5", b" ",
    b"\\", b"\\u0041", b"\0", b"\xff", "é".encode(), b"null", b"true", b"NaN", b'"b":', b'"a":',
    b'"u":', b'"data":', b'"stream":', b'"s":"ETHUSDT"', b'["1","0"],', b"999999999999999999999",
    b"0.0000000000000000000001", b'"lastUpdateId":1,', b'"e":"trade",', b"\n", b"\t",
)  # fmt: skip


VALUES = (
    0, 1, -1, 12, 2**53, 10**18, 10**19, 1.5, 1e300, None, True, "", "0", "1", "-1", "1.5", "1e5",
    "61800.25", "0.005", "nan", "1" * 18, "1" * 19, "0." + "3" * 19, "00.10", ".5", "5.", " 1",
    "MARKET", "BTCUSDT", "ETHUSDT", "btcusdt", "XRPUSDT", "btcusdt@depth20@100ms", "depthUpdate",
    "bookTicker", "é", "\n", [], [[]], [["1", "2"]], [["1", "2", "3"], ["2.5", "0"]], [["1"]],
    [[1, 2]], {}, {"s": 1},
)  # fmt: skip
KEYS = ("b", "a", "B", "A", "s", "symbol", "e", "u", "U", "bids", "asks", "lastUpdateId", "o", "x")


def frame_of(choices: Choices) -> bytes:
    """A frame as the venue sends it, with other content, or with other text."""
    return content_of(choices) if choices.integer(0, 1) else text_of_frame(choices)


def content_of(choices: Choices) -> bytes:
    """Valid JSON whose fields are missing, strange, moved or of another message."""
    whole = json.loads(choices.pick(SEEDS))
    for _ in range(choices.integer(0, 3)):
        body = body_of(whole)
        parent = whole if choices.integer(0, 9) == 0 else body
        if isinstance(parent.get("o"), dict) and choices.integer(0, 1):
            parent = parent["o"]
        key = choices.pick([*parent, *KEYS])
        action = choices.integer(0, 5)
        if action == 0:
            parent.pop(key, None)
        elif action == 1:
            parent |= body_of(json.loads(choices.pick(SEEDS)))
        elif action == 2 and parent.get(key):  # to the end
            parent[key] = parent.pop(key)
        elif action == 3 and isinstance(parent.get(key), list) and parent[key]:
            level = choices.pick(parent[key])
            if isinstance(level, list) and level:
                level[choices.integer(0, len(level) - 1)] = copy.deepcopy(choices.pick(VALUES))
        else:
            parent[key] = copy.deepcopy(choices.pick(VALUES))
    spaces = choices.pick([(",", ":"), (", ", ": ")])
    return json.dumps(whole, separators=spaces, ensure_ascii=bool(choices.integer(0, 1))).encode()


def text_of_frame(choices: Choices) -> bytes:
    """A frame as the venue sends it, then torn, spliced with another one, or written over."""
    text = choices.pick(SEEDS)
    for _ in range(choices.integer(0, 4)):
        action = choices.integer(0, 5)
        at = choices.integer(0, len(text))
        if action == 0:
            text = text[:at]
        elif action == 1:
            other = choices.pick(SEEDS)
            text = text[:at] + other[choices.integer(0, len(other)) :]
        elif action == 2:
            text = text[:at] + choices.pick(TOKENS) + text[at:]
        elif action == 3:
            token = choices.pick(TOKENS)
            text = text[:at] + token + text[at + len(token) :]
        elif action == 4:
            size = choices.integer(1, 12)
            text = text[:at] + text[at + size :]
        else:
            raw = choices.bytes(choices.integer(1, 3))
            text = text[:at] + raw + text[at + len(raw) :]
    return text


def check_decoder(data: bytes) -> None:
    """Decode what the bytes say; raise AssertionError where a frame is misread or lost."""
    choices = Choices(data)
    frames = [data] if choices.integer(0, 15) == 15 else [frame_of(choices)]
    while choices.left > 0 and len(frames) < 6:
        frames.append(frame_of(choices))
    decoded = DECODER.decode(frames, [NOW] * len(frames))
    books = [(L2Book(made), BoundedDictBook(made)) for made in INSTRUMENTS]
    end = 0
    for frame, message in zip(frames, decoded.messages, strict=True):
        assert message["begin"] == end <= message["end"]
        end = int(message["end"])
        rows = decoded.events[message["begin"] : end]
        error = FrameError(message["error"])
        check_frame(frame, error, MessageKind(message["kind"]), rows, int(message["instrument"]))
        if len(rows):
            book, twin = books[message["instrument"]]
            book.apply(rows)
            twin.apply(rows)
    assert end == len(decoded.events)
    for book, twin in books:
        assert book.rejected == twin.rejected == 0
        assert_equal(book, twin)


def check_frame(
    frame: bytes, error: FrameError, kind: MessageKind, rows: EventArray, instrument: int
) -> None:
    """Hold the verdict on one frame, and its rows, against plain code."""
    if error is not FrameError.NONE:
        assert len(rows) == 0, frame
        return
    try:  # by the grammar: a number that no float64 holds is still JSON
        whole = json.loads(frame.decode(), parse_constant=not_json)
    except ValueError:
        raise AssertionError(f"accepted, but no JSON: {frame!r}") from None
    body = body_of(whole)
    if kind is MessageKind.OTHER:
        assert len(rows) == 0, frame
        streams = whole.get("stream") if isinstance(whole, dict) else None
        partial = isinstance(streams, str) and re.match(r"[^@]*@depth[0-9]", streams)
        assert partial or body.get("e") not in EVENTS, frame
        return
    assert len(rows) > 0, frame
    assert instrument in symbols_of(whole, body), frame
    assert (rows["flags"] & 1).tolist() == [0] * (len(rows) - 1) + [1], frame
    values = rows["value"][~without_value(rows)]
    assert all(math.isfinite(value) for value in values.tolist()), frame
    if kind in COMPARED:
        if kind is not MessageKind.SNAPSHOT:
            body.pop(
                "lastUpdateId", None
            )  # the twin takes it for a snapshot, whatever else is there
        expected = sorted(reference._rows(body, INSTRUMENTS[instrument]), key=order)
        names = ("kind", "side", "price_tick", "value", "sequence")
        found = sorted((tuple(row[name].item() for name in names) for row in rows), key=order)
        assert list(map(text_of, found)) == [text_of(row[:5]) for row in expected], frame


def not_json(name: str) -> None:
    """Refuse what only Python takes for JSON: NaN and Infinity."""
    raise ValueError(name)


def body_of(whole: Any) -> dict[str, Any]:
    """Return the object that carries the message."""
    if not isinstance(whole, dict):
        return {}
    inner = whole.get("data")
    return inner if isinstance(inner, dict) else whole


def symbols_of(whole: Any, body: dict[str, Any]) -> set[int]:
    """Return the index of the one instrument that a frame names, its stream only if nothing else.

    A liquidation is what its order says.
    """
    order_of = body.get("o")
    inner = order_of if body.get("e") == "forceOrder" and isinstance(order_of, dict) else body
    names = {name for name in (inner.get("s"), inner.get("symbol")) if isinstance(name, str)}
    stream = whole.get("stream")
    if not names and isinstance(stream, str):
        names = {stream.partition("@")[0].upper()}
    return {i for i, made in enumerate(INSTRUMENTS) if names == {made.venue_symbol}}


def without_value(rows: EventArray) -> Any:
    """Say which rows have no value: only the two that enclose a snapshot."""
    nan = rows["value"] != rows["value"]
    assert set(rows["kind"][nan].tolist()) <= {1, 3}
    return nan


def order(row: tuple[Any, ...]) -> tuple[int, int]:
    """Sort by kind and side; rows of one side keep their order."""
    return int(row[0]), -int(row[1])


def text_of(row: tuple[Any, ...]) -> str:
    """Tell apart every float64, and equate nan with nan."""
    return repr([float(value) for value in row])
