"""All books of one connection: frames in, ordered event batches and wishes out.

One `MarketFeed` stands behind each connection, live or recorded. It decodes the frames,
keeps one `DepthSequence` for each instrument, and forwards what a book may apply. Where the
book stands travels in the same order as STATUS rows. It has no clock and does no input or
output: what it needs (a snapshot) it asks for in its result.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

import numpy as np
import numpy.typing as npt

from alphaplus.events import EventArray, FeedStatus, empty_events, status_event
from alphaplus.feeds.binance import (
    Decoded,
    FrameDecoder,
    FrameError,
    MessageArray,
    MessageKind,
    Run,
)
from alphaplus.feeds.day_volume import DayVolumes
from alphaplus.feeds.sequence import (
    DEFAULT_MAX_BUFFERED,
    Applied,
    Buffered,
    DepthSequence,
    DepthUpdate,
    Duplicate,
    Gap,
    Joined,
    SequenceRule,
    Snapshot,
    SnapshotIgnored,
    SnapshotKept,
    SnapshotTooOld,
)
from alphaplus.instruments import Instrument, InstrumentKind
from alphaplus.rows import join_rows

log = logging.getLogger(__name__)

Timestamps = Sequence[int] | npt.NDArray[np.int64]

NO_INSTRUMENT: Final = -1

# Plain numbers: looking members of an enumeration up costs more than comparing them.
_OTHER: Final = int(MessageKind.OTHER)
_DEPTH: Final = int(MessageKind.DEPTH)
_SNAPSHOT: Final = int(MessageKind.SNAPSHOT)
_TRADE: Final = int(MessageKind.TRADE)


class SnapshotReason(StrEnum):
    """Why a snapshot is wanted."""

    FIRST_UPDATE = "first update"
    GAP = "gap"
    TOO_OLD = "snapshot too old"
    BAD_SNAPSHOT = "bad snapshot"


@dataclass(frozen=True, slots=True)
class SnapshotWanted:
    """Fetch the REST depth snapshot of an instrument (its index) and pass it on."""

    instrument: int
    reason: SnapshotReason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that could not be used, kept as it came."""

    ts_recv: int
    frame: bytes
    reason: FrameError
    instrument: int


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """Events of one instrument (its index), contiguous and in order."""

    instrument: int
    events: EventArray


@dataclass(slots=True)
class FeedOutput:
    """What came of some frames: batches to forward, snapshots to fetch, frames to keep aside."""

    batches: list[FeedBatch] = field(default_factory=list)
    wanted: list[SnapshotWanted] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


@dataclass(slots=True)
class InstrumentCounters:
    """What has happened to one instrument since the start."""

    messages: int = 0
    """Frames of this instrument, bad ones included."""
    depth_messages: int = 0
    """Changes of the book that were forwarded."""
    level_updates: int = 0
    """Levels in them."""
    trades: int = 0
    snapshots: int = 0
    """Snapshots received, those of the next two lines included."""
    snapshots_too_old: int = 0
    """Snapshots older than the first change that waited for one."""
    snapshots_ignored: int = 0
    """Snapshots that came while the book was synchronised."""
    gaps: int = 0
    resyncs: int = 0
    """Times the book was synchronised anew, the first time not counted."""
    duplicates: int = 0
    superseded: int = 0
    """Changes older than the snapshot that the book started from."""
    dropped_frames: int = 0
    """Changes lost while waiting: the buffer was full, or the connection broke."""
    bad_frames: int = 0
    status: FeedStatus = FeedStatus.CONNECTING
    last_ts_recv: int | None = None
    """When the last frame was received, ns."""


@dataclass(slots=True)
class FeedCounters:
    """What no instrument accounts for."""

    frames: int = 0
    other_frames: int = 0
    """Valid frames of no use: answers to subscriptions, unknown events."""
    unknown_symbol_frames: int = 0
    unattributed_bad_frames: int = 0


def sequence_rule(instrument: Instrument) -> SequenceRule:
    """Return the rule that the changes of an instrument's book follow."""
    if instrument.kind is InstrumentKind.SPOT:
        return SequenceRule.SPOT
    return SequenceRule.FUTURES


class _Book:
    """The sequence of one instrument, its counters, and what it has to forward."""

    def __init__(self, index: int, instrument: Instrument, max_buffered: int) -> None:
        self.index = index
        self.name = instrument.key
        self.counters = InstrumentCounters()
        self.sequence = DepthSequence(sequence_rule(instrument), max_buffered=max_buffered)
        self.is_wanted = False
        self.was_synced = False
        self._pieces: list[EventArray] = []

    def take(self, decoded: Decoded, messages: MessageArray, output: FeedOutput) -> None:
        """Place the good messages of this instrument, in order."""
        counters = self.counters
        counters.messages += len(messages)
        counters.last_ts_recv = int(messages["ts_recv"][-1])
        counters.trades += int(np.count_nonzero(messages["kind"] == _TRADE))
        at = 0
        while at < len(messages):
            at += self._take_run(decoded, messages[at:])
            if at < len(messages):
                self._take_one(decoded, messages[at], output)
                at += 1
        self.flush(output)

    def take_whole(self, decoded: Decoded, run: Run, output: FeedOutput) -> bool:
        """Forward a batch that needs no decision as it is; False if it needs one."""
        if run.changes and not self.sequence.accept_linked(run):
            return False
        counters = self.counters
        counters.messages += len(decoded.messages)
        counters.last_ts_recv = run.ts_recv
        counters.trades += run.trades
        counters.depth_messages += run.changes
        counters.level_updates += run.levels
        output.batches.append(FeedBatch(self.index, decoded.events))
        return True

    def flush(self, output: FeedOutput) -> None:
        """Put what was collected into the output as one batch."""
        if self._pieces:
            output.batches.append(FeedBatch(self.index, join_rows(self._pieces)))
            self._pieces = []

    def set_status(self, status: FeedStatus, ts_recv: int) -> None:
        """Remember a new status and forward it; the same status is not repeated."""
        if status is not self.counters.status:
            self.counters.status = status
            self._pieces.append(status_event(status, ts_recv=ts_recv))

    def want(self, reason: SnapshotReason, output: FeedOutput) -> None:
        """Ask for a snapshot, unless one is on its way."""
        if not self.is_wanted:
            self.is_wanted = True
            output.wanted.append(SnapshotWanted(self.index, reason))

    def _take_run(self, decoded: Decoded, messages: MessageArray) -> int:
        """Forward the longest run of messages that needs no decision; returns its length."""
        kinds = messages["kind"]
        ends = np.flatnonzero(kinds == _SNAPSHOT)
        length = int(ends[0]) if ends.size else len(messages)
        depth = np.flatnonzero(kinds[:length] == _DEPTH)
        if depth.size:
            accepted = self.sequence.accept_run(messages[depth])
            self.counters.depth_messages += accepted
            self.counters.level_updates += int(messages["levels"][depth[:accepted]].sum())
            if accepted < depth.size:
                length = int(depth[accepted])
        if length:
            self._pieces.append(_rows(decoded, messages[:length]))
        return length

    def _take_one(self, decoded: Decoded, message: np.void, output: FeedOutput) -> None:
        # A copy, since a change that waits must not keep its whole batch in memory.
        events = decoded.events[message["begin"] : message["end"]].copy()
        ts_recv = int(message["ts_recv"])
        if message["kind"] == _SNAPSHOT:
            self._take_snapshot(Snapshot(int(message["last_id"]), events), ts_recv, output)
            return
        update = DepthUpdate(
            first_id=int(message["first_id"]),
            last_id=int(message["last_id"]),
            previous_id=int(message["previous_id"]),
            levels=int(message["levels"]),
            events=events,
        )
        if self.counters.status in (FeedStatus.CONNECTING, FeedStatus.DISCONNECTED):
            self.set_status(FeedStatus.BUFFERING, ts_recv)
        match self.sequence.on_depth(update):
            case Applied():
                self._forward(update)
            case Buffered(dropped, superseded):
                self.counters.superseded += superseded
                if dropped:
                    self.counters.dropped_frames += dropped
                    log.warning("%s: buffer full, %d oldest changes dropped", self.name, dropped)
                if not self.sequence.has_snapshot:
                    self.want(SnapshotReason.FIRST_UPDATE, output)
            case Duplicate():
                self.counters.duplicates += 1
            case Gap() as gap:
                self._lost(gap, ts_recv, output)
            case Joined() as joined:
                self._load(joined, ts_recv, output)
            case SnapshotTooOld() as too_old:
                self._too_old(too_old, output)
            case never:
                assert_never(never)

    def _take_snapshot(self, snapshot: Snapshot, ts_recv: int, output: FeedOutput) -> None:
        self.is_wanted = False
        self.counters.snapshots += 1
        self._place(self.sequence.on_snapshot(snapshot), ts_recv, output)

    def _place(
        self,
        outcome: Joined | SnapshotKept | SnapshotTooOld | SnapshotIgnored,
        ts_recv: int,
        output: FeedOutput,
    ) -> None:
        match outcome:
            case Joined() as joined:
                self._load(joined, ts_recv, output)
            case SnapshotKept(superseded):
                self.counters.superseded += superseded
            case SnapshotTooOld() as too_old:
                self._too_old(too_old, output)
            case SnapshotIgnored():
                self.counters.snapshots_ignored += 1
            case never:
                assert_never(never)

    def _forward(self, update: DepthUpdate) -> None:
        self.counters.depth_messages += 1
        self.counters.level_updates += update.levels
        self._pieces.append(update.events)

    def _load(self, joined: Joined, ts_recv: int, output: FeedOutput) -> None:
        counters = self.counters
        counters.superseded += joined.superseded
        counters.duplicates += joined.duplicates
        self.is_wanted = False
        self._pieces.append(joined.snapshot.events)
        for update in joined.updates:
            self._forward(update)
        if joined.gap is not None:
            self._lost(joined.gap, ts_recv, output)
            return
        counters.resyncs += self.was_synced
        self.was_synced = True
        self.set_status(FeedStatus.SYNCED, ts_recv)

    def _lost(self, gap: Gap, ts_recv: int, output: FeedOutput) -> None:
        self.counters.gaps += 1
        log.warning(
            "%s: gap, expected the book to continue at %d, was %d; a new snapshot is wanted",
            self.name,
            gap.expected,
            gap.was,
        )
        self.set_status(FeedStatus.RESYNC, ts_recv)
        kept = self.sequence.retry()
        if kept is not None:
            self._place(kept, ts_recv, output)
        if not self.sequence.is_synced:
            self.want(SnapshotReason.GAP, output)

    def _too_old(self, too_old: SnapshotTooOld, output: FeedOutput) -> None:
        self.counters.snapshots_too_old += 1
        self.counters.superseded += too_old.superseded
        log.info(
            "%s: snapshot %d is older than the first change %d; another is wanted",
            self.name,
            too_old.last_id,
            too_old.first_id,
        )
        self.is_wanted = False
        self.want(SnapshotReason.TOO_OLD, output)


class MarketFeed:
    """Turns the frames of one connection into ordered events of its instruments."""

    def __init__(
        self, instruments: Sequence[Instrument], *, max_buffered: int = DEFAULT_MAX_BUFFERED
    ) -> None:
        """Start with unsynchronised books; `max_buffered` changes wait for each snapshot."""
        self.instruments: tuple[Instrument, ...] = ()
        self.counters = FeedCounters()
        self._max_buffered = max_buffered
        self._books: list[_Book] = []
        self.set_instruments(instruments)

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Follow these from now on, by their new places; the books of those that stay go on."""
        known = dict(zip(self.instruments, self._books, strict=True))
        self.instruments = tuple(instruments)
        self._decoder = FrameDecoder(self.instruments)
        self._day_volumes = DayVolumes(self.instruments)
        self._books = [
            known.get(item) or _Book(index, item, self._max_buffered)
            for index, item in enumerate(self.instruments)
        ]
        for index, book in enumerate(self._books):
            book.index = index

    def warm(self) -> None:
        """Run the decoder once, so that it is not compiled while frames wait."""
        frame = b'{"e":"depthUpdate","E":1,"s":"?","U":1,"u":1,"pu":1,"b":[["1.0","1.0"]],"a":[]}'
        self._decoder.decode([frame, frame], [0, 0])

    def instrument_counters(self, index: int) -> InstrumentCounters:
        """Return the live counters of an instrument."""
        return self._books[index].counters

    def on_frames(
        self, frames: Sequence[bytes], ts_recv: Timestamps, hints: Timestamps | None = None
    ) -> FeedOutput:
        """Take frames in the order in which they were received, at `ts_recv` (ns).

        `hints` gives the instrument index of frames that name no symbol (a recording's REST
        snapshots), -1 for the others.
        """
        output = FeedOutput()
        decoded = self._decoder.decode(frames, ts_recv, hints)
        messages = decoded.messages
        self.counters.frames += len(messages)
        run = decoded.run
        if run is not None and self._books[run.instrument].take_whole(decoded, run, output):
            return output
        is_other = messages["kind"] == _OTHER
        if is_other.any():
            others = np.flatnonzero(is_other & (messages["error"] == 0))
            decoded = self._day_volumes.read(decoded, frames, others)
        if messages["error"].any():
            self._set_aside(frames, messages, output)
            messages = messages[messages["error"] == 0]
        is_other = messages["kind"] == _OTHER
        if is_other.any():
            self.counters.other_frames += int(np.count_nonzero(is_other))
            messages = messages[~is_other]
        if len(messages) == 0:
            return output
        owners = messages["instrument"]
        first = int(owners[0])
        if (owners == first).all():
            self._books[first].take(decoded, messages, output)
            return output
        for index in np.unique(owners):
            self._books[index].take(decoded, messages[owners == index], output)
        return output

    @property
    def is_synced(self) -> bool:
        """Whether every book is in step with the venue."""
        return all(book.sequence.is_synced for book in self._books)

    def on_snapshot(self, instrument: int, payload: bytes, ts_recv: int) -> FeedOutput:
        """Take the REST depth snapshot of an instrument, received at `ts_recv` (ns).

        Anything else than a snapshot in it is a bad frame, and another is wanted.
        """
        book = self._books[instrument]
        before = book.counters.snapshots
        output = self.on_frames([payload], [ts_recv], [instrument])
        if book.counters.snapshots == before and not book.sequence.is_synced:
            book.is_wanted = False
            book.want(SnapshotReason.BAD_SNAPSHOT, output)
        return output

    def on_disconnect(self, ts_recv: int, instruments: Sequence[int] | None = None) -> FeedOutput:
        """Mark books as disconnected at `ts_recv` (ns): those given, or all."""
        output = FeedOutput()
        for index in range(len(self._books)) if instruments is None else instruments:
            book = self._books[index]
            book.counters.dropped_frames += book.sequence.reset()
            book.is_wanted = False
            book.set_status(FeedStatus.DISCONNECTED, ts_recv)
            book.flush(output)
        return output

    def resync(self, instrument: int, ts_recv: int) -> FeedOutput:
        """Start a book again, for one who found it wrong or has lost events of it.

        The snapshot is asked for when the next change arrives (step 2 of the rules).
        """
        output = FeedOutput()
        book = self._books[instrument]
        book.counters.dropped_frames += book.sequence.reset()
        book.is_wanted = False
        book.set_status(FeedStatus.RESYNC, ts_recv)
        book.flush(output)
        return output

    def _set_aside(
        self, frames: Sequence[bytes], messages: MessageArray, output: FeedOutput
    ) -> None:
        """Count the frames with an error, and hand out those that are no other's symbol."""
        for at in np.flatnonzero(messages["error"]).tolist():
            message = messages[at]
            reason = FrameError(int(message["error"]))
            if reason is FrameError.SYMBOL:
                self.counters.unknown_symbol_frames += 1
                continue
            index = int(message["instrument"])
            ts_recv = int(message["ts_recv"])
            if index == NO_INSTRUMENT:
                self.counters.unattributed_bad_frames += 1
            else:
                self._books[index].counters.messages += 1
                self._books[index].counters.bad_frames += 1
            output.dead_letters.append(DeadLetter(ts_recv, frames[at], reason, index))


def _rows(decoded: Decoded, messages: MessageArray) -> EventArray:
    """Return the rows of some messages, without a copy where they lie side by side."""
    begins = messages["begin"]
    ends = messages["end"]
    if (begins[1:] == ends[:-1]).all():
        together: EventArray = decoded.events[int(begins[0]) : int(ends[-1])]
        return together
    lengths = ends - begins
    if not lengths.any():
        return empty_events()
    # Row numbers of all messages: a running count, shifted at the first row of each message.
    shifts = np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
    gathered: EventArray = decoded.events[np.arange(shifts.size) + shifts]
    return gathered
