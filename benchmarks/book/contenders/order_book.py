"""The `order-book` package: two sorted dictionaries in C."""

from collections.abc import Callable, Iterable
from typing import Any

from order_book import OrderBook

from benchmarks.book.contender import Level, PlainBook, Record
from benchmarks.book.contenders.dict_books import (
    changes,
    decode_snapshot,
    start_levels,
)
from benchmarks.book.inputs import DEPTH


class OrderBookPackage(PlainBook):
    """Floats, which are faster in it than Decimals; levels by index, faster than as a list."""

    uses = "side[price] = quantity, index(n) for each of 20 levels; bytes: msgspec"

    def record(self) -> Record:
        book = _book(start_levels(self))
        bids, asks = book.bids, book.asks
        found = Record(self.details.messages)
        for change in changes(self):
            _update(bids, change.b)
            _update(asks, change.a)
            found.add(_best(bids, DEPTH), _best(asks, DEPTH))
        return found.finish(bids.to_list(), asks.to_list())

    def start(self) -> None:
        book = _book(start_levels(self))
        assert book.bids.index(0)

    def new_book(self) -> object:
        snapshot = decode_snapshot(self.inputs.thousand)
        return _book((snapshot.bids, snapshot.asks))

    def applying(self, top: int) -> Callable[[], Any]:
        book = _book(self.inputs.start_levels())
        messages = self.inputs.messages()
        bids, asks = book.bids, book.asks

        def call() -> Any:
            best: Any = None
            for new_bids, new_asks in messages:
                _update(bids, new_bids)
                _update(asks, new_asks)
                if top == 1:
                    best = bids.index(0), asks.index(0)
                elif top:
                    best = _best(bids, top), _best(asks, top)
            return best

        return call

    def decoding(self, top: int) -> Callable[[], Any]:
        book = _book(start_levels(self))
        bids, asks = book.bids, book.asks

        def call() -> Any:
            best: Any = None
            for change in changes(self):
                _update(bids, change.b)
                _update(asks, change.a)
                if top:
                    best = _best(bids, top), _best(asks, top)
            return best

        return call


def _update(side: Any, levels: Iterable[Level]) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        elif price in side:
            del side[price]


def _best(side: Any, count: int) -> list[Level]:
    index = side.index
    return [index(number) for number in range(min(count, len(side)))]


def _book(sides: tuple[Iterable[Level], Iterable[Level]]) -> Any:
    book = OrderBook()
    for side, levels in zip((book.bids, book.asks), sides, strict=True):
        _update(side, levels)
    return book
