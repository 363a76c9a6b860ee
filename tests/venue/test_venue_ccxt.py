"""The unmodified ccxt.pro client works against the local venue and cannot tell it from Binance."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ccxt.pro
import pytest

from alphaplus.venue.capture_source import CaptureSource
from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.recording import read_recording
from alphaplus.venue.server import VenueServer
from tests.venue.client_rules import sides_of
from tests.venue.recordings import recorded_lines, write_recording
from tests.venue.sockets import get, post, running

TIMEOUT_S = 30


def moved(urls: Any, venue: str) -> Any:
    """Return ccxt's table of URLs with every host replaced."""
    if isinstance(urls, dict):
        return {key: moved(value, venue) for key, value in urls.items()}
    parts = urlsplit(urls)
    scheme = "ws" if parts.scheme == "wss" else "http"
    return parts._replace(scheme=scheme, netloc=urlsplit(venue).netloc).geturl()


@asynccontextmanager
async def client_of(server: VenueServer, **options: Any) -> AsyncIterator[Any]:
    client = ccxt.pro.binanceusdm({"enableRateLimit": False, **options})
    client.options["fetchCurrencies"] = False
    client.urls["api"] = moved(client.urls["api"], server.url)
    try:
        yield client
    finally:
        await client.close()


async def book_at_truth(client: Any, server: VenueServer, symbol: str, name: str) -> None:
    """Pause the market, let ccxt take in what is under way, compare inside its first range."""
    session = client.session
    await post(session, f"{server.url}/control/pause")
    truth = await get(session, f"{server.url}/control/book", symbol=name)
    async with asyncio.timeout(TIMEOUT_S):
        # ccxt resolves its futures only for who waits, so the id is looked at instead
        while client.orderbooks[symbol]["nonce"] != truth["lastUpdateId"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    bids, asks = sides_of(truth)
    book = client.orderbooks[symbol]
    for price, quantity in book["bids"][:500]:
        assert bids[price] == quantity
    for price, quantity in book["asks"][:500]:
        assert asks[price] == quantity
    assert book["bids"][0][0] == max(bids)
    assert book["asks"][0][0] == min(asks)
    await post(session, f"{server.url}/control/resume")


async def test_ccxt_synchronises_with_the_generated_market() -> None:
    async with running(GeneratedSource(10, 7), speed=3.0) as server, client_of(server) as client:
        for symbol in ("BTC/USDT:USDT", "DOGE/USDT:USDT"):
            for _ in range(10):
                book = await asyncio.wait_for(client.watch_order_book(symbol), TIMEOUT_S)
            assert book["bids"][0][0] < book["asks"][0][0]
            await book_at_truth(client, server, symbol, symbol.split("/")[0] + "USDT")


async def test_ccxt_synchronises_with_many_symbols_on_one_socket() -> None:
    async with running(GeneratedSource(20, 7), speed=2.0) as server, client_of(server) as client:
        await client.load_markets()
        symbols = list(client.markets)
        assert len(symbols) == 20
        waiting = set(symbols)
        async with asyncio.timeout(TIMEOUT_S):
            while waiting:
                book = await client.watch_order_book_for_symbols(symbols)
                waiting.discard(book["symbol"])


async def test_ccxt_reads_markets_funding_tiers_and_trades() -> None:
    async with (
        running(GeneratedSource(3, 7), speed=3.0) as server,
        client_of(server, apiKey="any", secret="any") as client,
    ):
        symbol = "ETH/USDT:USDT"
        markets = await client.load_markets()
        assert list(markets) == ["BTC/USDT:USDT", symbol, "SOL/USDT:USDT"]
        assert markets[symbol]["precision"] == {
            "amount": 0.001, "price": 0.01, "base": 1e-8, "quote": 1e-8,
        }  # fmt: skip
        assert markets[symbol]["linear"]
        trades = await asyncio.wait_for(client.watch_trades(symbol), TIMEOUT_S)
        assert trades[0]["price"] > 0
        mark = await asyncio.wait_for(client.watch_mark_price(symbol), TIMEOUT_S)
        assert mark["markPrice"] > 0
        quotes = await asyncio.wait_for(client.watch_bids_asks([symbol]), TIMEOUT_S)
        assert quotes[symbol]["bid"] < quotes[symbol]["ask"]
        funding = await client.fetch_funding_rate(symbol)
        assert funding["fundingRate"] == pytest.approx(1e-4, abs=1e-3)
        assert len(await client.fetch_funding_rate_history(symbol, limit=5)) == 5
        assert (await client.fetch_open_interest(symbol))["openInterestAmount"] > 0
        tiers = await client.fetch_leverage_tiers([symbol])
        assert tiers[symbol][0]["maxLeverage"] == 125
        assert (await client.fetch_ticker(symbol))["last"] > 0
        assert await client.fetch_trades(symbol, limit=5)
        assert (await client.fetch_order_book(symbol, 5))["bids"]
        with pytest.raises(ccxt.BadSymbol):
            await client.fapiPublicGetDepth({"symbol": "NOPE"})


@pytest.fixture(params=["made up", "recorded"])
def capture_source(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[int], CaptureSource]:
    if request.param == "made up":
        path = write_recording(tmp_path / "made_up.raw.gz", recorded_lines(200))
    else:
        data: Path = request.getfixturevalue("data_dir")
        path = data / "captures" / "binance_usdm_btcusdt_20240808.raw.gz"
    return lambda count: CaptureSource(read_recording(path), count)


async def test_ccxt_synchronises_with_a_recording_under_two_names(
    capture_source: Callable[[int], CaptureSource],
) -> None:
    async with running(capture_source(2), speed=5.0) as server, client_of(server) as client:
        for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT"):
            for _ in range(10):
                await asyncio.wait_for(client.watch_order_book(symbol), TIMEOUT_S)
            await book_at_truth(client, server, symbol, symbol.split("/")[0] + "USDT")
