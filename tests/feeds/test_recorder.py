"""Recorded books equal ccxt's own, fed with the same messages."""

import asyncio
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import ccxt.pro
import numpy as np
import orjson
import pyarrow
import pytest
from ccxt.async_support.base.ws.client import Client
from ccxt.async_support.base.ws.order_book import (
    CountedOrderBook,
    IndexedOrderBook,
    OrderBook,
)
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.book import L2Book
from alphaplus.errors import ConfigError
from alphaplus.events import EventArray, FeedStatus, Flag, Kind, Side
from alphaplus.feeds.markets import instruments_from_markets
from alphaplus.feeds.pacing import Backoff
from alphaplus.feeds.recorder import BookRecorder, keep_watching, recording_exchange
from alphaplus.instruments import Instrument
from tests.oracles import DictBook

INSTRUMENT = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="okx",
    venue_symbol="BTC-USDT-SWAP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
)
NAME = INSTRUMENT.ccxt_symbol


class Sink:
    """Books that follow the batches, and the batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, EventArray]] = []
        self.books: dict[str, L2Book] = {}
        self.oracles: dict[str, DictBook] = {}

    def on_events(self, instrument: Instrument, events: EventArray) -> None:
        name = instrument.ccxt_symbol
        self.batches.append((name, events))
        self.books.setdefault(name, L2Book(instrument)).apply(events)
        self.oracles.setdefault(name, DictBook(instrument)).apply(events)

    def kinds(self) -> list[Kind]:
        return [Kind(kind) for _, events in self.batches for kind in events["kind"]]

    def statuses(self) -> list[FeedStatus]:
        rows = [row for _, events in self.batches for row in events if row["kind"] == Kind.STATUS]
        return [FeedStatus(int(row["value"])) for row in rows]


def levels(book: L2Book, side: Side) -> list[tuple[float, float]]:
    ticks, quantities = book.levels(side)
    return [
        (book.instrument.price(int(tick)), float(quantity))
        for tick, quantity in zip(ticks, quantities, strict=True)
    ]


def ccxt_levels(book: Any, side: str) -> list[tuple[float, float]]:
    sums: dict[float, float] = {}
    for row in book[side]:
        sums[row[0]] = sums.get(row[0], 0.0) + row[1]
    return list(sums.items())


def assert_equal(book: L2Book, theirs: Any) -> None:
    assert levels(book, Side.BID) == ccxt_levels(theirs, "bids")
    assert levels(book, Side.ASK) == ccxt_levels(theirs, "asks")


def stub_client(exchange: Any, url: str) -> Client:
    """A client whose socket was never opened: it only keeps what handlers look up."""
    quiet = [exchange.handle_message, exchange.on_error, exchange.on_close, exchange.on_connected]
    return Client(url, *quiet, {})


# --- recordings -----------------------------------------------------------------------------


def recording(data_dir: Path, name: str) -> Iterator[dict[str, Any]]:
    path = str(data_dir / "feeds" / "cryptofeed" / f"{name}.jsonl.zst")
    with pyarrow.input_stream(path, compression="zstd") as stream:
        yield from map(orjson.loads, stream.read().splitlines())


def listed(exchange: Any, name: str, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let ccxt parse the market lists that the recording holds."""
    markets = []
    for line in lines:
        if line["t"] != "http" or "instruments" not in line["url"]:
            continue
        answer = orjson.loads(line["data"])
        if name == "bybit":
            kind = re.search(r"category=(\w+)", line["url"])
            assert kind is not None
            # the two parsers of ccxt fetch by themselves; they are fed what was fetched then
            markets += _bybit_markets(exchange, kind.group(1), answer["result"]["list"])
        elif "OPTION" not in line["url"]:
            markets += exchange.parse_markets(answer["data"])
    return list({market["symbol"]: market for market in markets}.values())


def _bybit_markets(exchange: Any, kind: str, entries: list[Any]) -> list[dict[str, Any]]:
    markets = []
    for entry in entries:
        base, quote = entry["baseCoin"], entry["quoteCoin"]
        if entry["symbol"] != base + quote:
            continue  # dated futures and coins with odd names; none was recorded
        contract = kind == "linear"
        price, lot = entry["priceFilter"], entry["lotSizeFilter"]
        markets.append(
            exchange.safe_market_structure(
                {
                    "id": entry["symbol"],
                    "symbol": f"{base}/{quote}:{quote}" if contract else f"{base}/{quote}",
                    "base": base,
                    "quote": quote,
                    "settle": quote if contract else None,
                    "type": "swap" if contract else "spot",
                    "spot": not contract,
                    "swap": contract,
                    "future": False,
                    "option": False,
                    "contract": contract,
                    "linear": contract or None,
                    "inverse": False if contract else None,
                    "contractSize": 1.0 if contract else None,
                    "active": True,
                    "precision": {
                        "price": float(price["tickSize"]),
                        "amount": float(lot.get("qtyStep") or lot["basePrecision"]),
                    },
                }
            )
        )
    return markets


@pytest.mark.parametrize(
    ("name", "topic", "books", "messages"),
    [("bybit", b'"topic":"orderbook.', 6, 2148), ("okx", b'"channel":"books"', 3, 290)],
)
async def test_recording_gives_the_book_that_ccxt_keeps(
    data_dir: Path, name: str, topic: bytes, books: int, messages: int
) -> None:
    lines = list(recording(data_dir, name.upper()))
    sink = Sink()
    recorder = BookRecorder([], sink.on_events)
    ours, theirs = recording_exchange(name, recorder), getattr(ccxt.pro, name)()
    markets = listed(theirs, name, lines)
    recorder.add(instruments_from_markets(markets, name).values())
    clients: dict[str, tuple[Client, Client]] = {}
    for exchange in (ours, theirs):
        exchange.set_markets(markets)
    for line in lines:
        if line["t"] == "connect":
            clients[line["conn"]] = (
                stub_client(ours, line["addr"]),
                stub_client(theirs, line["addr"]),
            )
        if line["t"] != "recv" or topic not in line["data"].encode():
            continue
        mine, other = clients[line["conn"]]
        for client, exchange in ((mine, ours), (other, theirs)):
            frame = orjson.loads(line["data"])
            if name == "okx" and "data" in frame:
                arg = frame["arg"]
                symbol = exchange.safe_market(arg["instId"])["symbol"]
                client.subscriptions[f"{arg['channel']}:{symbol}"] = True
            exchange.handle_message(client, frame)
    assert len(sink.books) == len(theirs.orderbooks) == books
    for symbol, book in theirs.orderbooks.items():
        assert len(book["bids"]) > 50
        assert_equal(sink.books[symbol], book)
        assert_equal(sink.books[symbol], ours.orderbooks[symbol])
        assert sink.books[symbol].state_hash() == sink.oracles[symbol].state_hash()
    counters = recorder.counters
    assert counters.messages == messages
    assert counters.snapshots == books
    assert counters.level_updates > messages
    assert (counters.resyncs, counters.off_tick, counters.unknown_books) == (0, 0, 0)
    await ours.close()
    await theirs.close()


# --- OKX frames made here: the current API with its sequence numbers ------------------------------


def okx_market() -> dict[str, Any]:
    return {
        "id": "BTC-USDT-SWAP",
        "symbol": NAME,
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "type": "swap",
        "spot": False,
        "swap": True,
        "contract": True,
        "linear": True,
        "inverse": False,
        "active": True,
        "contractSize": 0.01,
        "precision": {"price": 0.1, "amount": 1.0},
    }


def okx_frame(
    action: str, bids: list[list[str]], asks: list[list[str]], sequence: int, previous: int
) -> dict[str, Any]:
    data = {"bids": bids, "asks": asks, "ts": "5", "seqId": sequence, "prevSeqId": previous}
    return {
        "arg": {"channel": "books", "instId": "BTC-USDT-SWAP"},
        "action": action,
        "data": [data],
    }


class Okx:
    """A recorded OKX client without a socket."""

    def __init__(self, instruments: tuple[Instrument, ...] = (INSTRUMENT,)) -> None:
        self.sink = Sink()
        self.recorder = BookRecorder(instruments, self.sink.on_events, clock=lambda: 77)
        self.exchange = recording_exchange("okx", self.recorder)
        self.exchange.set_markets([okx_market()])
        self.client = stub_client(self.exchange, "wss://okx.invalid")

    def feed(self, action: str, bids: Any, asks: Any, sequence: int, previous: int) -> None:
        self.client.subscriptions[f"books:{NAME}"] = True
        frame = okx_frame(action, bids, asks, sequence, previous)
        self.exchange.handle_message(self.client, frame)


async def test_batches_have_the_shape_of_events() -> None:
    okx = Okx()
    okx.feed("snapshot", [["100.1", "2", "0", "1"]], [["100.3", "3", "0", "1"]], 10, -1)
    okx.feed("update", [["100.1", "0", "0", "0"], ["100.0", "4", "0", "1"]], [], 11, 10)
    (_, snapshot), (_, update) = okx.sink.batches
    assert [Kind(kind) for kind in snapshot["kind"]] == [
        Kind.SNAPSHOT_BEGIN,
        Kind.DEPTH,
        Kind.DEPTH,
        Kind.SNAPSHOT_END,
        Kind.STATUS,
    ]
    assert list(snapshot["flags"][:4]) == [0, 0, 0, Flag.LAST]
    assert list(update["flags"]) == [0, Flag.LAST]
    assert list(update["side"]) == [Side.BID, Side.BID]
    assert list(update["price_tick"]) == [1001, 1000]
    assert list(update["value"]) == [0.0, 4.0]
    assert set(update["sequence"]) == {11}
    assert set(update["ts_event"]) == {5_000_000}
    assert set(update["ts_recv"]) == {77}
    assert okx.sink.statuses() == [FeedStatus.SYNCED]
    await okx.exchange.close()


async def test_gap_is_told_and_the_next_snapshot_repairs_it() -> None:
    okx = Okx()
    okx.feed("snapshot", [["100.1", "2", "0", "1"]], [["100.3", "3", "0", "1"]], 10, -1)
    before = okx.sink.books[NAME].state_hash()
    okx.feed("update", [["99.0", "7", "0", "1"]], [], 13, 12)
    assert okx.sink.statuses() == [FeedStatus.SYNCED, FeedStatus.RESYNC]
    assert okx.sink.books[NAME].state_hash() == before  # what came after the gap is not believed
    assert okx.recorder.counters.resyncs == 1
    okx.feed("update", [["98.0", "7", "0", "1"]], [], 14, 13)
    assert len(okx.sink.batches) == 2
    okx.feed("snapshot", [["100.2", "1", "0", "1"]], [["100.4", "1", "0", "1"]], 20, -1)
    assert okx.sink.statuses()[-1] is FeedStatus.SYNCED
    assert_equal(okx.sink.books[NAME], okx.exchange.orderbooks[NAME])
    assert levels(okx.sink.books[NAME], Side.BID) == [(100.2, 1.0)]
    await okx.exchange.close()


async def test_second_snapshot_replaces_the_first_without_a_resync() -> None:
    okx = Okx()
    okx.feed("snapshot", [["100.1", "2", "0", "1"]], [["100.3", "3", "0", "1"]], 10, -1)
    okx.feed("snapshot", [["90.1", "2", "0", "1"]], [["90.3", "3", "0", "1"]], 20, -1)
    assert okx.sink.statuses() == [FeedStatus.SYNCED, FeedStatus.SYNCED]
    assert levels(okx.sink.books[NAME], Side.BID) == [(90.1, 2.0)]
    assert okx.recorder.counters.resyncs == 0
    await okx.exchange.close()


async def test_price_off_the_tick_is_counted_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    okx = Okx()
    okx.feed("snapshot", [["100.15", "2", "0", "1"]], [["100.3", "3", "0", "1"]], 10, -1)
    assert okx.recorder.counters.off_tick == 1
    assert levels(okx.sink.books[NAME], Side.BID) == []
    assert "off the tick 0.1, such as 100.15" in caplog.text
    await okx.exchange.close()


async def test_symbol_without_instrument_is_counted() -> None:
    okx = Okx(instruments=())
    okx.feed("snapshot", [["100.1", "2", "0", "1"]], [], 10, -1)
    assert okx.sink.batches == []
    assert okx.recorder.counters.unknown_books == 1
    await okx.exchange.close()


# --- books ----------------------------------------------------------------------------------


def filed(kind: str, depth: int | None = None) -> tuple[Any, Sink, BookRecorder, Any]:
    """An empty recorded book of a kind, under our instrument's symbol."""
    sink = Sink()
    recorder = BookRecorder([INSTRUMENT], sink.on_events)
    exchange = recording_exchange("okx", recorder)
    book = getattr(exchange, kind)({}, depth)
    exchange.orderbooks[NAME] = book
    return book, sink, recorder, exchange


PRICES = st.integers(1, 12).map(lambda tick: INSTRUMENT.price(1000 + tick))
SIZES = st.sampled_from([0.0, 0.5, 1.0, 3.0])
ROWS = {
    "order_book": st.tuples(PRICES, SIZES),
    "counted_order_book": st.tuples(PRICES, SIZES, st.integers(0, 2)),
    "indexed_order_book": st.tuples(PRICES, SIZES, st.integers(0, 6)),
}
THEIRS: dict[str, type] = {
    "order_book": OrderBook,
    "counted_order_book": CountedOrderBook,
    "indexed_order_book": IndexedOrderBook,
}


@pytest.mark.parametrize("kind", list(ROWS))
@given(data=st.data())
def test_any_changes_leave_the_book_that_ccxt_keeps(kind: str, data: st.DataObject) -> None:
    depth = data.draw(st.sampled_from([None, 3]))
    ours, sink, recorder, _ = filed(kind, depth)
    theirs = THEIRS[kind]({}, depth)
    sides = st.sampled_from(["asks", "bids"])
    steps = data.draw(
        st.lists(
            st.one_of(
                st.lists(st.tuples(sides, ROWS[kind]), min_size=1, max_size=6),
                st.sampled_from(["limit", "copy"]),
            ),
            min_size=1,
            max_size=12,
        )
    )

    def change(step: Any) -> None:
        for book in (ours, theirs):
            if step == "limit":
                book.limit()
            elif step == "copy":
                twin = book.copy()
                assert twin["bids"] == list(book["bids"])
                twin["bids"].clear()
            else:
                for side, row in step:
                    book[side].storeArray(list(row))

    for step in steps:
        recorder.message(partial(change, step))
        assert [list(ours[side]) for side in ("asks", "bids")] == [
            list(theirs[side]) for side in ("asks", "bids")
        ]
        if sink.books:
            assert levels(sink.books[NAME], Side.BID) == ccxt_levels(theirs, "bids")
            assert levels(sink.books[NAME], Side.ASK) == ccxt_levels(theirs, "asks")


def test_reset_replaces_the_book_and_keeps_its_stamps() -> None:
    book, sink, recorder, _ = filed("order_book")
    snapshot = {"bids": [[100.0, 1.0]], "asks": [[101.0, 2.0]], "nonce": 5, "timestamp": 9}

    def sync() -> None:
        book["bids"].store(50.0, 1.0)
        book.reset(snapshot)
        book["bids"].store(99.9, 4.0)
        book["nonce"] = 6

    recorder.message(sync)
    assert book["nonce"] == 6
    assert book["timestamp"] == 9
    assert book.cache == []
    assert sink.kinds() == [
        Kind.SNAPSHOT_BEGIN,
        Kind.DEPTH,
        Kind.DEPTH,
        Kind.SNAPSHOT_END,
        Kind.DEPTH,
        Kind.STATUS,
    ]
    assert levels(sink.books[NAME], Side.BID) == [(100.0, 1.0), (99.9, 4.0)]
    recorder.message(partial(book.reset, {"bids": [], "asks": [], "nonce": 7}))
    assert levels(sink.books[NAME], Side.BID) == []
    assert sink.books[NAME].is_valid


def test_venue_without_update_ids_gets_a_count() -> None:
    book, sink, recorder, _ = filed("order_book")
    for size in (1.0, 2.0, 3.0):
        recorder.message(partial(book["bids"].store, 100.0, size))
    assert [int(events["sequence"][0]) for _, events in sink.batches] == [1, 2, 3]
    assert all(np.array_equal(e["ts_event"], e["ts_recv"]) for _, e in sink.batches)


async def test_snapshot_outside_of_a_message_is_sent_soon() -> None:
    book, sink, _, _ = filed("order_book")
    book.reset({"bids": [[100.0, 1.0]], "asks": [], "nonce": 5})
    assert sink.batches == []
    await asyncio.sleep(0)
    assert levels(sink.books[NAME], Side.BID) == [(100.0, 1.0)]


def test_book_replaced_by_an_empty_one_is_a_resync() -> None:
    book, sink, recorder, exchange = filed("order_book")
    recorder.message(partial(book["bids"].store, 100.0, 1.0))

    def start_again() -> None:
        exchange.orderbooks[NAME] = exchange.order_book({}, None)

    recorder.message(start_again)
    assert sink.statuses() == [FeedStatus.SYNCED, FeedStatus.RESYNC]
    book["bids"].store(1.0, 1.0)  # nobody's book any more
    fresh = {"bids": [[90.0, 1.0]], "asks": []}
    recorder.message(partial(exchange.orderbooks[NAME].reset, fresh))
    assert sink.statuses()[-1] is FeedStatus.SYNCED
    assert levels(sink.books[NAME], Side.BID) == [(90.0, 1.0)]


def test_unknown_exchange_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected a ccxt\.pro exchange, was 'okex9'"):
        recording_exchange("okex9", BookRecorder([], Sink().on_events))


async def test_lost_connection_is_told_once_and_watched_again() -> None:
    class Venue:
        def __init__(self) -> None:
            self.calls = 0
            self.back = asyncio.Event()

        async def watch_order_book(self, symbol: str) -> None:
            self.calls += 1
            if self.calls in {2, 3}:
                raise ccxt.NetworkError("gone")
            if self.calls > 4:
                self.back.set()
                await asyncio.Event().wait()

    sink, venue = Sink(), Venue()
    recorder = BookRecorder([INSTRUMENT], sink.on_events)
    watching = asyncio.create_task(
        keep_watching(venue, recorder, [NAME], Backoff(first_s=0.01, cap_s=0.01))
    )
    await venue.back.wait()
    assert sink.statuses() == [FeedStatus.DISCONNECTED]
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
