"""The history of a feed without Ray: from the local venue over the stream of rows."""

import asyncio
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest

from actors import tier_sharing
from actors.feed_history import PAGE_ROWS, FeedHistory, HistoryOptions
from actors.tier_sharing import TierSharing
from alphaplus.config import load_settings
from alphaplus.errors import FeedError
from alphaplus.feeds.history import HistoryClient, open_client
from alphaplus.leverage.tier_files import write_tiers
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from alphaplus.storage.tables import TableBatch
from alphaplus.streams import RowReceiver, RowSender, Transport, make_run_directory
from alphaplus.venue.process import VenueProcess
from tests.feeds.test_connection import until

HOUR = 3600 * 10**9
SYMBOLS = ["BTC-USDT-PERP", "ETH-USDT-PERP"]


@pytest.fixture(scope="module")
def venue():
    with VenueProcess(["--symbols", "2"]) as process:
        yield process


@pytest.fixture
def transport():
    folder = make_run_directory()
    yield Transport.ipc(folder)
    shutil.rmtree(folder)


def options(**risk):
    settings = load_settings(flags={"risk": {"history_pause_s": 0, **risk}}, environ={})
    return HistoryOptions.from_settings(settings)


def table(symbol="BTC/USDT:USDT", rate=0.004):
    tier = LeverageTier(
        min_notional=0.0, max_notional=1e6, maintenance_margin_rate=rate, max_leverage=50.0
    )
    return TierTable.of(symbol, [tier])


class Rig:
    """A feed's history between the venue and a store that keeps what it acknowledges."""

    def __init__(self, venue, transport, chosen, clock=time.time_ns):
        self.receiver = RowReceiver(transport)
        self.sender = RowSender(self.receiver.endpoint, name="feed")
        self.client = HistoryClient(
            open_client("binance", (), base_url=venue.url),
            "binance",
            page_rows=PAGE_ROWS,
            clock=clock,
        )
        self.options, self.clock = chosen, clock

    async def __aenter__(self):
        instruments = list((await self.client.instruments(SYMBOLS)).values())
        self.history = FeedHistory(
            "feed", self.client, instruments, self.options, self.sender, clock=self.clock
        )
        return self

    async def __aexit__(self, *_):
        await self.client.close()
        self.sender.close()
        self.receiver.close()

    async def rows(self):
        """Return the rows of each table and symbol that were sent, all acknowledged."""
        found = {}
        async with asyncio.timeout(30):
            while not self.sender.pump():
                for item in self.receiver.recv(timeout_ms=20):
                    batch = TableBatch.from_key(item.table, item.payload)
                    found.setdefault((batch.table, batch.symbol), []).append(batch.rows.copy())
                    self.receiver.ack(item)
                await asyncio.sleep(0)
        return {key: np.concatenate(parts) for key, parts in found.items()}


async def test_everything_is_asked_for_once_and_then_what_is_new(venue, transport):
    now = [time.time_ns()]
    async with Rig(venue, transport, options(history_days=10), lambda: now[0]) as rig:
        await rig.history.load()
        first = await rig.rows()
        assert {(t, s) for t, s in first} == {
            (t, s) for t in ("candles", "enhanced_funding_rates", "open_interest") for s in SYMBOLS
        }
        for symbol in SYMBOLS:
            candles = first["candles", symbol]
            assert len(candles) == 239 or len(candles) == 240
            assert (np.diff(candles["time"]) == HOUR).all()
            assert candles["time"][-1] + HOUR <= now[0]
            assert set(candles["source"]) == {b"exchange"}
            assert set(first["enhanced_funding_rates", symbol]["kind"]) == {b"settled"}
        assert rig.history.rows_sent == sum(map(len, first.values()))
        await rig.history.load()
        assert await rig.rows() == {}
        now[0] -= 3 * HOUR  # a later look, seen from an earlier beginning
        again = FeedHistory(
            "feed", rig.client, rig.history._instruments, rig.options, rig.sender, clock=rig.clock
        )
        await again.load()
        await rig.rows()
        now[0] += 3 * HOUR
        await again.load()
        assert len((await rig.rows())["candles", SYMBOLS[0]]) == 3


async def test_days_of_zero_ask_for_nothing(venue, transport):
    async with Rig(venue, transport, options(history_days=0)) as rig:
        await asyncio.wait_for(rig.history.run(), 5)
        assert rig.client.requests == 1, "the list of markets"


async def test_a_venue_that_fails_is_asked_again_later(venue, transport, caplog):
    async with Rig(venue, transport, options(history_days=1)) as rig:
        real = rig.client.candles

        async def broken(*_, **__):
            raise FeedError("Expected candles, was nothing.")
            yield

        rig.client.candles = broken
        await rig.history.load()
        found = await rig.rows()
        assert ("candles", SYMBOLS[0]) not in found
        assert ("open_interest", SYMBOLS[0]) in found
        assert "Expected candles, was nothing." in caplog.text
        rig.client.candles = real
        await rig.history.load()
        assert len((await rig.rows())["candles", SYMBOLS[0]]) >= 23


async def test_tiers_come_from_the_venue_and_go_to_the_store(venue, transport):
    async with Rig(venue, transport, options()) as rig:
        book = await rig.history.tiers(SYMBOLS)
        found = await rig.rows()
    assert set(found) == {("leverage_tiers", symbol) for symbol in SYMBOLS}
    row = found["leverage_tiers", SYMBOLS[0]][0]
    assert row["hash"].decode() == book.table(SYMBOLS[0]).hash


async def test_tiers_come_from_a_file_and_what_it_lacks_is_said(venue, transport, tmp_path, caplog):
    file = tmp_path / "tiers.json"
    write_tiers(TierBook([table()], venue="binance"), file, source="by hand")
    async with Rig(venue, transport, options(tiers_file=file)) as rig:
        book = await rig.history.tiers(SYMBOLS)
        found = await rig.rows()
    assert list(book.tables) == ["BTC/USDT:USDT"]
    assert set(found) == {("leverage_tiers", SYMBOLS[0])}
    assert found["leverage_tiers", SYMBOLS[0]]["source"][0] == b"by hand"
    assert "Expected tiers of ETH-USDT-PERP" in caplog.text


class Member:
    """An actor that notes what it is told."""

    def __init__(self, life):
        self.life = life
        self.told = []
        self.handle = SimpleNamespace(set_tiers=SimpleNamespace(remote=self.take))

    async def take(self, exchange, tiers):
        self.told.append((exchange, tiers))


async def test_tiers_are_handed_to_everyone_once_and_to_new_lives_again():
    book = TierBook([table()], venue="binance")
    symbols = {symbol: Member(1) for symbol in SYMBOLS}
    portfolio = Member("board")
    now = [0.0]
    sharing = TierSharing("binance", 100.0, lambda: now[0])
    await sharing.share(portfolio, symbols)
    assert portfolio.told == []

    async def ask(wanted):
        assert wanted == SYMBOLS
        return book

    await sharing.ask(ask, symbols)
    for _ in range(2):
        await sharing.share(portfolio, symbols)
    assert portfolio.told == [("binance", book)]
    assert symbols[SYMBOLS[0]].told == [("binance", book.table(SYMBOLS[0]))]
    assert symbols[SYMBOLS[1]].told == [], "it has none, and is not given another's"
    symbols[SYMBOLS[0]].life = 2
    await sharing.share(portfolio, symbols)
    assert len(symbols[SYMBOLS[0]].told) == 2
    await sharing.ask(ask, symbols)
    await sharing.share(portfolio, symbols)
    assert len(portfolio.told) == 1, "the same tiers are no news"
    book = TierBook([table(rate=0.005)], venue="binance")
    await sharing.ask(ask, symbols)
    await sharing.share(portfolio, symbols)
    assert len(portfolio.told) == 2


async def test_a_life_that_begins_while_another_is_told_is_told_too():
    member = Member(1)

    async def take(exchange, tiers):
        member.told.append((member.life, tiers))
        member.life = 2

    member.handle = SimpleNamespace(set_tiers=SimpleNamespace(remote=take))
    sharing = TierSharing("binance", 100.0)
    book = TierBook([table()], venue="binance")

    async def ask(_):
        return book

    symbols = {SYMBOLS[0]: member}
    await sharing.ask(ask, symbols)
    for _ in range(3):
        await sharing.share(Member("board"), symbols)
    assert [life for life, _ in member.told] == [1, 2]


async def test_tiers_are_asked_for_again_once_a_symbol_is_added(monkeypatch):
    monkeypatch.setattr(tier_sharing, "LOOK_EVERY_S", 0.0)
    symbols = {SYMBOLS[1]: Member(1)}
    asked = []

    async def ask(wanted):
        asked.append(wanted)
        known = [table()] if SYMBOLS[0] in wanted else [table(rate=0.005)]
        return TierBook(known, venue="binance")

    sharing = TierSharing("binance", 100.0)
    running = asyncio.create_task(sharing.run(ask, Member("board"), symbols))
    try:
        await until(lambda: asked)
        symbols[SYMBOLS[0]] = Member(1)
        await until(lambda: symbols[SYMBOLS[0]].told)
    finally:
        running.cancel()
    assert [sorted(wanted) for wanted in asked] == [SYMBOLS[1:], sorted(SYMBOLS)]


async def rows_with(rig, wanted):
    """Return the rows that came until, and with, those of a table and symbol."""
    while True:
        found = await rig.rows()
        if wanted in found:
            return found
        await asyncio.sleep(0.01)


async def test_a_symbol_that_comes_later_is_asked_for_at_once(venue, transport):
    async with Rig(venue, transport, options(history_days=2)) as rig:
        first, second = rig.history._instruments
        rig.history.follow([first])
        running = asyncio.create_task(rig.history.run())
        try:
            async with asyncio.timeout(60):
                found = await rows_with(rig, ("open_interest", first.symbol))
                assert not any(symbol == second.symbol for _, symbol in found)
                rig.history.follow([first, second])
                found = await rows_with(rig, ("open_interest", second.symbol))
                assert not any(symbol == first.symbol for _, symbol in found)
        finally:
            running.cancel()
