"""Two SortedDicts of floats: the usual book in plain Python."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from sortedcontainers import SortedDict

from benchmarks.book.contender import Best, Level, PlainBook, Record
from benchmarks.book.contenders.dict_books import (
    changes,
    decode_snapshot,
    start_levels,
)
from benchmarks.book.inputs import DEPTH


class SortedContainersBook(PlainBook):
    """Bids under their negative price, so that both sides begin with the best level."""

    uses = "SortedDict item by item; bytes: msgspec into typed floats"

    def record(self) -> Record:
        bids, asks = _book(*start_levels(self))
        found = Record(self.details.messages)
        for change in changes(self):
            _update(bids, _negative(change.b))
            _update(asks, change.a)
            best = _best(bids, asks)
            found.add(_negative(best[0]), best[1])
        return found.finish(_negative(bids.items()), asks.items())

    def start(self) -> None:
        bids, _ = _book(*start_levels(self))
        assert bids.peekitem(0)

    def new_book(self) -> object:
        snapshot = decode_snapshot(self.inputs.thousand)
        return _book(snapshot.bids, snapshot.asks)

    def applying(self, top: int) -> Callable[[], Any]:
        bids, asks = _book(*self.inputs.start_levels())
        messages = [(_negative(bid), ask) for bid, ask in self.inputs.messages()]

        def call() -> Any:
            best: Any = None
            for new_bids, new_asks in messages:
                _update(bids, new_bids)
                _update(asks, new_asks)
                if top == 1:
                    best = bids.peekitem(0), asks.peekitem(0)
                elif top:
                    best = _best(bids, asks)
            return best

        return call

    def decoding(self, top: int) -> Callable[[], Any]:
        bids, asks = _book(*start_levels(self))

        def call() -> Any:
            best: Any = None
            for change in changes(self):
                for price, quantity in change.b:
                    if quantity:
                        bids[-price] = quantity
                    else:
                        bids.pop(-price, None)
                _update(asks, change.a)
                if top:
                    best = _best(bids, asks)
            return best

        return call


def _update(side: Any, levels: Iterable[Level]) -> None:
    for key, quantity in levels:
        if quantity:
            side[key] = quantity
        else:
            side.pop(key, None)


def _best(bids: Any, asks: Any) -> Best:
    return list(islice(bids.items(), DEPTH)), list(islice(asks.items(), DEPTH))


def _negative(levels: Iterable[Level]) -> list[Level]:
    return [(-key, quantity) for key, quantity in levels]


def _book(bids: Iterable[Level], asks: Iterable[Level]) -> tuple[Any, Any]:
    sides = SortedDict(_negative(bids)), SortedDict(asks)
    for side in sides:
        for key in [key for key, quantity in side.items() if not quantity]:
            del side[key]
    return sides
