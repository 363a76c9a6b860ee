"""Symbols that come and go on an open connection, by the real client over real sockets."""

import pytest

from alphaplus.errors import ConfigError, UnknownSymbol
from tests.feeds.test_connection import STREAMS, SYMBOLS, TICKER, Log, Server, connection, until

BTC, ETH, SOL = SYMBOLS
PUBLIC, MARKET = "/public/ws/", "/market/ws/"


def streams_of(*names: str) -> set[str]:
    channels = ("depth@0ms", "bookTicker", "trade", "markPrice@1s", "forceOrder")
    return {f"{name}@{channel}" for name in names for channel in channels}


def all_of(told: list[tuple[str, tuple[str, ...]]]) -> set[str]:
    return {name for _, params in told for name in params}


async def test_a_new_symbol_gets_sockets_of_its_own_and_the_others_go_on() -> None:
    log = Log()
    async with Server() as server, connection(server, log, (BTC,)) as (made, _):
        await until(lambda: len(server.subscribed) == 5)
        made.subscribe(await made.look_up([SOL, ETH]))
        await until(lambda: len(server.subscribed) == 10)
        assert all_of(server.subscribed[5:]) == streams_of("ethusdt", "solusdt")
        assert {path for path, _ in server.subscribed[5:]} == {f"{PUBLIC}1", f"{MARKET}1"}
        assert list(made.instruments) == [BTC, SOL, ETH]
        assert b"lastUpdateId" in await made.fetch_snapshot(SOL)
        await server.send(TICKER, f"{PUBLIC}1")
        await server.send(TICKER, f"{PUBLIC}0")
        await until(lambda: len(log.frames) == 2)
        assert len(server.open_sockets()) == 4
    assert log.lost == []


async def test_a_symbol_that_leaves_is_unsubscribed_and_stays_out_when_dialled_again() -> None:
    log = Log()
    async with Server() as server, connection(server, log) as (made, _):
        await until(lambda: len(server.subscribed) == len(STREAMS))
        await made.unsubscribe([ETH])
        await until(lambda: len(server.unsubscribed) == 2)
        assert all_of(server.unsubscribed) == streams_of("ethusdt")
        assert log.lost == [], "the others do not notice"
        with pytest.raises(UnknownSymbol):
            await made.fetch_snapshot(ETH)
        await server.sockets[f"{PUBLIC}0"][0].close()
        await until(lambda: len(server.subscribed) == 8)
        ((route, _),) = log.lost
        assert route.symbols == (BTC, SOL)
        assert {path for path, _ in server.subscribed[5:]} == {f"{PUBLIC}0"}
        assert all_of(server.subscribed[5:]) < streams_of("btcusdt", "solusdt")
        await server.send(TICKER)
        await until(lambda: log.frames)


async def test_the_last_symbol_of_a_socket_closes_it_and_may_come_back() -> None:
    log = Log()
    async with Server() as server, connection(server, log, (BTC,)) as (made, running):
        await until(lambda: len(server.subscribed) == 5)
        await made.unsubscribe([BTC])
        await until(lambda: not server.open_sockets())
        for times in (2, 3):
            made.subscribe(await made.look_up([BTC]))
            await until(lambda n=times: len(server.subscribed) == 5 * n)  # type: ignore[misc]
            if times == 2:
                await made.unsubscribe([BTC])
        assert not running.done()
        assert len(server.open_sockets()) == 2
        path = server.subscribed[-1][0].rpartition("/")[2]
        await server.send(TICKER, f"{PUBLIC}{path}")
        await until(lambda: log.frames)
    assert log.lost == []


async def test_sockets_never_share_an_address_whoever_comes_and_goes() -> None:
    log = Log()
    async with Server() as server, connection(server, log, (BTC, ETH)) as (made, _):
        await until(lambda: len(log.connected) == 2)
        for gone in (ETH, BTC):  # BTC alone, then nobody, then both, then ETH alone
            await made.unsubscribe([gone])
        made.subscribe(await made.look_up([BTC, ETH]))
        await until(lambda: len(log.connected) == 4)
        for gone in (BTC, ETH):
            await made.unsubscribe([gone])
        made.subscribe(await made.look_up([BTC]))
        made.subscribe(await made.look_up([ETH]))
        await until(lambda: len(log.connected) == 8)
        assert len(server.open_sockets()) == 4
        paths = [path for path, sockets in server.sockets.items() if not sockets[-1].closed]
        assert len(paths) == 4, "each has an address of its own"


async def test_what_is_not_listed_or_of_another_market_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Server() as server, connection(server, Log(), (BTC,)) as (made, _):
        await until(lambda: len(server.subscribed) == 5)
        assert list(await made.look_up([ETH])) == [ETH]
        with pytest.raises(UnknownSymbol, match="does not list XRP-USDT-PERP"):
            await made.look_up(["XRP-USDT-PERP"])
        with pytest.raises(ConfigError, match="market that is open"):
            await made.look_up(["ETH-USDT-SPOT"])
        server.names = (*server.names, "XRP")
        with pytest.raises(UnknownSymbol):
            await made.look_up(["XRP-USDT-PERP"])
        assert server.asked.count("/fapi/v1/exchangeInfo") == 1, "not for every wrong name"
        monkeypatch.setattr("alphaplus.feeds.connection.RELOAD_S", 0.0)
        assert list(await made.look_up(["XRP-USDT-PERP"])) == ["XRP-USDT-PERP"], "listed since"
        assert server.asked.count("/fapi/v1/exchangeInfo") == 2
        assert list(made.instruments) == [BTC]
