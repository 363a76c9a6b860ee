"""Messages over Unix sockets: one machine's way for what must be fast.

A message crosses in one system call a side and wakes the thread that waits for it, without the
threads that ZeroMQ puts between: under load that is half of the processor time, and most of
the waiting. Each message is preceded by its length. Between machines, and where messages are
acknowledged, streams use ZeroMQ (`_sockets`).
"""

import contextlib
import errno
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

_LENGTH: Final = struct.Struct("<I")
_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_FIRST_BYTES: Final = 1 << 14
_BACKLOG: Final = 512
"""Senders that may be connecting at the same time."""
_RETRY_S: Final = 0.02
_MAX_RETRY_S: Final = 1.0
_ABSENT: Final = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)


class UnixPush:
    """Sends to one receiver, and connects to it whenever it is there. Never blocks."""

    def __init__(
        self, path: Path, buffer_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = str(path)
        self._buffer_bytes = buffer_bytes
        self._clock = clock
        self._socket: socket.socket | None = None
        self._rest = memoryview(b"")  # of a message that the kernel took in part
        self._retry_s = _RETRY_S
        self._next_try = -float("inf")

    def send(self, message: bytes) -> bool:
        """Hand over a message and return True; False at once if it cannot go now."""
        if not self.flush():
            return False
        length = _LENGTH.pack(len(message))
        sent = self._write(length, message)
        if sent == 0:
            return False
        if sent < len(length) + len(message):
            self._rest = memoryview(length + message)[sent:]
        return True

    def flush(self) -> bool:
        """Send the rest of the last message; True if connected and nothing of it is left."""
        if self._socket is None:
            self._connect()
        if self._rest:
            self._rest = self._rest[self._write(self._rest) :]
        return self._socket is not None and not self._rest

    @property
    def is_flushed(self) -> bool:
        """Whether nothing of a message that was taken is still to be sent."""
        return not self._rest

    @property
    def is_writable(self) -> bool:
        """Whether a message can go now."""
        if not self.flush() or self._socket is None:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return any(ready & select.POLLOUT for _, ready in poll.poll(0))

    def close(self) -> None:
        """Close at once."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._rest = memoryview(b"")

    def _connect(self) -> None:
        now = self._clock()
        if now < self._next_try:
            return
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
            found.setblocking(False)
            found.connect(self._path)
        except OSError as error:
            found.close()
            if error.errno not in _ABSENT:
                raise
            self._next_try = now + self._retry_s
            self._retry_s = min(2 * self._retry_s, _MAX_RETRY_S)
            return
        self._socket, self._retry_s = found, _RETRY_S

    def _write(self, *parts: bytes | memoryview) -> int:
        if self._socket is None:
            return 0
        try:
            return self._socket.sendmsg(parts, (), _FLAGS)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            self.close()  # the receiver is gone; numbers show it what it has missed
            return 0


class UnixPull:
    """Listens at a path and takes messages from any number of senders, each in its order.

    `fileno` is readable while there is something to look at. `on_bad` is told of a sender that
    announces a message of more than `max_bytes`; it is disconnected.
    """

    def __init__(self, path: Path, *, max_bytes: int, on_bad: Callable[[str], None]) -> None:
        self._max_bytes = max_bytes
        self._on_bad = on_bad
        self._messages: deque[bytes] = deque()
        self._senders: dict[int, _Incoming] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)  # of a receiver that died
            self._listener.setblocking(False)
            self._listener.bind(str(path))
            self._listener.listen(_BACKLOG)
            self._epoll = select.epoll()
        except BaseException:
            self._listener.close()
            raise
        self._epoll.register(self._listener, select.EPOLLIN)

    def fileno(self) -> int:
        """Return a descriptor that is readable while there is something to be read ahead."""
        return self._epoll.fileno()

    @property
    def has_message(self) -> bool:
        """Whether `recv` would return one."""
        if not self._messages:
            self._look()
        return bool(self._messages)

    @property
    def is_ahead(self) -> bool:
        """Whether messages were read that `recv` has not returned: `fileno` tells of no such."""
        return bool(self._messages)

    def recv(self) -> bytes | None:
        """Return the next message, None if there is none now."""
        return self._messages.popleft() if self.has_message else None

    def close(self) -> None:
        """Close everything at once."""
        for sender in self._senders.values():
            sender.socket.close()
        self._senders.clear()
        self._listener.close()
        self._epoll.close()

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            if descriptor == self._listener.fileno():
                self._accept()
            else:
                self._read(descriptor)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):  # it has gone again
            while True:
                found, _ = self._listener.accept()
                found.setblocking(False)
                self._senders[found.fileno()] = _Incoming(found)
                self._epoll.register(found, select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        sender = self._senders[descriptor]
        try:
            is_open = sender.read(self._messages, self._max_bytes)
        except ValueError as error:
            self._on_bad(str(error))
            is_open = False
        if not is_open:
            self._epoll.unregister(descriptor)
            sender.socket.close()
            del self._senders[descriptor]


class _Incoming:
    """The connection of one sender, and what has come of its next message."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = bytearray(_FIRST_BYTES)
        self._filled = 0

    def read(self, messages: deque[bytes], max_bytes: int) -> bool:
        """Take what is there, at most a buffer full; False if the sender is gone.

        Raises ValueError for a message that is too long.
        """
        try:
            count = self.socket.recv_into(memoryview(self._buffer)[self._filled :])
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if count == 0:
            return False
        self._filled += count
        begin = 0
        while self._filled - begin >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, begin)
            if length > max_bytes:
                raise ValueError(f"it announces {length} bytes")
            end = begin + _LENGTH.size + length
            if end > self._filled:
                if end - begin > len(self._buffer):
                    self._grow(end - begin)
                break
            messages.append(bytes(memoryview(self._buffer)[begin + _LENGTH.size : end]))
            begin = end
        if begin:
            self._buffer[: self._filled - begin] = self._buffer[begin : self._filled]
            self._filled -= begin
            if not self._filled and len(self._buffer) > _FIRST_BYTES:
                self._buffer = bytearray(_FIRST_BYTES)  # long messages are rare
        return True

    def _grow(self, size: int) -> None:
        grown = bytearray(size)
        grown[: len(self._buffer)] = self._buffer
        self._buffer = grown
