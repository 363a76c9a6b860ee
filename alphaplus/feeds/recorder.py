"""The book of any ccxt.pro exchange as events, for venues whose frames we do not decode ourselves.

ccxt keeps a book per symbol and hands every level it is given to the book's sides. Here the
sides are ours: they do what ccxt's do, and note what each change leaves at its price. After
each venue message the notes become one batch:

- a book that ccxt resets or files anew is a snapshot: SNAPSHOT_BEGIN, levels, SNAPSHOT_END
  and STATUS synced;
- everything else is DEPTH rows, the last of them flagged LAST;
- a book that ccxt throws away (a gap, a wrong checksum) is STATUS resync, and what its last
  message changed is forgotten.

Sequence rules and checksums are ccxt's own. It costs a Python object per level, so venues
with a decoder of ours do not come this way; use `VenueConnection` for those.
"""

import asyncio
import importlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import ccxt
import numpy as np

from alphaplus.errors import ConfigError
from alphaplus.events import (
    EventArray,
    FeedStatus,
    Flag,
    Kind,
    empty_events,
    event,
    status_event,
)
from alphaplus.feeds.noted_books import (
    NotedBook,
    NotedBooks,
    NotedCountedBook,
    NotedIndexedBook,
    Notes,
    Stamp,
)
from alphaplus.feeds.pacing import Backoff
from alphaplus.instruments import Instrument

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class RecorderCounters:
    """What a recorder has seen since it was made."""

    messages: int = 0
    """Venue messages that changed a book."""
    level_updates: int = 0
    snapshots: int = 0
    resyncs: int = 0
    off_tick: int = 0
    """Levels left out, because their price is not on the instrument's tick."""
    unknown_books: int = 0
    """Changes of symbols that have no instrument."""


class BookRecorder:
    """Turns what happens to ccxt's books into event batches, one per book and venue message.

    `on_events(instrument, events)` is called on the event loop. `clock` gives `ts_recv` in ns;
    `ts_event` is the book's own timestamp where the venue sends one. A venue without update
    ids gets a count of messages as the sequence.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        on_events: Callable[[Instrument, EventArray], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counters = RecorderCounters()
        self._instruments = {instrument.ccxt_symbol: instrument for instrument in instruments}
        self._on_events = on_events
        self._clock = clock
        self._changed: list[Notes] = []
        self._nested = 0

    def add(self, instruments: Iterable[Instrument]) -> None:
        """Record these as well: what is listed is known only after the markets were loaded."""
        self._instruments.update((i.ccxt_symbol, i) for i in instruments)

    def lost(self, symbol: str) -> None:
        """Say that the connection behind a ccxt symbol's book is gone."""
        self._tell(symbol, FeedStatus.DISCONNECTED)

    def message(self, handle: Callable[[], None]) -> None:
        """Let ccxt handle one venue message, then send what it changed."""
        self._nested += 1
        try:
            handle()
        finally:
            self._nested -= 1
            if not self._nested:  # some venues send lists, which ccxt handles one by one
                self.flush()

    def flush(self) -> None:
        """Send everything noted since the last batch."""
        changed, self._changed = self._changed, []
        for notes in changed:
            notes.is_listed = False
            if notes.symbol is None:
                continue  # thrown away meanwhile
            if notes.is_empty:
                self.dropped(notes.symbol)
                continue
            instrument = self._instruments.get(notes.symbol)
            if instrument is None:
                self.counters.unknown_books += 1
                notes.forget()
                continue
            self._on_events(instrument, self._batch(notes, instrument))

    def touched(self, notes: Notes) -> None:
        """Remember a book that has changed."""
        notes.is_listed = True
        self._changed.append(notes)
        if not self._nested and len(self._changed) == 1:
            # a REST snapshot arrives in a task of its own
            asyncio.get_running_loop().call_soon(self.flush)

    def dropped(self, symbol: str) -> None:
        """Say that ccxt has given a symbol's book up."""
        self.counters.resyncs += 1
        _log.warning("%s: book given up, waiting for a snapshot", symbol)
        self._tell(symbol, FeedStatus.RESYNC)

    def _tell(self, symbol: str, status: FeedStatus) -> None:
        instrument = self._instruments.get(symbol)
        if instrument is not None:
            self._on_events(instrument, status_event(status, ts_recv=self._clock()))

    def _batch(self, notes: Notes, instrument: Instrument) -> EventArray:
        levels = np.array(notes.levels, dtype=np.float64).reshape(-1, 3)
        split, stamp = notes.snapshot_rows, notes.stamp(self._clock())
        if split is None and notes.is_fresh:
            split = len(levels)  # filled level by level: all of it replaces what was before
        notes.forget()
        notes.is_fresh = False
        self.counters.messages += 1
        if split is None:
            return self._depth(levels, instrument, stamp, Flag.LAST)
        self.counters.snapshots += 1
        return np.concatenate(
            [
                _marker(Kind.SNAPSHOT_BEGIN, stamp, Flag(0)),
                self._depth(levels[:split], instrument, stamp, Flag(0)),
                _marker(Kind.SNAPSHOT_END, stamp, Flag.LAST),
                self._depth(levels[split:], instrument, stamp, Flag.LAST),
                status_event(FeedStatus.SYNCED, ts_recv=stamp.ts_recv),
            ]
        )

    def _depth(self, levels: Any, instrument: Instrument, stamp: Stamp, last: Flag) -> EventArray:
        """Return (side, price, quantity) rows as DEPTH events."""
        scale = 10.0**instrument.price_decimals
        ticks = np.rint(levels[:, 1] * scale / instrument.tick_units)
        # the float nearest to the decimal text, so equality is exact (`Instrument.price`)
        on_tick = ticks * instrument.tick_units / scale == levels[:, 1]
        if not on_tick.all():
            off = levels[~on_tick]
            self.counters.off_tick += len(off)
            _log.warning(
                "%s: left out %d levels off the tick %s, such as %r",
                instrument.key,
                len(off),
                instrument.tick_size,
                float(off[0, 1]),
            )
            levels, ticks = levels[on_tick], ticks[on_tick]
        rows = empty_events(len(levels))
        rows["ts_event"] = stamp.ts_event
        rows["ts_recv"] = stamp.ts_recv
        rows["sequence"] = stamp.sequence
        rows["kind"] = Kind.DEPTH
        rows["side"] = levels[:, 0]
        rows["price_tick"] = ticks
        rows["value"] = levels[:, 2]
        rows["flags"][-1:] = last
        self.counters.level_updates += len(rows)
        return rows


def recording_exchange(
    ccxt_id: str, recorder: BookRecorder, config: Mapping[str, Any] | None = None
) -> Any:
    """Return a ccxt.pro client whose books are recorded; raises ConfigError for unknown ids."""
    original = getattr(importlib.import_module("ccxt.pro"), ccxt_id, None)
    if original is None:
        raise ConfigError(f"Expected a ccxt.pro exchange, was {ccxt_id!r}.")
    exchange = type(f"recording_{ccxt_id}", (RecordingExchange, original), {})(dict(config or {}))
    exchange.recorder = recorder
    exchange.orderbooks = NotedBooks(recorder)
    return exchange


async def keep_watching(
    exchange: Any, recorder: BookRecorder, symbols: Iterable[str], backoff: Backoff | None = None
) -> None:
    """Keep the books of these ccxt symbols subscribed until cancelled."""
    policy = backoff or Backoff()
    async with asyncio.TaskGroup() as tasks:
        for symbol in symbols:
            tasks.create_task(_watch(exchange, recorder, symbol, policy))


async def _watch(exchange: Any, recorder: BookRecorder, symbol: str, backoff: Backoff) -> None:
    failures = 0
    while True:
        try:
            await exchange.watch_order_book(symbol)
            failures = 0
        except ccxt.BaseError as error:
            if failures == 0:
                recorder.lost(symbol)
            failures += 1
            delay_s = backoff.delay_s(failures, random.random())
            _log.warning("%s: %s; again in %.2f s", symbol, type(error).__name__, delay_s)
            await asyncio.sleep(delay_s)


class RecordingExchange:
    """The overrides of a ccxt.pro client; see `recording_exchange`."""

    recorder: BookRecorder

    def order_book(self, snapshot: Any = None, depth: int | None = None) -> Any:
        """Make a book of price levels."""
        return NotedBook(snapshot or {}, depth)

    def counted_order_book(self, snapshot: Any = None, depth: int | None = None) -> Any:
        """Make a book of price levels with counts of orders."""
        return NotedCountedBook(snapshot or {}, depth)

    def indexed_order_book(self, snapshot: Any = None, depth: int | None = None) -> Any:
        """Make a book of single orders."""
        return NotedIndexedBook(snapshot or {}, depth)

    def handle_message(self, client: Any, message: Any) -> None:
        """Handle a message as ccxt does, then send what it changed."""
        handle = super().handle_message  # type: ignore[misc]
        self.recorder.message(partial(handle, client, message))


def _marker(kind: Kind, stamp: Stamp, flags: Flag) -> EventArray:
    return event(
        kind,
        ts_event=stamp.ts_event,
        ts_recv=stamp.ts_recv,
        sequence=stamp.sequence,
        flags=flags,
    )
