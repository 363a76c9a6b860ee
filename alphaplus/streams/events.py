"""Market events from a feed to a symbol: exact while they flow, and loud when they do not.

A book must see every event or know that it did not. The sender numbers every `send`; batches
that wait for a busy receiver leave joined, under the range of their numbers. A missing number,
or a sender that started anew, reaches the receiver as `EventBatch.hole`.
"""

import itertools
import logging
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from alphaplus.errors import StreamClosed
from alphaplus.events import EVENT, EventArray
from alphaplus.rows import join_rows
from alphaplus.streams._sockets import (
    POLLOUT,
    Closing,
    Receiver,
    ZmqSocket,
    connect_push,
    disconnect,
    events_of,
    is_flushed,
    try_send,
)
from alphaplus.streams._unix import UnixPush
from alphaplus.streams.counters import StreamCounters
from alphaplus.streams.endpoint import Endpoint, StreamKeys, Transport

logger = logging.getLogger(__name__)

HIGH_WATER: Final = 4
"""Messages on their way; more would make them old before the sender could join them."""
MAX_MESSAGE_EVENTS: Final = 8192
"""Joined batches end here (393 kB), unless a single one is bigger."""
MAX_TAKE_EVENTS: Final = 65_536
"""One `recv` ends here, so that a fast sender cannot keep it from returning."""

_MAGIC: Final = 0xA1E1
_HEADER: Final = struct.Struct("<HBBIQQQq")
"""magic, bytes of the name, bytes of the exchange, events, epoch, first, last, ts_send; then
both texts, then the events: one part, as a message of two costs two calls at each end."""


class _Waiting(NamedTuple):
    payload: bytes
    events: int
    ts_send: int


class EventSender(Closing):
    """Send the events of one symbol on one exchange, from one thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        exchange: str,
        keys: StreamKeys | None = None,
        max_backlog_events: int = 200_000,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Connect in the background; `name` is unique among the senders of one receiver."""
        self.counters = StreamCounters()
        self.name = name
        self._suffix = name.encode() + exchange.encode()
        self._lengths = len(name.encode()), len(exchange.encode())
        self._keys = keys
        self._max_backlog_events = max_backlog_events
        self._clock = clock
        self._backlog: deque[_Waiting] = deque()
        self._backlog_events = 0
        self._socket: ZmqSocket | UnixPush | None = None
        self.reconnect(endpoint)

    @property
    def backlog_events(self) -> int:
        """Events that wait here for the receiver."""
        return self._backlog_events

    @property
    def is_waiting(self) -> bool:
        """Whether something waits here for the receiver: `pump` until nothing does."""
        return bool(self._backlog) or not is_flushed(self._open_socket())

    def reconnect(self, endpoint: Endpoint) -> None:
        """Send to a receiver that has moved, under a new epoch.

        What waited here is dropped: it continues a book that the receiver no longer has.
        """
        if self._socket is not None:
            disconnect(self._socket)
            self._socket = None
        self._drop_backlog("the receiver has moved")
        self._epoch = secrets.randbits(64)
        self._next = 1
        self._socket = connect_push(endpoint, self._keys, high_water=HIGH_WATER)
        self.endpoint = endpoint

    def send(self, events: EventArray) -> bool:
        """Send a batch, or keep it for a busy receiver; the array may be used again at once.

        Returns False if the receiver was busy for so long that everything that waited, this
        batch included, was dropped: the caller must send a new snapshot. Never blocks.
        Raises StreamClosed after `close`.
        """
        socket = self._open_socket()
        if events.dtype != EVENT:
            raise TypeError(f"Expected events of dtype EVENT, was {events.dtype}.")
        if len(events) == 0:
            return True
        batch = _Waiting(events.tobytes(), len(events), self._clock())
        if not self._backlog and self._transmit(socket, [batch]):
            return True
        self._backlog.append(batch)
        self._backlog_events += batch.events
        self.pump()
        if self._backlog_events > self._max_backlog_events:
            self._drop_backlog("the receiver is too slow")
            return False
        return True

    def pump(self) -> bool:
        """Send what waits, as far as the receiver takes it; True if nothing waits any more."""
        socket = self._open_socket()
        while self._backlog and events_of(socket) & POLLOUT:
            batches = self._next_message()
            if not self._transmit(socket, batches):
                break
            for batch in batches:
                self._backlog.popleft()
                self._backlog_events -= batch.events
        return not self._backlog and is_flushed(socket)

    def close(self) -> None:
        """Close at once; what the receiver has not taken is dropped."""
        if self._socket is not None:
            disconnect(self._socket)
            self._socket = None
            self._drop_backlog("the sender closes")

    def _open_socket(self) -> ZmqSocket | UnixPush:
        if self._socket is None:
            raise StreamClosed(f"The stream of {self.name} is closed.")
        return self._socket

    def _next_message(self) -> list[_Waiting]:
        totals = itertools.accumulate(batch.events for batch in self._backlog)
        fitting = sum(1 for _ in itertools.takewhile(lambda n: n <= MAX_MESSAGE_EVENTS, totals))
        return list(itertools.islice(self._backlog, max(fitting, 1)))

    def _transmit(self, socket: ZmqSocket | UnixPush, batches: list[_Waiting]) -> bool:
        count = sum(batch.events for batch in batches)
        last = self._next + len(batches) - 1
        header = _HEADER.pack(
            _MAGIC, *self._lengths, count, self._epoch, self._next, last, batches[0].ts_send
        )
        message = b"".join((header, self._suffix, *(batch.payload for batch in batches)))
        if not try_send(socket, message):
            return False
        self._next = last + 1
        self.counters.sent += count
        self.counters.batches += 1
        self.counters.coalesced += len(batches) - 1
        return True

    def _drop_backlog(self, reason: str) -> None:
        if not self._backlog:
            return
        logger.warning(
            "%s: dropped %d events in %d batches, %s",
            self.name,
            self._backlog_events,
            len(self._backlog),
            reason,
        )
        self._next += len(self._backlog)  # their numbers are the hole that the receiver sees
        self.counters.dropped += self._backlog_events
        self._backlog.clear()
        self._backlog_events = 0


class EventBatch(NamedTuple):
    """Events of one sender in their order; `hole` says that something before them is missing."""

    sender: str
    exchange: str
    events: EventArray
    first: int
    """Numbers of the first and the last `send` that are inside."""
    last: int
    hole: bool
    ts_send: int
    """When the oldest of them was given to `send`, ns since 1970 UTC."""


class EventReceiver(Receiver[EventBatch]):
    """Receive the events of one symbol from all of its feeds."""

    high_water = HIGH_WATER

    def __init__(self, transport: Transport, *, address: str | None = None) -> None:
        """Bind to a fresh address, or to `address` to take the place of a dead receiver."""
        self._expected: dict[str, tuple[int, int]] = {}  # sender -> epoch, next number
        self._texts: dict[bytes, tuple[str, str]] = {}  # as sent -> sender, exchange
        super().__init__(transport, address=address)

    def _take(self) -> list[EventBatch]:
        batches: list[EventBatch] = []
        budget = MAX_TAKE_EVENTS
        while budget > 0 and (message := self._next_message()) is not None:
            parsed = self._parse(message)
            if parsed is None:
                self._reject("it is no event batch")
                continue
            epoch, batch = parsed
            budget -= len(batch.events)
            self.counters.received += len(batch.events)
            self.counters.batches += 1
            if self._is_hole(epoch, batch):
                batch = batch._replace(hole=True)
            batches.append(batch)
        return batches if len(batches) < 2 else self._joined(batches)

    def _joined(self, batches: list[EventBatch]) -> list[EventBatch]:
        """Join the batches of each sender that follow each other without a hole."""
        runs: list[list[EventBatch]] = []
        latest: dict[str, list[EventBatch]] = {}
        for batch in batches:
            if batch.sender in latest and not batch.hole:
                latest[batch.sender].append(batch)
                self.counters.coalesced += 1
            else:
                latest[batch.sender] = [batch]
                runs.append(latest[batch.sender])
        return [
            run[0]
            if len(run) == 1
            else run[0]._replace(
                events=join_rows([batch.events for batch in run]), last=run[-1].last
            )
            for run in runs
        ]

    def _is_hole(self, epoch: int, batch: EventBatch) -> bool:
        """Compare a message with what should come next; a first contact should start at 1."""
        known_epoch, expected = self._expected.get(batch.sender, (epoch, 1))
        self._expected[batch.sender] = epoch, batch.last + 1
        if known_epoch == epoch and expected == batch.first:
            return False
        self.counters.holes += 1
        if known_epoch != epoch:
            logger.warning("%s started anew; its book needs a snapshot", batch.sender)
        else:
            logger.warning("Expected batch %d of %s, was %d", expected, batch.sender, batch.first)
        return True

    def _parse(self, message: bytes) -> tuple[int, EventBatch] | None:
        """Return the sender's epoch and the batch; None if it is not ours."""
        if len(message) < _HEADER.size:
            return None
        magic, name_size, exchange_size, count, epoch, first, last, ts_send = _HEADER.unpack_from(
            message
        )
        exchange_at = _HEADER.size + name_size
        events_at = exchange_at + exchange_size
        if magic != _MAGIC or len(message) != events_at + count * EVENT.itemsize:
            return None
        suffix = message[_HEADER.size : events_at]
        texts = self._texts.get(suffix)
        if texts is None:
            name, exchange = suffix[:name_size], suffix[name_size:]
            texts = name.decode(errors="replace"), exchange.decode(errors="replace")
            self._texts[suffix] = texts
        # In a bytearray the array is writable, like one that a decoder made, so compiled
        # kernels meet the same type of array live and in replay and compile once.
        events = np.frombuffer(bytearray(memoryview(message)[events_at:]), dtype=EVENT)
        return epoch, EventBatch(*texts, events, first, last, False, ts_send)
