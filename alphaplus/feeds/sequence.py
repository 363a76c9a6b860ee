"""When does a stream of book changes continue? Binance's rules, apart from book and decoder.

Source: "How to manage a local order book correctly" of the USD-M, COIN-M and spot pages.
`U`, `u` are the first and last update id of a change, `pu` the last id of the change before
it (futures only), `L` the id of a REST snapshot.

===  ===========================================  =======================================
     USD-M and COIN-M                             spot
===  ===========================================  =======================================
1    buffer every change from the first one       the same
2    ask for a snapshot after the first change    the same
3    drop buffered changes with u < L             drop buffered changes with u <= L
4    the first applied: U <= L <= u               the first applied: U <= L + 1 <= u
4a   first remaining beyond it: snapshot too old  the same
5    load the snapshot, then apply                the same
6    every later change: pu = previous u          every later change: U = previous u + 1
7    publish nothing before step 5 is complete    the same
===  ===========================================  =======================================

A change that is already in the book (u <= last id) is a duplicate: ignored, no gap. But where
`MAX_LINKED_DUPLICATES` of them follow one another, the stream goes on behind our last id, which
a frame with a wrong one has given us: that is a gap, as the book would stand still for ever.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from alphaplus.events import EventArray
from alphaplus.feeds.binance import MessageArray, Run

DEFAULT_MAX_BUFFERED: Final = 5000
"""Changes kept while a snapshot is awaited."""
MAX_LINKED_DUPLICATES: Final = 5
"""So many in a row may be old news; one more, and it is our id that is wrong."""


class SequenceRule(StrEnum):
    """Which column of the table holds."""

    FUTURES = "futures"
    SPOT = "spot"


@dataclass(frozen=True, slots=True)
class DepthUpdate:
    """One change of the book: U, u, pu (-1 on spot), how many levels, and its rows."""

    first_id: int
    last_id: int
    previous_id: int
    levels: int
    events: EventArray


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole book at one update id, with its rows."""

    last_id: int
    events: EventArray


@dataclass(frozen=True, slots=True)
class Applied:
    """The change continues the book (step 6): forward it."""


@dataclass(frozen=True, slots=True)
class Buffered:
    """The change waits for a snapshot (step 1).

    `dropped` older ones made room for it, `superseded` ones are in the snapshot that waits too.
    """

    dropped: int
    superseded: int = 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The change is in the book already: ignore it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A change is missing before this one, which waits for a new snapshot now."""

    expected: int
    was: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Snapshot and buffered changes meet (step 5): forward all of them in this order.

    `superseded` changes were older than the snapshot (step 3), `duplicates` were there
    twice. With a `gap` the changes end before it and the rest waits for a new snapshot.
    """

    snapshot: Snapshot
    updates: tuple[DepthUpdate, ...]
    superseded: int
    duplicates: int
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class SnapshotKept:
    """No change has reached the snapshot yet; `superseded` ones are older than it."""

    superseded: int


@dataclass(frozen=True, slots=True)
class SnapshotTooOld:
    """The changes begin after the snapshot (step 4a): ask for another."""

    last_id: int
    first_id: int
    superseded: int


@dataclass(frozen=True, slots=True)
class SnapshotIgnored:
    """The book is synchronised already, and beyond this snapshot."""


DepthOutcome = Applied | Buffered | Duplicate | Gap | Joined | SnapshotTooOld
SnapshotOutcome = Joined | SnapshotKept | SnapshotTooOld | SnapshotIgnored


class DepthSequence:
    """Orders the changes of one book and says what to do with each. Pure, without a clock."""

    def __init__(self, rule: SequenceRule, *, max_buffered: int = DEFAULT_MAX_BUFFERED) -> None:
        self.rule = rule
        self.last_id: int | None = None
        self._max_buffered = max_buffered
        self._buffer: deque[DepthUpdate] = deque()
        self._snapshot: Snapshot | None = None
        self._last_duplicate = -1
        self._linked_duplicates = 0

    @property
    def is_synced(self) -> bool:
        """Whether the changes forwarded so far make the venue's book."""
        return self.last_id is not None

    @property
    def has_snapshot(self) -> bool:
        """Whether a snapshot is here that no change has reached yet."""
        return self._snapshot is not None

    @property
    def buffered(self) -> int:
        """How many changes wait for a snapshot."""
        return len(self._buffer)

    def reset(self) -> int:
        """Forget everything, as after a lost connection; returns how many changes waited."""
        waiting = len(self._buffer)
        self.last_id = None
        self._buffer.clear()
        self._snapshot = None
        return waiting

    def accept_run(self, messages: MessageArray) -> int:
        """Return how many leading changes continue the book, and count them as applied.

        The vectorised form of `on_depth` for the usual case, a synchronised book.
        """
        if self.last_id is None or messages.size == 0:
            return 0
        last = messages["last_id"]
        before = np.empty_like(last)
        before[0] = self.last_id
        before[1:] = last[:-1]
        if self.rule is SequenceRule.FUTURES:
            continues = (messages["previous_id"] == before) & (last > before)
        else:
            continues = (messages["first_id"] == before + 1) & (last > before)
        count = messages.size if continues.all() else int(np.argmin(continues))
        if count:
            self._advance(int(last[count - 1]))
        return count

    def accept_linked(self, run: Run) -> bool:
        """Count all changes of a run as applied if they continue the book, else none.

        The form of `accept_run` for the usual batch, whose sums the decoder has made.
        """
        if self.last_id is None or run.first_last_id <= self.last_id:
            return False
        if self.rule is SequenceRule.FUTURES:
            continues = run.previous_id == self.last_id and run.breaks & 1 == 0
        else:
            continues = run.first_id == self.last_id + 1 and run.breaks & 2 == 0
        if continues:
            self._advance(run.last_id)
        return continues

    def on_depth(self, update: DepthUpdate) -> DepthOutcome:
        """Place one change."""
        if self.last_id is None:
            return self._buffer_update(update)
        if update.last_id <= self.last_id and not self._goes_on_behind(update):
            return Duplicate()
        expected, was = self._continuity(self.last_id, update)
        if expected == was:  # step 6
            self._advance(update.last_id)
            return Applied()
        self.last_id = None
        self._linked_duplicates = 0
        self._buffer.append(update)
        return Gap(expected, was)

    def on_snapshot(self, snapshot: Snapshot) -> SnapshotOutcome:
        """Place a snapshot. One that is ahead of a synchronised book is kept for a gap."""
        if self.last_id is not None:
            if snapshot.last_id > self.last_id:
                self._snapshot = snapshot
            return SnapshotIgnored()
        if self._snapshot is None or snapshot.last_id > self._snapshot.last_id:
            self._snapshot = snapshot
        return self._join(self._snapshot)

    def retry(self) -> SnapshotOutcome | None:
        """Try the snapshot kept from before a gap; None if there is none."""
        if self.last_id is not None or self._snapshot is None:
            return None
        return self._join(self._snapshot)

    def _goes_on_behind(self, duplicate: DepthUpdate) -> bool:
        """Say whether duplicates have followed one another for too long to be old news."""
        expected, was = self._continuity(self._last_duplicate, duplicate)
        follows = expected == was and duplicate.last_id > self._last_duplicate
        self._linked_duplicates = self._linked_duplicates + 1 if follows else 1
        self._last_duplicate = duplicate.last_id
        return self._linked_duplicates > MAX_LINKED_DUPLICATES

    def _advance(self, last_id: int) -> None:
        self.last_id = last_id
        self._linked_duplicates = 0
        if self._snapshot is not None and self._snapshot.last_id <= last_id:
            self._snapshot = None

    def _continuity(self, last_id: int, update: DepthUpdate) -> tuple[int, int]:
        """Return what step 6 expects and what the change says."""
        if self.rule is SequenceRule.FUTURES:
            return last_id, update.previous_id
        return last_id + 1, update.first_id

    def _buffer_update(self, update: DepthUpdate) -> Buffered | Joined | SnapshotTooOld:
        dropped = 0
        while len(self._buffer) >= self._max_buffered:
            self._buffer.popleft()
            dropped += 1
        self._buffer.append(update)  # step 1
        if self._snapshot is None:
            return Buffered(dropped)
        outcome = self._join(self._snapshot)
        if isinstance(outcome, SnapshotKept):
            return Buffered(dropped, outcome.superseded)
        return outcome

    def _join(self, snapshot: Snapshot) -> Joined | SnapshotKept | SnapshotTooOld:
        offset = 0 if self.rule is SequenceRule.FUTURES else 1
        target = snapshot.last_id + offset  # the id that step 4 wants inside the first change
        superseded = 0
        while self._buffer and self._buffer[0].last_id < target:  # step 3
            self._buffer.popleft()
            superseded += 1
        if not self._buffer:
            return SnapshotKept(superseded)
        first = self._buffer[0]
        if first.first_id > target:  # step 4a
            self._snapshot = None
            return SnapshotTooOld(snapshot.last_id, first.first_id, superseded)
        self._snapshot = None
        return self._apply_buffer(snapshot, superseded)

    def _apply_buffer(self, snapshot: Snapshot, superseded: int) -> Joined:
        first = self._buffer.popleft()
        updates = [first]
        last_id = first.last_id
        duplicates = 0
        gap = None
        while self._buffer:
            update = self._buffer[0]
            if update.last_id <= last_id:
                duplicates += 1
                self._buffer.popleft()
                continue
            expected, was = self._continuity(last_id, update)
            if expected != was:
                gap = Gap(expected, was)
                break
            updates.append(self._buffer.popleft())
            last_id = update.last_id
        self.last_id = last_id if gap is None else None
        return Joined(snapshot, tuple(updates), superseded, duplicates, gap)
