"""Which symbols are wanted, kept in a real database; the venue is a list."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from actors.watchlist import Watchlist
from alphaplus.errors import ConfigError, FleetConflict, StorageError, UnknownSymbol
from alphaplus.feeds.markets import select_instruments
from alphaplus.instruments import Instrument
from alphaplus.storage.fleet_symbols import told_symbols
from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres

pytestmark = pytest.mark.db

NOBODY = "postgresql://nobody@127.0.0.1:9/none"


def instrument(base: str) -> Instrument:
    return Instrument(
        symbol=f"{base}-USDT-PERP",
        exchange="binance",
        venue_symbol=f"{base}USDT",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
    )


LISTED = [instrument(base) for base in ("BTC", "ETH", "SOL", "BNB")]
BTC, ETH, SOL, BNB = (item.symbol for item in LISTED)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = EmbeddedPostgres(tmp_path_factory.mktemp("pg"))
    dsn = database.start()
    asyncio.run(migrate(dsn))
    yield dsn
    database.stop()


@pytest.fixture
async def exchange(server: str, tmp_path: Path) -> str:
    """A name of this test's own, so that tests do not read each other's orders."""
    return tmp_path.name


def venue() -> Callable[[list[str]], Awaitable[list[Instrument]]]:
    async def look_up(symbols: list[str]) -> list[Instrument]:
        return list(select_instruments({item.symbol: item for item in LISTED}, symbols).values())

    return look_up


async def made(dsn: str, *configured: str, limit: int = 10, name: str = "binance") -> Watchlist:
    found = Watchlist(name, configured, max_symbols=limit, dsn=dsn)
    await found.load(LISTED)
    return found


@pytest.fixture(autouse=True)
async def no_orders(server: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server)
    await connection.execute("TRUNCATE fleet_symbols")
    await connection.close()


async def test_it_begins_with_the_settings_or_with_all_that_is_listed(server: str) -> None:
    assert list((await made(server, ETH, BTC)).instruments) == [ETH, BTC]
    assert list((await made(server)).instruments) == [BTC, ETH, SOL, BNB]
    with pytest.raises(UnknownSymbol, match="did you mean BTC-USDT-PERP"):
        await made(server, "BTCC-USDT-PERP")


async def test_what_was_told_outlives_it(server: str) -> None:
    first = await made(server, BTC, ETH)
    assert await first.add([SOL, BTC, SOL], venue()) == [SOL]
    await first.remove(first.check_removable([ETH, ETH]))
    assert list(first.instruments) == [BTC, SOL]
    second = await made(server, BTC, ETH)
    assert list(second.instruments) == [BTC, SOL]
    await second.add([ETH], venue())
    assert list((await made(server, BTC, ETH)).instruments) == [BTC, ETH, SOL]
    assert await told_symbols(server, "binance") == {SOL: True, ETH: True}
    assert await told_symbols(server, "another") == {}


async def test_what_is_listed_no_more_is_left_out(server: str) -> None:
    first = await made(server, BTC)
    await first.add([SOL], venue())
    again = Watchlist("binance", [BTC], max_symbols=10, dsn=server)
    await again.load([LISTED[0]])
    assert list(again.instruments) == [BTC]


@pytest.mark.parametrize(
    ("symbols", "kind", "sentence"),
    [
        ([SOL, "XRP-USDT-PERP"], UnknownSymbol, "binance does not list XRP-USDT-PERP"),
        ([SOL, "SOOL-USDT-PERP"], UnknownSymbol, "did you mean SOL-USDT-PERP"),
        (["nonsense"], UnknownSymbol, "Expected a symbol such as"),
        (["SOL-USDT-SPOT"], ConfigError, "one market of binance"),
        ([SOL, BNB], FleetConflict, "at most 3 symbols .*would be 4"),
    ],
)
async def test_a_refusal_changes_nothing(
    server: str, symbols: list[str], kind: type[Exception], sentence: str
) -> None:
    watchlist = await made(server, BTC, ETH, limit=3)
    with pytest.raises(kind, match=sentence):
        await watchlist.add(symbols, venue())
    assert list(watchlist.instruments) == [BTC, ETH]
    assert await told_symbols(server, "binance") == {}


async def test_the_last_symbol_and_an_unknown_one_stay(server: str) -> None:
    watchlist = await made(server, BTC, ETH)
    with pytest.raises(FleetConflict, match="at least one symbol to stay"):
        watchlist.check_removable([ETH, BTC])
    with pytest.raises(UnknownSymbol, match="is watched, was SOL-USDT-PERP"):
        watchlist.check_removable([ETH, SOL])


async def test_without_a_database_nothing_is_promised(server: str) -> None:
    watchlist = await made(server, BTC, ETH)
    watchlist._dsn = NOBODY
    with pytest.raises(StorageError):
        await watchlist.add([SOL], venue())
    with pytest.raises(StorageError):
        await watchlist.remove([ETH])
    assert list(watchlist.instruments) == [BTC, ETH]
