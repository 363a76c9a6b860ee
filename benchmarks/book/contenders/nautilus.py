"""nautilus_trader's order book, through its faster (Rust, pyo3) interface."""

from collections.abc import Callable, Iterable
from typing import Any

from nautilus_trader.core.nautilus_pyo3 import (
    BookAction,
    BookOrder,
    BookType,
    InstrumentId,
    OrderBook,
    OrderBookDelta,
    OrderBookDeltas,
    OrderSide,
    Price,
    Quantity,
)

from benchmarks.book.contender import Level, PlainBook, Record, Run
from benchmarks.book.contenders.dict_books import (
    changes,
    decode_snapshot,
    start_levels,
)
from benchmarks.book.inputs import DEPTH
from benchmarks.book.tasks import Task

_LAST = 128
"""Its flag for the last delta of a message."""


class NautilusBook(PlainBook):
    """An L2_MBP book; deltas of many messages in one call where they are applied in batches."""

    batches = True
    uses = "nautilus_pyo3.OrderBook.apply_deltas, bids(20); bytes: msgspec, update and delete"

    def __init__(self, inputs: Any) -> None:
        super().__init__(inputs)
        self._id = InstrumentId.from_str(f"{self.details.venue_symbol}.BINANCE")
        self._precisions = self.details.price_decimals, self.details.quantity_decimals
        self._built: dict[int, list[Any]] = {}

    def prepare(self, task: Task) -> Run | None:
        if task is Task.APPLY:
            return self.run(self.applying(0, batch=self.details.batch))
        return super().prepare(task)

    def record(self) -> Record:
        book = self._book(start_levels(self))
        found = Record(self.details.messages)
        for change in changes(self):
            self._take(book, OrderSide.BUY, change.b, change.u)
            self._take(book, OrderSide.SELL, change.a, change.u)
            found.add(_floats(book.bids(DEPTH)), _floats(book.asks(DEPTH)))
        return found.finish(_floats(book.bids()), _floats(book.asks()))

    def start(self) -> None:
        book = self._book(start_levels(self))
        assert book.best_bid_price() is not None

    def new_book(self) -> object:
        snapshot = decode_snapshot(self.inputs.thousand)
        return self._book((snapshot.bids, snapshot.asks))

    def applying(self, top: int, batch: int = 1) -> Callable[[], Any]:
        book = self._book(self.inputs.start_levels())
        messages = self._messages(batch)

        def call() -> Any:
            best: Any = None
            for deltas in messages:
                book.apply_deltas(deltas)
                if top == 1:
                    best = (
                        (book.best_bid_price(), book.best_bid_size()),
                        (book.best_ask_price(), book.best_ask_size()),
                    )
                elif top:
                    best = book.bids(DEPTH), book.asks(DEPTH)
            return best

        return call

    def decoding(self, top: int) -> Callable[[], Any]:
        book = self._book(start_levels(self))
        take = self._take

        def call() -> Any:
            best: Any = None
            for change in changes(self):
                take(book, OrderSide.BUY, change.b, change.u)
                take(book, OrderSide.SELL, change.a, change.u)
                if top:
                    best = book.bids(DEPTH), book.asks(DEPTH)
            return best

        return call

    def _take(self, book: Any, side: Any, levels: Iterable[Level], sequence: int) -> None:
        price_precision, quantity_precision = self._precisions
        update, delete = book.update, book.delete
        for price, quantity in levels:
            order = BookOrder(
                side, Price(price, price_precision), Quantity(quantity, quantity_precision), 0
            )
            if quantity:
                update(order, 0, sequence, 0)
            else:
                delete(order, 0, sequence, 0)

    def _book(self, sides: tuple[Iterable[Level], Iterable[Level]]) -> Any:
        book = OrderBook(self._id, BookType.L2_MBP)
        self._take(book, OrderSide.BUY, sides[0], 0)
        self._take(book, OrderSide.SELL, sides[1], 0)
        return book

    def _messages(self, batch: int) -> list[Any]:
        """Return the timed messages, so many in one; they do not change when applied."""
        if batch not in self._built:
            built = [self._deltas(*sides) for sides in self.inputs.messages()]
            self._built[batch] = [
                OrderBookDeltas(self._id, [delta for deltas in part for delta in deltas])
                for part in _parts(built, batch)
                if any(part)
            ]
        return self._built[batch]

    def _deltas(self, bids: list[Level], asks: list[Level]) -> list[Any]:
        rows = [(OrderSide.BUY, *level) for level in bids]
        rows += [(OrderSide.SELL, *level) for level in asks]
        return [
            self._delta(*row, flags=_LAST if number == len(rows) else 0)
            for number, row in enumerate(rows, start=1)
        ]

    def _delta(self, side: Any, price: float, quantity: float, flags: int) -> Any:
        price_precision, quantity_precision = self._precisions
        order = BookOrder(
            side, Price(price, price_precision), Quantity(quantity, quantity_precision), 0
        )
        action = BookAction.UPDATE if quantity else BookAction.DELETE
        return OrderBookDelta(self._id, action, order, flags, 0, 0, 0)


def _parts(messages: list[Any], size: int) -> list[list[Any]]:
    return [messages[at : at + size] for at in range(0, len(messages), size)]


def _floats(levels: Iterable[Any]) -> list[Level]:
    return [(float(level.price), level.size()) for level in levels]
