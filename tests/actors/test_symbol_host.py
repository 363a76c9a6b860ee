"""Symbols that share a process: each is as if it were alone, and none notices its neighbours."""

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors import names, symbol_host
from actors.stream_plan import StreamPlan
from actors.symbol import Symbol, SymbolOptions
from actors.symbol_host import SymbolHost
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.analysis.registry import MeasureParameters
from alphaplus.errors import SymbolNotKept, UnknownSymbol
from alphaplus.events import EventArray, FeedStatus, Kind, Side, event, status_event
from alphaplus.instruments import Instrument
from alphaplus.streams import (
    Endpoint,
    EventSender,
    LatestReceiver,
    RowReceiver,
    StreamKeys,
    make_run_directory,
)
from tests.analysis.test_market import levels, snapshot
from tests.streams.helpers import until

NAME = "symbols:0"
A, B, C = "AAA-USDT-PERP", "BBB-USDT-PERP", "CCC-USDT-PERP"
OPTIONS = SymbolOptions(
    stale_after_ms=60_000,
    state_interval_ms=50,
    parameters=MeasureParameters(),
    deltas=True,
    snapshot_depth=5,
    snapshot_interval_ms=100,
    analysis_interval_ms=100,
    flush_ms=20,
    max_unacked_rows=1_000_000,
    max_unacked_mb=64,
    latest_rows=100,
    log_level="WARNING",
)


def instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        exchange="binance",
        venue_symbol=symbol.replace("-", ""),
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
    )


class Feed:
    """Sends one symbol's events, and applies them to a market that has no stream and no actor."""

    def __init__(self, symbol: str, endpoint: Endpoint, keys: StreamKeys | None) -> None:
        of = instrument(symbol)
        self.symbol = symbol
        self.twin = Market(of, Analyzer(of), stale_after_ms=60_000)
        self.sequence = 1
        self._random = random.Random(symbol)
        self._sender = EventSender(endpoint, name="feed:0", exchange="binance", keys=keys)

    def begin(self) -> None:
        """Send a first snapshot."""
        now = time.time_ns()
        self._send(np.concatenate((snapshot(now), status_event(FeedStatus.SYNCED, ts_recv=now))))

    def more(self, messages: int) -> None:
        """Send changes of the book, each a message of its own, and a trade with each."""
        for _ in range(messages):
            self.sequence += 1
            now, tick = time.time_ns(), self._random.randint(0, 12)
            side = self._random.choice((Side.BID, Side.ASK))
            price = 1000 - tick if side is Side.BID else 1001 + tick
            change = (side, price, self._random.choice((0.0, 1.0, 2.5)))
            trade = event(
                Kind.TRADE,
                ts_recv=now,
                sequence=self.sequence,
                side=side,
                price_tick=price,
                value=1.0,
            )
            self._send(np.concatenate((levels(change, at=now, sequence=self.sequence), trade)))

    def pump(self) -> bool:
        return self._sender.pump()

    def close(self) -> None:
        self._sender.close()

    def _send(self, events: EventArray) -> None:
        self.twin.apply(events)
        self._sender.send(events)


class Ends:
    """The board and the store, which acknowledges every row; both collect what comes, and where
    it comes from."""

    def __init__(self, streams: StreamPlan) -> None:
        self.board = LatestReceiver(streams.here())
        self.store = RowReceiver(streams.here())
        self.told: dict[str, set[str]] = {}
        self.loads: dict[str, bytes] = {}
        self.rows: Counter[str] = Counter()  # by symbol
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        self.board.close()
        self.store.close()

    def _collect(self) -> None:
        while not self._is_over.is_set():
            for value in self.board.recv(timeout_ms=5):
                self.told.setdefault(value.sender, set()).add(value.key)
                if value.key.startswith(names.LOADS):
                    self.loads[value.sender] = value.payload
            batches = self.store.recv(timeout_ms=5)
            for batch in batches:
                self.rows[batch.table.split()[-1]] += batch.count
            self.store.ack(*batches)


class World:
    """An actor with symbols, who sends to them, and to whom they send."""

    def __init__(self, streams: StreamPlan) -> None:
        self.streams = streams
        self.ends = Ends(streams)
        self.feeds: dict[str, Feed] = {}
        self.host = SymbolHost(NAME, OPTIONS, streams)

    def keep(self, *symbols: str) -> list[Endpoint]:
        """Have the actor keep symbols, started and with a snapshot on its way."""
        found = []
        for symbol in symbols:
            endpoint = self.host.keep(symbol, [instrument(symbol)])
            self.host.start(symbol, self.ends.board.endpoint, self.ends.store.endpoint)
            if symbol in self.feeds:
                self.feeds[symbol].close()
            self.feeds[symbol] = Feed(symbol, endpoint, self.streams.keys)
            self.feeds[symbol].begin()
            found.append(endpoint)
        return found

    def sequence(self, symbol: str) -> int:
        return int(self.host.ask(symbol, "book", None, 1)["sequence"] or 0)

    def until(self, condition: Callable[[], object]) -> None:
        until(condition, lambda: [feed.pump() for feed in self.feeds.values()])

    def until_taken_in(self) -> None:
        self.until(lambda: all(self.sequence(s) == f.sequence for s, f in self.feeds.items()))

    def assert_books_are_those_of_twins(self) -> None:
        self.until_taken_in()
        for symbol, feed in self.feeds.items():
            report = self.host.report(symbol)
            assert report["book_hash"] == {"binance": feed.twin.book.state_hash()}
            assert report["holes"] == 0
            state = report["states"][0][0]
            assert state["trades"] == feed.sequence - 1
            assert (state["gaps"], state["resyncs"]) == (0, 0)

    def close(self) -> None:
        for symbol, feed in self.feeds.items():
            self.host.leave(symbol)
            feed.close()
        self.ends.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    found = make_run_directory()
    yield found
    shutil.rmtree(found)


@pytest.fixture(params=["files", "ports", "both"])
def streams(request: pytest.FixtureRequest, folder: Path) -> StreamPlan:
    if request.param == "files":
        return StreamPlan(directory=folder)
    near = request.param == "both"
    return StreamPlan(keys=StreamKeys.generate(), host="127.0.0.1", has_near_way=near)


@pytest.fixture
def world(streams: StreamPlan, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(symbol_host, "LATENCIES_EVERY_NS", 50_000_000)
    made = World(streams)
    yield made
    made.close()


def test_each_has_the_book_that_it_had_alone(world: World) -> None:
    world.keep(A, B, C)
    rounds = random.Random(7)
    for _ in range(60):
        for feed in rounds.sample(list(world.feeds.values()), rounds.randint(1, 3)):
            feed.more(rounds.randint(1, 20))
        if rounds.random() < 0.3:
            time.sleep(0.002)  # so that some come alone and some together
    world.assert_books_are_those_of_twins()


def test_a_last_message_waits_for_no_next(world: World) -> None:
    """Rows become due all the time, and who sends them looks whether more is there."""
    world.keep(A, B)
    for _ in range(100):
        world.feeds[A].more(1)
        world.until_taken_in()
        world.feeds[B].more(2)
        world.feeds[A].more(1)
        world.until_taken_in()
    world.assert_books_are_those_of_twins()


def test_states_rows_and_loads_come_from_each_as_itself(world: World) -> None:
    world.keep(A, B)
    senders = {names.symbol_name(symbol): symbol for symbol in (A, B)}
    for feed in world.feeds.values():
        feed.more(50)
    world.until(lambda: world.ends.loads.keys() == senders.keys())
    world.until(lambda: all(world.ends.rows[symbol] > 100 for symbol in (A, B)))
    for sender, symbol in senders.items():
        state = f"{names.STATE}binance:{symbol}"
        assert state in world.ends.told[sender]
        assert all(symbol in key for key in world.ends.told[sender]), "nobody tells of another"
        assert f'"actor":"{NAME}"'.encode() in world.ends.loads[sender]


def test_rows_and_loads_leave_one_that_always_owes_something(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Symbol, "due", property(lambda _: 0))
    world.keep(A)
    world.feeds[A].more(20)
    world.until(lambda: world.ends.rows[A] > 40)
    world.until(lambda: names.symbol_name(A) in world.ends.loads)


def test_to_keep_what_is_kept_changes_nothing(world: World) -> None:
    (endpoint,) = world.keep(A)
    world.feeds[A].more(10)
    assert world.host.keep(A, [instrument(A)]) == endpoint
    world.host.start(A, world.ends.board.endpoint, world.ends.store.endpoint)
    world.feeds[A].more(10)
    world.assert_books_are_those_of_twins()


def test_one_that_left_comes_back_empty_and_its_neighbour_does_not_notice(world: World) -> None:
    (former, _) = world.keep(A, B)
    for feed in world.feeds.values():
        feed.more(20)
    world.until_taken_in()
    world.host.leave(A)
    world.host.leave(A)
    for ask in (
        lambda: world.host.ask(A, "summary"),
        lambda: world.host.report(A),
        lambda: world.host.drain(A, 1.0),
        lambda: world.host.start(A, former, None),
    ):
        with pytest.raises(SymbolNotKept, match=f"{NAME} does not keep {A}"):
            ask()
    world.feeds[B].more(20)
    world.until(lambda: world.sequence(B) == world.feeds[B].sequence)
    assert world.host.keep(A, [instrument(A)]) != former
    of = instrument(A)
    empty = Market(of, Analyzer(of), stale_after_ms=60_000).book.state_hash()
    assert world.host.report(A)["book_hash"] == {"binance": empty}
    assert world.host.ask(A, "summary")["stale"]
    world.keep(A)
    for feed in world.feeds.values():
        feed.more(20)
    world.assert_books_are_those_of_twins()


def test_a_drained_symbol_has_handed_over_every_row_and_its_neighbour_goes_on(
    world: World,
) -> None:
    world.keep(A, B)
    for feed in world.feeds.values():
        feed.more(200)
    world.until(lambda: all([feed.pump() for feed in world.feeds.values()]))
    world.until_taken_in()
    report = world.host.drain(A, 30.0)
    assert report["symbol"] == A
    assert report["book_hash"] == {"binance": world.feeds[A].twin.book.state_hash()}
    assert (report["rows_unacked"], report["rows_refused"]) == (0, 0)
    assert report["rows_sent"] == world.ends.rows[A] > 400
    world.feeds[B].more(200)
    world.assert_books_are_those_of_twins()
    assert world.host.drain(B, 30.0)["rows_sent"] == world.ends.rows[B]


@pytest.mark.parametrize("work", ["receive", "settle"])
def test_one_that_fails_begins_anew_and_its_neighbour_does_not_notice(
    world: World, caplog: pytest.LogCaptureFixture, work: str
) -> None:
    (former, _) = world.keep(A, B)
    for feed in world.feeds.values():
        feed.more(20)
    world.until_taken_in()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("of a test")

    setattr(world.host._symbols[A], work, fail)
    world.feeds[A].more(1)
    world.until(lambda: A not in world.host._symbols)
    assert "AAA-USDT-PERP failed and begins anew" in caplog.text
    with pytest.raises(SymbolNotKept):
        world.host.ask(A, "summary")
    world.feeds[B].more(20)
    world.until(lambda: world.sequence(B) == world.feeds[B].sequence)
    assert world.keep(A) != [former]
    for feed in world.feeds.values():
        feed.more(20)
    world.assert_books_are_those_of_twins()


def test_what_a_symbol_logs_is_found_by_its_name(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(world.ends.store, "ack", lambda *_: None)
    world.keep(A, B)
    world.until_taken_in()
    assert world.host.drain(A, 0.0)["rows_unacked"] > 0
    told = [record for record in caplog.records if record.name == "actors.symbol"]
    assert [getattr(record, "symbol", None) for record in told] == [A]


def test_what_a_symbol_refuses_arrives_as_its_own_sentence(world: World) -> None:
    world.keep(A)
    with pytest.raises(UnknownSymbol, match=f"lists {A}.*was bybit"):
        world.host.ask(A, "book", "bybit", 5)


def test_progress_is_a_part_of_the_report(world: World) -> None:
    world.keep(A)
    world.feeds[A].more(50)
    world.until_taken_in()
    told, report = world.host.ask(A, "progress"), world.host.report(A)
    assert told["level_updates"] == int(report["states"][0]["level_updates"][0]) > 50
    assert told["book_latencies"] == report["book_latencies"]


def test_reports_divide_the_process_among_symbols(world: World) -> None:
    world.keep(A, B)
    before = {symbol: world.host.report(symbol)["cpu_s"] for symbol in (A, B)}
    world.feeds[A].more(300)
    world.until_taken_in()
    after = {symbol: world.host.report(symbol) for symbol in (A, B)}
    assert after[A]["pid"] == after[B]["pid"]
    assert after[A]["memory_bytes"] == after[B]["memory_bytes"]
    assert all(after[symbol]["cpu_s"] >= before[symbol] for symbol in (A, B))
