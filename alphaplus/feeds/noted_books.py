"""ccxt's order books, with sides that note what every change leaves at its price.

They behave as ccxt's do, since its handlers read them: for checksums, limits and copies. A
book belongs to a symbol from the moment ccxt files it in `exchange.orderbooks` (`NotedBooks`),
and to nothing any more once ccxt deletes it there or files another.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from ccxt.async_support.base.ws import order_book, order_book_side

from alphaplus.events import Side

_NS_PER_MS: Final = 1_000_000


class Listener(Protocol):
    """Who wants to know about books."""

    def touched(self, notes: "Notes") -> None:
        """Remember a book that has changed; called once until `is_listed` is taken back."""

    def dropped(self, symbol: str) -> None:
        """Learn that ccxt has given a symbol's book up."""


class Stamp(NamedTuple):
    """Times in ns and the sequence of one batch."""

    ts_event: int
    ts_recv: int
    sequence: int


class Notes:
    """What has happened to one book since its last batch."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.listener: Listener | None = None
        self.symbol: str | None = None
        self.levels: list[tuple[int, float, float]] = []
        """Side, price, quantity that rests there now."""
        self.snapshot_rows: int | None = None
        """How many of the levels are a snapshot's."""
        self.is_listed = False
        self.is_fresh = False
        """Filed, and nothing sent of it so far."""
        self.messages = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was noted, not even a snapshot without levels."""
        return not self.levels and self.snapshot_rows is None

    def stamp(self, ts_recv: int) -> Stamp:
        """Return times and sequence of the batch that ends here."""
        self.messages += 1
        nonce, timestamp = self.book.get("nonce"), self.book.get("timestamp")
        return Stamp(
            ts_event=ts_recv if timestamp is None else int(timestamp) * _NS_PER_MS,
            ts_recv=ts_recv,
            sequence=self.messages if nonce is None else int(nonce),
        )

    def file(self, listener: Listener, symbol: str, *, replaces: bool) -> None:
        """Belong to a symbol from now on; the first batch will be a snapshot."""
        self.listener = listener
        self.symbol = symbol
        self.is_fresh = True
        if replaces or self.levels:
            self._list()

    def drop(self) -> None:
        """Belong to nothing any more."""
        self.symbol = self.listener = None
        self.forget()

    def forget(self) -> None:
        """Start the next batch."""
        self.levels = []
        self.snapshot_rows = None

    def changed(self, side: int, price: float, quantity: float) -> None:
        """Note what a change left at a price."""
        self.levels.append((side, price, quantity))
        self._list()

    def restarted(self) -> None:
        """Take all notes so far for a snapshot."""
        self.snapshot_rows = len(self.levels)
        self._list()

    def _list(self) -> None:
        if not self.is_listed and self.listener is not None:
            self.listener.touched(self)


class NotedBooks(dict[str, Any]):
    """ccxt's books by symbol: a book learns its symbol here, and that it was given up."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def __setitem__(self, symbol: str, book: Any) -> None:
        old = self.get(symbol)
        super().__setitem__(symbol, book)
        if old is book:
            return
        if old is not None:
            old.notes.drop()
        book.notes.file(self._listener, symbol, replaces=old is not None)

    def __delitem__(self, symbol: str) -> None:
        book = self[symbol]
        super().__delitem__(symbol)
        book.notes.drop()
        self._listener.dropped(symbol)


class _Noted:
    """A ccxt book whose sides take notes."""

    def __init__(self, snapshot: Any, depth: int | None = None) -> None:
        super().__init__(snapshot, depth)  # type: ignore[call-arg]
        self.notes = Notes(self)
        for name, kind in self._sides.items():
            self[name] = kind(self[name], depth, self.notes)  # type: ignore[index]

    _sides: Mapping[str, Any]

    def reset(self, snapshot: Any = None) -> None:
        """Replace everything, as a snapshot does."""
        self.notes.forget()
        super().reset(snapshot or {})  # type: ignore[misc]
        self.notes.restarted()


class _NotedSide:
    """A side of a ccxt book that notes what rests at every price it is told about.

    A copy of it takes no notes.
    """

    side: bool
    _index: list[float]
    _depth: int

    def __init__(self, deltas: Any = (), depth: int | None = None, notes: Any = None) -> None:
        self.notes: Notes | None = notes
        super().__init__(deltas, depth)  # type: ignore[call-arg]

    def storeArray(self, delta: list[Any]) -> None:
        """Store a change and note what it leaves."""
        moved_from = self._price_before(delta)
        super().storeArray(delta)  # type: ignore[misc]
        if self.notes is not None:
            for price in {moved_from, delta[0]} - {None}:
                self._note(price)

    def limit(self) -> None:
        """Cut the side to its depth and note what is gone."""
        cut = {row[0] for row in self[self._depth :]}  # type: ignore[index]
        super().limit()  # type: ignore[misc]
        if self.notes is not None:
            for price in cut:
                self._note(price)

    def _note(self, price: float) -> None:
        assert self.notes is not None
        key = -price if self.side else price
        index, quantity = bisect_left(self._index, key), 0.0
        while index < len(self._index) and self._index[index] == key:
            quantity += self[index][1]  # type: ignore[index]
            index += 1
        self.notes.changed(Side.BID if self.side else Side.ASK, price, quantity)

    def _price_before(self, delta: list[Any]) -> float | None:
        return None


class _NotedOrders(_NotedSide):
    """A side of single orders: a change may move an order away from another price."""

    _hashmap: dict[Any, float]

    def _price_before(self, delta: list[Any]) -> float | None:
        key = self._hashmap.get(delta[2])
        return None if key is None else abs(key)


def _sides(noted: type, asks: Any, bids: Any) -> dict[str, Any]:
    return {
        "asks": type(f"Noted{asks.__name__}", (noted, asks), {}),
        "bids": type(f"Noted{bids.__name__}", (noted, bids), {}),
    }


class NotedBook(_Noted, order_book.OrderBook):  # type: ignore[misc]  # ccxt has no types
    """A book of price levels."""

    _sides = _sides(_NotedSide, order_book_side.Asks, order_book_side.Bids)


class NotedCountedBook(_Noted, order_book.CountedOrderBook):  # type: ignore[misc]
    """A book of price levels with counts of orders."""

    _sides = _sides(_NotedSide, order_book_side.CountedAsks, order_book_side.CountedBids)


class NotedIndexedBook(_Noted, order_book.IndexedOrderBook):  # type: ignore[misc]
    """A book of single orders; its levels are the sums at each price."""

    _sides = _sides(_NotedOrders, order_book_side.IndexedAsks, order_book_side.IndexedBids)
