"""ccxt's own order book, fed through its unmodified handling of Binance messages."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from ccxt.async_support.base.ws.client import Client
from ccxt.async_support.base.ws.order_book import OrderBook
from ccxt.pro.binance import binance
from ccxt.pro.binancecoinm import binancecoinm
from ccxt.pro.binanceusdm import binanceusdm

from benchmarks.book.contender import PlainBook, Record, pairs
from benchmarks.book.inputs import DEPTH

_EXCHANGES = {"spot": binance, "linear": binanceusdm, "inverse": binancecoinm}
_SYMBOL = "BASE/QUOTE"


class CcxtBook(PlainBook):
    """Its default book (no depth limit, so that it stays whole) without network or consumer."""

    uses = "OrderBookSide.storeArray; bytes: Client.handle_text_or_binary_message with orjson"

    def record(self) -> Record:
        book, client = self._live()
        found = Record(self.details.messages)
        bids, asks = book["bids"], book["asks"]
        for frame in self.inputs.frames:
            client.handle_text_or_binary_message(frame.decode())
            found.add(bids[:DEPTH], asks[:DEPTH])
        return found.finish(bids, asks)

    def start(self) -> None:
        book, _ = self._live()
        assert book["bids"]

    def new_book(self) -> object:
        return _book(self.inputs.thousand)

    def applying(self, top: int) -> Callable[[], Any]:
        book = OrderBook()
        _store(book, self.inputs.start_levels())
        # The book keeps the lists it is given and writes into them: new ones for each run.
        messages = [
            tuple([list(level) for level in side] for side in sides)
            for sides in self.inputs.messages()
        ]
        bids, asks = book["bids"], book["asks"]

        def call() -> Any:
            best: Any = None
            for new_bids, new_asks in messages:
                for level in new_asks:
                    asks.storeArray(level)
                for level in new_bids:
                    bids.storeArray(level)
                if top == 1:
                    best = bids[0], asks[0]
                elif top:
                    best = bids[:DEPTH], asks[:DEPTH]
            return best

        return call

    def decoding(self, top: int) -> Callable[[], Any]:
        book, client = self._live()
        frames = [frame.decode() for frame in self.inputs.frames]
        bids, asks = book["bids"], book["asks"]

        def call() -> Any:
            best: Any = None
            for frame in frames:
                client.handle_text_or_binary_message(frame)
                if top:
                    best = bids[:DEPTH], asks[:DEPTH]
            return best

        return call

    def _live(self) -> tuple[Any, Any]:
        """Return a synchronised book within its exchange, and the client that feeds it."""
        exchange = self._exchange()
        snapshot, first = self.inputs.start
        book = _book(snapshot)
        exchange.orderbooks[_SYMBOL] = book
        url = "wss://localhost/stream" if self.details.market == "spot" else "wss://localhost/ws"
        client = asyncio.run(_client(url, exchange))
        client.handle_text_or_binary_message(first.decode())
        assert book["nonce"] == self.details.first_id
        return book, client

    def _exchange(self) -> Any:
        market = self.details.market
        exchange = _EXCHANGES[market]()
        described = {
            "id": self.details.venue_symbol,
            "symbol": _SYMBOL,
            "base": "BASE",
            "quote": "QUOTE",
            "type": "spot" if market == "spot" else "swap",
            "spot": market == "spot",
            "swap": market != "spot",
            "contract": market != "spot",
            "linear": market == "linear",
            "inverse": market == "inverse",
        }
        exchange.set_markets([exchange.safe_market_structure(described)])
        return exchange


async def _client(url: str, exchange: Any) -> Any:
    def ignore(*_: Any) -> None:
        """Nothing connects, fails or closes here."""

    return Client(url, exchange.handle_message, ignore, ignore, ignore)


def _book(payload: bytes) -> Any:
    snapshot = orjson.loads(payload)
    book = OrderBook()
    book.reset(
        {
            "bids": [list(level) for level in pairs(snapshot["bids"])],
            "asks": [list(level) for level in pairs(snapshot["asks"])],
            "nonce": snapshot["lastUpdateId"],
            "symbol": _SYMBOL,
        }
    )
    return book


def _store(book: Any, sides: Any) -> None:
    for name, levels in zip(("bids", "asks"), sides, strict=True):
        for level in levels:
            book[name].storeArray(list(level))
