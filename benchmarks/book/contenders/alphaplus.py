"""AlphaPlus: frames through its feed into its book, in batches and one by one."""

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from alphaplus.book import L2Book
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.events import EventArray, Flag, Side
from alphaplus.feeds.binance import FrameDecoder
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.instruments import Instrument, InstrumentKind
from benchmarks.book.contender import Contender, Level, Record, Run
from benchmarks.book.contenders.alphaplus_measures import measures_of
from benchmarks.book.inputs import Inputs
from benchmarks.book.tasks import Task

Take = Callable[[EventArray], object]
Part = tuple[list[bytes], npt.NDArray[np.int64]]
"""Frames and when each was received, ns."""


class AlphaPlusBook(Contender):
    """The path of a live feed: decoder, sequence rules, book, measures."""

    compiles = True
    batches = True
    uses = "MarketFeed.on_frames, L2Book.apply(events, best_levels)"

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.instrument = _instrument(inputs)

    def prepare(self, task: Task) -> Run | None:
        batch = self.details.batch
        runs = {
            Task.APPLY: lambda: self._apply(self._batches),
            Task.APPLY_EACH: lambda: self._apply(self._each),
            Task.TOP: lambda: self._apply(self._batches),  # apply returns all touches anyway
            Task.TOP_20: lambda: self._apply(self._batches, best=True),
            Task.BYTES_BOOK: lambda: self._bytes(batch),
            Task.BYTES_TOP_20: lambda: self._bytes(batch, best=True),
            Task.BYTES_TOP_20_EACH: lambda: self._bytes(1, best=True),
            Task.BYTES_MEASURES: self._measures,
            Task.BYTES_MEASURES_ALL: self._measures_of_all,
        }
        return runs[task]()

    def record(self) -> Record:
        feed, book = self._joined()
        found = Record(self.details.messages)
        rows = np.zeros(self.details.batch, dtype=BEST_LEVELS)
        tick, at = float(self.details.tick_size), 0
        for frames, times in self._parts(self.details.batch):
            for made in feed.on_frames(frames, times).batches:
                count = len(book.apply(made.events, rows))
                for side, name in enumerate(("bid", "ask")):
                    part = found.best[at : at + count, side]
                    part[:, :, 0] = rows[f"{name}_tick"][:count] * tick
                    part[:, :, 1] = rows[f"{name}_quantity"][:count]
                at += count
        assert at == self.details.messages, f"{at} rows after {self.details.messages} messages"
        return found.finish(_levels(book, Side.BID, tick), _levels(book, Side.ASK, tick))

    def start(self) -> None:
        _, book = self._joined()
        assert book.is_valid

    def new_book(self) -> L2Book:
        book = L2Book(self.instrument)
        book.apply(FrameDecoder([self.instrument]).decode([self.inputs.thousand], [1], [0]).events)
        return book

    def allocated_bytes(self, book: object) -> int | None:
        assert isinstance(book, L2Book)
        return book.nbytes

    def _apply(self, batches: list[EventArray], *, best: bool = False) -> Run:
        _, book = self._joined()
        rows = np.zeros(self.details.batch, dtype=BEST_LEVELS) if best else None

        def call() -> None:
            for events in batches:
                book.apply(events, rows)

        return self.run(call)

    def _bytes(self, batch: int, *, best: bool = False) -> Run:
        feed, book = self._joined()
        parts = self._parts(batch)
        rows = np.zeros(batch, dtype=BEST_LEVELS) if best else None

        def call() -> None:
            for frames, times in parts:
                for made in feed.on_frames(frames, times).batches:
                    book.apply(made.events, rows)

        return self.run(call)

    def _measures(self) -> Run:
        take = measures_of(self.instrument)
        feed = MarketFeed([self.instrument])
        for made in self._start(feed):
            take(made)
        return Run(_through(feed, take, self._parts(self.details.batch)), self.details.messages)

    def _measures_of_all(self) -> Run:
        frames, times, hints = self._whole
        feed, take = MarketFeed([self.instrument]), measures_of(self.instrument)
        size = self.details.batch

        def call() -> None:
            for at in range(0, len(frames), size):
                part = slice(at, at + size)
                for made in feed.on_frames(frames[part], times[part], hints[part]).batches:
                    take(made.events)

        return Run(call, len(frames))

    def _joined(self) -> tuple[MarketFeed, L2Book]:
        """Return a feed and a book that have taken the start."""
        feed, book = MarketFeed([self.instrument]), L2Book(self.instrument)
        for events in self._start(feed):
            book.apply(events)
        return feed, book

    def _start(self, feed: MarketFeed) -> list[EventArray]:
        return [made.events for made in feed.on_frames(self.inputs.start, [1, 1], [0, -1]).batches]

    def _parts(self, size: int) -> list[Part]:
        frames, times = self.inputs.frames, self.inputs.arrays["ts_recv"]
        return [
            (frames[at : at + size], times[at : at + size]) for at in range(0, len(frames), size)
        ]

    @cached_property
    def _batches(self) -> list[EventArray]:
        """The events of the timed messages, in batches."""
        feed, _ = self._joined()
        parts = self._parts(self.details.batch)
        return [made.events for part in parts for made in feed.on_frames(*part).batches]

    @cached_property
    def _each(self) -> list[EventArray]:
        """The events of each timed message."""
        messages: list[EventArray] = []
        for events in self._batches:
            ends = np.flatnonzero((events["flags"] & Flag.LAST) != 0) + 1
            messages += [events[begin:end] for begin, end in pairwise([0, *ends.tolist()])]
        assert len(messages) == self.details.messages
        return messages

    @cached_property
    def _whole(self) -> tuple[list[bytes], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All frames of the instrument up to the last timed one, with times and hints."""
        from alphaplus.feeds.capture import RawCapture
        from alphaplus.feeds.discover import discover

        capture = RawCapture.read(self.details.capture)
        hints = discover(capture.frames, [self.instrument]).hints
        end = int(np.searchsorted(capture.ts_recv, self.inputs.arrays["ts_recv"][-1], "right"))
        decoder, chosen = FrameDecoder([self.instrument]), []
        for at in range(0, end, 10_000):
            part = slice(at, min(at + 10_000, end))
            decoded = decoder.decode(capture.frames[part], capture.ts_recv[part], hints[part])
            chosen.append(np.flatnonzero(decoded.messages["instrument"] == 0) + at)
        rows = np.concatenate(chosen)
        return [capture.frames[row] for row in rows], capture.ts_recv[rows], hints[rows]


def _through(feed: MarketFeed, take: Take, parts: list[Part]) -> Callable[[], None]:
    def call() -> None:
        for frames, times in parts:
            for made in feed.on_frames(frames, times).batches:
                take(made.events)

    return call


def _levels(book: L2Book, side: Side, tick: float) -> list[Level]:
    ticks, quantities = book.levels(side)
    return list(zip((ticks * tick).tolist(), quantities.tolist(), strict=True))


def _instrument(inputs: Inputs) -> Instrument:
    details = inputs.details
    return Instrument(
        symbol=details.symbol,
        exchange="binance",
        venue_symbol=details.venue_symbol,
        tick_size=Decimal(details.tick_size),
        lot_size=Decimal(details.lot_size),
        contract_size=details.contract_size,
        inverse=details.market == "inverse",
        kind=InstrumentKind.SPOT if details.market == "spot" else InstrumentKind.PERPETUAL,
    )
