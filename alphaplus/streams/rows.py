"""Rows that must not be lost, from many senders to a store.

1. The sender numbers every batch and keeps it until it is acknowledged.
2. The receiver hands it out; the application makes it durable and then calls `ack`.
3. On every new connection ZeroMQ sends an empty probe and the receiver answers WELCOME with its
   epoch: the sender sends all that is not acknowledged, again where it was sent before.
4. An acknowledgement names the floor (all numbers up to it) and single numbers above it, so a
   lost one is healed by the next. After a time-out the oldest batch goes again, as a question.
5. The receiver discards what it has seen, by sender epoch and number, and acknowledges again
   what is durable. Batches come in order, except that after a reconnect a new one may overtake.

The pair (sender epoch, number) never changes, not even when the sender is pointed at another
receiver, so a store that records it with the rows keeps each batch exactly once.
"""

import itertools
import logging
import math
import secrets
import select
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import zmq

from alphaplus.errors import StreamClosed
from alphaplus.streams._ledger import Ledger, Verdict
from alphaplus.streams._sockets import (
    MAX_MESSAGE_BYTES,
    Closing,
    Receiver,
    ZmqSocket,
    connect_dealer,
    descriptor_of,
    disconnect,
    try_recv_parts,
    try_send,
)
from alphaplus.streams.counters import StreamCounters, worth_logging
from alphaplus.streams.endpoint import Endpoint, StreamKeys, Transport

logger = logging.getLogger(__name__)

HIGH_WATER: Final = 16
"""Messages that wait in the sockets of each sender and at the receiver for it; what is more waits
in the sender, which bounds it."""
MAX_TAKE_BATCHES: Final = 1024
"""One `recv` ends here, so that fast senders cannot keep it from returning."""
MAX_SENDERS: Final = 4096
"""Senders remembered; past it the longest known one without open batches is forgotten."""
MAX_ACK_TIMEOUT_S: Final = 60.0
"""The time-out doubles up to here while nothing is acknowledged."""

_MAGIC: Final = 0xA1E3
_ROWS: Final = struct.Struct("<HHHxxIIQQQq")
"""magic, bytes of the name, bytes of the table, rows, bytes per row, sender epoch, number,
oldest unacknowledged number, ts_send; then both texts and the rows. A message is one or more of
these: batches that wait together travel together."""
_MESSAGE_BATCHES: Final = 64
_MESSAGE_BYTES: Final = 2**20
"""A message takes no more batches than this, and no further one past so many bytes."""
_BATCH_BYTES: Final = MAX_MESSAGE_BYTES - 2**18
"""Of one batch at most: with it go what is said of it, and two names of up to 64 KiB."""
_CONTROL: Final = struct.Struct("<HBxxxxxQQQ")
"""magic, kind, receiver epoch, sender epoch, floor; then single numbers as int64."""
_WELCOME: Final = 1
_ACK: Final = 2


@dataclass(slots=True)
class _Batch:
    table: bytes
    payload: bytes
    rows: int
    itemsize: int
    ts_send: int
    source: str
    sent_at: float | None = None
    """Monotonic seconds; None until it was sent."""


class RowSender(Closing):
    """Send batches of rows and keep each until it is durable; any thread may use it."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        keys: StreamKeys | None = None,
        max_unacked_rows: int = 500_000,
        max_unacked_bytes: int = 1 << 28,
        ack_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect in the background; `name` is for logs, the epoch tells senders apart.

        The bounds hold for each of `sharers`, who may be several.
        """
        self.sharers = 1
        self.counters = StreamCounters()
        self.name = name
        self.epoch = secrets.randbits(64)
        self._keys = keys
        self._max_rows = max_unacked_rows
        self._max_bytes = max_unacked_bytes
        self._ack_timeout_s = self._patience_s = ack_timeout_s
        self._clock = clock
        self._unacked: dict[int, _Batch] = {}  # in order of their numbers
        self._unacked_rows = 0
        self._unacked_bytes = 0
        self._refusals = 0
        self._queue: deque[int] = deque()  # numbers to send, or to send again
        self._next = 1
        self._receiver_epoch: int | None = None
        self._lock = threading.Lock()
        self._socket: ZmqSocket | None = None
        self.reconnect(endpoint)

    @property
    def unacked(self) -> int:
        """Rows that are not known to be durable."""
        return self._unacked_rows

    def unacked_of(self, source: str) -> int:
        """Return the rows of one source that are not known to be durable."""
        with self._lock:
            return sum(batch.rows for batch in self._unacked.values() if batch.source == source)

    def reconnect(self, endpoint: Endpoint) -> None:
        """Send to a receiver that has moved, all that is not acknowledged first."""
        with self._lock:
            if self._socket is not None:
                disconnect(self._socket)
                self._socket = None
            self._socket = connect_dealer(endpoint, self._keys, high_water=HIGH_WATER)
            self._welcomed = False
            self.endpoint = endpoint

    def send(self, table: str, rows: npt.NDArray[Any]) -> bool:
        """Take a batch as `put`, and send it at once if the receiver is there."""
        is_taken = self.put(table, rows)
        self.pump()
        return is_taken

    def put(self, table: str, rows: npt.NDArray[Any], *, source: str = "") -> bool:
        """Take a batch of rows for a table, to be sent with the next `pump`.

        The array may be used again at once. Never blocks. Returns False, and does not take it, if
        too much is unacknowledged: the caller counts it and decides. Raises ValueError if the
        batch is too big for any message, StreamClosed after `close`.
        """
        if len(rows) == 0:
            return True
        if rows.nbytes > min(_BATCH_BYTES, self._max_bytes) or len(rows) > self._max_rows:
            raise ValueError(
                f"Expected a batch within {self._max_rows} rows and "
                f"{min(_BATCH_BYTES, self._max_bytes)} bytes, was {len(rows)} rows and "
                f"{rows.nbytes} bytes; split it."
            )
        with self._lock:
            socket = self._open_socket()
            if self._is_full(len(rows), rows.nbytes):
                self._exchange(socket)  # acknowledgements may be there
                if self._is_full(len(rows), rows.nbytes):
                    self._refuse(len(rows))
                    return False
            self._unacked[self._next] = _Batch(
                table.encode(), rows.tobytes(), len(rows), rows.itemsize, time.time_ns(), source
            )
            self._unacked_rows += len(rows)
            self._unacked_bytes += rows.nbytes
            self._queue.append(self._next)
            self._next += 1
        return True

    def pump(self) -> bool:
        """Read acknowledgements and send what waits; True if every row is durable."""
        with self._lock:
            self._exchange(self._open_socket())
            return not self._unacked

    def wait_drained(self, timeout_s: float, *, source: str | None = None) -> bool:
        """Wait until every row (of a source) is durable; False if `timeout_s` is over before.

        Others may send meanwhile. In an asyncio loop call it through `asyncio.to_thread`.
        """
        deadline = time.monotonic() + timeout_s
        while not (self.pump() or (source is not None and not self.unacked_of(source))):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            with self._lock:
                poll = select.poll()
                poll.register(descriptor_of(self._open_socket()), select.POLLIN)
            # Another thread's use of the socket may take the wake-up: look every 50 ms.
            poll.poll(min(math.ceil(remaining * 1e3), 50))
        return True

    def close(self) -> None:
        """Close at once; rows without acknowledgement are given up, with a log line."""
        with self._lock:
            if self._socket is None:
                return
            disconnect(self._socket)
            self._socket = None
            if self._unacked:
                self.counters.dropped += self._unacked_rows
                logger.error("%s: closed with %d rows unacked", self.name, self._unacked_rows)

    def _open_socket(self) -> ZmqSocket:
        if self._socket is None:
            raise StreamClosed(f"The stream of {self.name} is closed.")
        return self._socket

    def _is_full(self, rows: int, nbytes: int) -> bool:
        return (
            self._unacked_rows + rows > self._max_rows * self.sharers
            or self._unacked_bytes + nbytes > self._max_bytes * self.sharers
        )

    def _refuse(self, rows: int) -> None:
        self.counters.refused += rows
        self._refusals += 1
        if worth_logging(self._refusals):
            logger.warning(
                "%s: refused %d rows, %d are unacked already", self.name, rows, self._unacked_rows
            )

    def _exchange(self, socket: ZmqSocket) -> None:
        while (parts := try_recv_parts(socket)) is not None:
            self._hear(parts)
        self._ask_again()
        self._flush(socket)

    def _hear(self, parts: list[bytes]) -> None:
        if len(parts) != 1 or len(parts[0]) < _CONTROL.size or len(parts[0]) % 8:
            self.counters.rejected += 1
            return
        magic, kind, receiver_epoch, epoch, floor = _CONTROL.unpack_from(parts[0])
        if magic == _MAGIC and kind == _WELCOME:
            self._start_over(receiver_epoch)
        elif magic == _MAGIC and kind == _ACK and epoch == self.epoch:
            self._settle(floor, np.frombuffer(parts[0], np.int64, offset=_CONTROL.size).tolist())
        else:
            self.counters.rejected += 1

    def _start_over(self, receiver_epoch: int) -> None:
        if self._receiver_epoch not in (None, receiver_epoch):
            logger.info("%s: a new receiver, %d rows unacked", self.name, self._unacked_rows)
        self._receiver_epoch = receiver_epoch
        self._welcomed = True
        self._queue = deque(self._unacked)

    def _settle(self, floor: int, numbers: list[int]) -> None:
        while self._unacked and (oldest := next(iter(self._unacked))) <= floor:
            self._forget(oldest)
        for number in numbers:
            self._forget(number)
        self._patience_s = self._ack_timeout_s

    def _forget(self, number: int) -> None:
        batch = self._unacked.pop(number, None)
        if batch is not None:
            self._unacked_rows -= batch.rows
            self._unacked_bytes -= len(batch.payload)
            self.counters.acked += batch.rows

    def _ask_again(self) -> None:
        """Send the oldest batch again if it had no answer for long (point 4)."""
        if not self._unacked or self._queue:
            return
        number, batch = next(iter(self._unacked.items()))
        if batch.sent_at is not None and self._clock() - batch.sent_at > self._patience_s:
            self._queue.append(number)
            self._patience_s = min(2 * self._patience_s, MAX_ACK_TIMEOUT_S)

    def _flush(self, socket: ZmqSocket) -> None:
        while self._welcomed and self._queue:
            looked, numbers = self._next_message()
            if numbers and not try_send(socket, b"".join(self._parts(numbers))):
                return
            for _ in range(looked):
                self._queue.popleft()
            self.counters.batches += len(numbers)
            now = self._clock()
            for batch in map(self._unacked.__getitem__, numbers):
                if batch.sent_at is None:
                    self.counters.sent += batch.rows
                else:
                    self.counters.resent += batch.rows
                batch.sent_at = now

    def _next_message(self) -> tuple[int, list[int]]:
        """Return how much of the queue the next message empties, and the numbers in it.

        They differ where a batch was acknowledged meanwhile.
        """
        looked = nbytes = 0
        numbers: list[int] = []
        for number in itertools.islice(self._queue, _MESSAGE_BATCHES):
            batch = self._unacked.get(number)
            if batch is not None:
                nbytes += len(batch.payload)
                if numbers and nbytes > _MESSAGE_BYTES:
                    break
                numbers.append(number)
            looked += 1
        return looked, numbers

    def _parts(self, numbers: list[int]) -> Iterator[bytes]:
        name, oldest = self.name.encode(), next(iter(self._unacked))
        for number in numbers:
            batch = self._unacked[number]
            yield _ROWS.pack(
                _MAGIC,
                len(name),
                len(batch.table),
                batch.rows,
                batch.itemsize,
                self.epoch,
                number,
                oldest,
                batch.ts_send,
            )
            yield name
            yield batch.table
            yield batch.payload


class SenderId(NamedTuple):
    """One life of one sender."""

    name: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """Rows of one table; (`sender.epoch`, `number`) names them for ever."""

    sender: SenderId
    number: int
    table: str
    payload: bytes
    count: int
    itemsize: int
    ts_send: int
    """When they were given to `send`, ns since 1970 UTC."""

    def rows(self, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """View the payload as rows, read-only; ValueError if the sender's rows differ in size."""
        if dtype.itemsize != self.itemsize:
            raise ValueError(
                f"Expected rows of {self.table} to have {dtype.itemsize} bytes, was "
                f"{self.itemsize}; {self.sender.name} runs another version."
            )
        return np.frombuffer(self.payload, dtype)


class RowReceiver(Receiver[RowBatch]):
    """Receive rows from many senders, each batch once, and acknowledge what is durable."""

    kind = zmq.ROUTER
    high_water = HIGH_WATER
    linger_ms = 1000  # the last acknowledgements leave before the socket does

    def __init__(
        self,
        transport: Transport,
        *,
        address: str | None = None,
        durable: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Bind to a fresh address, or to `address` to take the place of a dead receiver.

        `durable` lists (sender epoch, number) of batches that were made durable before, as far
        as they are known; if they come again they are acknowledged and not handed out.
        """
        self.epoch = secrets.randbits(64)
        self._ledgers: dict[int, Ledger] = {}
        self._routes: dict[int, bytes] = {}
        self._asked: deque[tuple[int, int]] = deque()  # acks of the application, to be sent
        for epoch, number in durable:
            self._ledgers.setdefault(epoch, Ledger()).durable.add(number)
        for ledger in self._ledgers.values():
            ledger.settle(())
        super().__init__(transport, address=address)

    @property
    def pending(self) -> int:
        """Batches handed out and not yet acknowledged by the application."""
        return sum(len(ledger.pending) for ledger in list(self._ledgers.values()))

    def ack(self, *batches: RowBatch) -> None:
        """Acknowledge batches that are durable, from any thread; they leave with `recv`."""
        self._asked.extend((batch.sender.epoch, batch.number) for batch in batches)
        self._wake()

    def _take(self) -> list[RowBatch]:
        again: defaultdict[int, list[int]] = defaultdict(list)
        batches = [batch for batch in self._arrivals(again) if batch is not None]
        self._send_acks(again)
        return batches

    def _say_last(self) -> None:
        self._send_acks(defaultdict(list))

    def _arrivals(self, again: dict[int, list[int]]) -> Iterator[RowBatch | None]:
        """Read what is there; `again` collects durable numbers to acknowledge again."""
        taken = 0
        while taken < MAX_TAKE_BATCHES and (parts := try_recv_parts(self._zmq)) is not None:
            taken += 1
            if parts[1:] == [b""]:
                self._control(parts[0], _WELCOME, 0, 0, ())
            elif len(parts) != 2 or (found := _parse(parts[1])) is None:
                self._reject("it is no batch of rows")
            else:
                taken += len(found) - 1
                for batch, oldest in found:
                    yield self._judge(parts[0], batch, oldest, again)

    def _judge(
        self, route: bytes, batch: RowBatch, oldest: int, again: dict[int, list[int]]
    ) -> RowBatch | None:
        epoch = batch.sender.epoch
        self._routes[epoch] = route
        self.counters.batches += 1
        verdict = self._ledger(epoch).accept(batch.number, oldest, batch.count)
        if verdict is Verdict.NEW:
            self.counters.received += batch.count
            return batch
        self.counters.duplicates += batch.count
        if verdict is Verdict.DURABLE:
            again[epoch].append(batch.number)
        return None

    def _ledger(self, epoch: int) -> Ledger:
        if epoch not in self._ledgers:
            if len(self._ledgers) >= MAX_SENDERS:
                self._forget_one()
            self._ledgers[epoch] = Ledger()
        return self._ledgers[epoch]

    def _forget_one(self) -> None:
        idle = (epoch for epoch, ledger in self._ledgers.items() if not ledger.pending)
        epoch = next(idle, None)
        if epoch is not None:
            del self._ledgers[epoch]
            self._routes.pop(epoch, None)

    def _send_acks(self, numbers: defaultdict[int, list[int]]) -> None:
        later: list[tuple[int, int]] = []
        while self._asked:
            epoch, number = self._asked.popleft()
            numbers[epoch].append(number)
        for epoch, settled in numbers.items():
            ledger = self._ledger(epoch)
            self.counters.acked += ledger.settle(settled)
            route = self._routes.get(epoch)
            above = [number for number in settled if number > ledger.floor]
            if route is not None and not self._control(route, _ACK, epoch, ledger.floor, above):
                later.extend((epoch, number) for number in settled)
        self._asked.extend(later)

    def _control(
        self, route: bytes, kind: int, epoch: int, floor: int, numbers: Iterable[int]
    ) -> bool:
        """Send a control message; False if the sender's queue is full, so try again later."""
        control = _CONTROL.pack(_MAGIC, kind, self.epoch, epoch, floor)
        control += np.fromiter(numbers, np.int64).tobytes()
        try:
            return try_send(self._zmq, route, control)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return True  # the connection is gone; the sender asks again on its next one


def _parse(message: bytes) -> list[tuple[RowBatch, int]] | None:
    """Return batches, each with its sender's oldest number; None if the message is not ours."""
    found, at = [], 0
    while at < len(message):
        if len(message) < at + _ROWS.size:
            return None
        magic, name_size, table_size, count, itemsize, epoch, number, oldest, ts_send = (
            _ROWS.unpack_from(message, at)
        )
        table_at = at + _ROWS.size + name_size
        rows_at = table_at + table_size
        end = rows_at + count * itemsize
        if magic != _MAGIC or len(message) < end or not 1 <= oldest <= number:
            return None
        batch = RowBatch(
            sender=SenderId(message[at + _ROWS.size : table_at].decode(errors="replace"), epoch),
            number=number,
            table=message[table_at:rows_at].decode(errors="replace"),
            payload=message[rows_at:end],
            count=count,
            itemsize=itemsize,
            ts_send=ts_send,
        )
        found.append((batch, oldest))
        at = end
    return found or None
