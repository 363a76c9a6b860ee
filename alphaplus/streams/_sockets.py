"""Sockets as the streams need them: never blocking, private, and closed for certain."""

import asyncio
import logging
import math
import os
import random
import select
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast

import zmq
from zmq.auth.thread import ThreadAuthenticator

from alphaplus.errors import ConfigError, StreamClosed
from alphaplus.streams._unix import UnixPull, UnixPush
from alphaplus.streams.counters import StreamCounters, worth_logging
from alphaplus.streams.endpoint import IPC, Endpoint, StreamKeys, Transport

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 1 << 26
"""A peer that sends more in one message is disconnected."""
KERNEL_BUFFER_BYTES: Final = 1 << 18
"""Per connection and direction: what waits there is out of the sender's hands."""
MAX_SOCKETS: Final = 8192
RECONNECT_MS: Final = 20
RECONNECT_MAX_MS: Final = 1000
HEARTBEAT_MS: Final = 2000
"""Between machines: a silent peer is given up after three of these."""
ZAP_DOMAIN: Final = "alphaplus"

POLLIN: Final = int(zmq.POLLIN)
POLLOUT: Final = int(zmq.POLLOUT)
"""As plain numbers: those of pyzmq are enumerations, slow to calculate with."""

ZmqSocket = zmq.Socket[bytes]
Item = TypeVar("Item")


class Closing(ABC):
    """Leaving a `with` block closes."""

    @abstractmethod
    def close(self) -> None:
        """Give up every socket."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _SharedContext:
    """The context of all senders in this process: made with the first, ended with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: zmq.Context[ZmqSocket] | None = None
        self._users = 0

    def open(self, kind: int) -> ZmqSocket:
        with self._lock:
            if self._context is None:
                self._context = zmq.Context()
                self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
            socket = self._context.socket(kind)
            self._users += 1
            return socket

    def close(self, socket: ZmqSocket) -> None:
        with self._lock:
            socket.close(linger=0)
            self._users -= 1
            if self._users == 0 and self._context is not None:
                self._context.term()
                self._context = None


_senders: Final = _SharedContext()


def connect_push(
    endpoint: Endpoint, keys: StreamKeys | None, *, high_water: int
) -> UnixPush | ZmqSocket:
    """Return a socket that pushes messages to `endpoint`, to which it connects by itself.

    At most `high_water` messages, or on one machine a kernel's buffer full, leave the sender's
    hands ahead of the receiver. Raises ConfigError if the endpoint needs keys and there are none.
    """
    if endpoint.address.startswith(IPC):
        return UnixPush(Path(endpoint.address.removeprefix(IPC)), KERNEL_BUFFER_BYTES)
    return _connect(zmq.PUSH, endpoint, keys, high_water)


def connect_dealer(endpoint: Endpoint, keys: StreamKeys | None, *, high_water: int) -> ZmqSocket:
    """Return a socket that also hears from `endpoint`, else like `connect_push`."""
    return _connect(zmq.DEALER, endpoint, keys, high_water)


def _connect(kind: int, endpoint: Endpoint, keys: StreamKeys | None, high_water: int) -> ZmqSocket:
    """No message leaves the sender's hands while there is no connection."""
    if endpoint.server_key is not None and keys is None:
        raise ConfigError(f"Expected the fleet's keys for {endpoint.address}, was none.")
    socket = _senders.open(kind)
    try:
        _set_limits(socket, high_water)
        socket.set(zmq.IMMEDIATE, 1)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        if kind == zmq.DEALER:
            socket.set(zmq.PROBE_ROUTER, 1)
        if endpoint.server_key is not None and keys is not None:
            socket.curve_serverkey = endpoint.server_key.encode()
            socket.curve_publickey = keys.public.encode()
            socket.curve_secretkey = keys.secret.encode()
            _set_heartbeat(socket)
        socket.connect(endpoint.address)
    except BaseException:
        disconnect(socket)
        raise
    return socket


def disconnect(socket: ZmqSocket | UnixPush) -> None:
    """Close a socket of `connect_push` or `connect_dealer`; what it still holds is given up."""
    if isinstance(socket, UnixPush):
        socket.close()
    else:
        _senders.close(socket)


def try_send(socket: ZmqSocket | UnixPush, *parts: bytes) -> bool:
    """Hand over one message and return True, or return False at once if the socket is full."""
    if isinstance(socket, UnixPush):
        return socket.send(b"".join(parts))
    try:
        if len(parts) == 1:  # pyzmq takes several parts through a loop of its own
            socket.send(parts[0], zmq.NOBLOCK)
        else:
            socket.send_multipart(parts, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def try_recv(socket: ZmqSocket | UnixPull) -> bytes | None:
    """Return the next message, or None if there is none; each part counts as one."""
    if isinstance(socket, UnixPull):
        return socket.recv()
    if not events_of(socket) & POLLIN:  # far cheaper than the exception that would say so
        return None
    try:
        return socket.recv(zmq.NOBLOCK)
    except zmq.Again:  # it was the key of a peer that has sent no message yet
        return None


def try_recv_parts(socket: ZmqSocket) -> list[bytes] | None:
    """Return the parts of the next message, or None if there is none."""
    if not events_of(socket) & POLLIN:
        return None
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:  # see `try_recv`
        return None


def is_flushed(socket: ZmqSocket | UnixPush) -> bool:
    """Say whether nothing of a message that was handed over waits in this process."""
    return not isinstance(socket, UnixPush) or socket.flush() or socket.is_flushed


def events_of(socket: ZmqSocket | UnixPush | UnixPull) -> int:
    """Return what the socket is ready for, `POLLIN` and `POLLOUT`."""
    if isinstance(socket, UnixPull):
        return POLLIN if socket.has_message else 0
    if isinstance(socket, UnixPush):
        return POLLOUT if socket.is_writable else 0
    return cast(int, socket.get(zmq.EVENTS))


def descriptor_of(socket: ZmqSocket | UnixPull) -> int:
    """Return the descriptor that becomes readable when `events_of` may have changed."""
    return socket.fileno() if isinstance(socket, UnixPull) else cast(int, socket.get(zmq.FD))


class Receiver(Closing, Generic[Item]):
    """A bound socket that one thread or one asyncio loop reads, and any thread may close."""

    kind: ClassVar[int] = zmq.PULL
    high_water: ClassVar[int] = 4
    linger_ms: ClassVar[int] = 0

    def __init__(self, transport: Transport, *, address: str | None = None) -> None:
        """Bind to a fresh address, or to `address` to take the place of a dead receiver."""
        self.counters = StreamCounters()
        self._lock = threading.Lock()  # held by whoever uses the socket
        self._wake_lock = threading.Lock()
        self._closing = False
        self._closed = False
        self._file: Path | None = None  # of a bound ipc socket
        self._stop_waiting: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: zmq.Context[ZmqSocket] | None = None
        self._authenticator: ThreadAuthenticator | None = None
        self._sources: list[ZmqSocket | UnixPull] = []
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        try:
            self.endpoint = self._bind(transport, address)
        except BaseException:
            self.close()
            raise
        self._poller = select.poll()
        for source in self._sources:
            self._poller.register(descriptor_of(source), select.POLLIN)
        self._poller.register(self._wake_read, select.POLLIN)

    def recv(self, timeout_ms: int | None = None) -> list[Item]:
        """Return all that is there, waiting up to `timeout_ms` (None: for ever) for the first.

        An empty list says that the time is over. Raises StreamClosed once `close` was called.
        """
        deadline = math.inf if timeout_ms is None else time.monotonic() + timeout_ms / 1e3
        with self._lock:
            while True:
                self._check_open()
                if items := self._take():
                    return items
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return []
                self._sleep(None if remaining == math.inf else math.ceil(remaining * 1e3))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Descriptors for a poll of several receivers: one is readable when `recv` is worth a call.

        After any use of the receiver, look at `may_hide_more` before the next poll.
        """
        return tuple(map(descriptor_of, self._sources))

    @property
    def may_hide_more(self) -> bool:
        """Whether something may be there of which no descriptor tells, so that `recv` is to look.

        What was read ahead is known for certain; of ZeroMQ, whose descriptors tell once, it is
        always so: there `recv` is to have returned nothing since the last other use.
        """
        return any(not isinstance(source, UnixPull) or source.is_ahead for source in self._sources)

    async def recv_async(self, timeout_s: float | None = None) -> list[Item]:
        """Do as `recv` in an asyncio loop; one coroutine at a time. Cancelling loses nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    with self._lock:
                        self._check_open()
                        if items := self._take():
                            return items
                    await self._readable()
        except TimeoutError:
            return []

    def close(self) -> None:
        """Close from any thread; a waiting reader gets StreamClosed. May be called twice."""
        self._closing = True
        self._wake()
        loop = self._loop
        if loop is not None and loop is not _running_loop():
            loop.call_soon_threadsafe(self._release)  # a loop's readers are its own to remove
        else:
            self._release()

    @abstractmethod
    def _take(self) -> list[Item]:
        """Return what is there now, without waiting."""

    def _say_last(self) -> None:
        """Send what is still to be said, while the socket is open."""

    def _reject(self, reason: str) -> None:
        self.counters.rejected += 1
        if worth_logging(self.counters.rejected):
            logger.warning(
                "%s: rejected a message, %s (%d so far)",
                self.endpoint.address,
                reason,
                self.counters.rejected,
            )

    @property
    def _zmq(self) -> ZmqSocket:
        """The only socket of a kind that ZeroMQ always carries."""
        (socket,) = self._sources
        assert not isinstance(socket, UnixPull)
        return socket

    def _next_message(self) -> bytes | None:
        """Return the next message of any source, None if there is none now."""
        for source in self._sources:
            if (message := try_recv(source)) is not None:
                return message
        return None

    def _is_readable(self) -> bool:
        return any(events_of(source) & POLLIN for source in self._sources)

    def _bind(self, transport: Transport, address: str | None) -> Endpoint:
        near = "" if address else transport.new_near_address()
        if near:  # first, as encryption holds for what is bound after it was asked for
            self._bind_file(near)
        address = address or transport.new_address()
        if not address.startswith("tcp://"):
            self._bind_file(address)
            return Endpoint(address)
        if transport.keys is None:
            raise ConfigError(f"Expected the fleet's keys to bind {address}, was none.")
        context, socket = self._open_zmq()
        server_key = self._encrypt(context, socket, transport.keys)
        _bind_port(socket, address, transport.ports)
        return Endpoint(
            socket.get_string(zmq.LAST_ENDPOINT),
            server_key,
            node=transport.node if near else "",
            near=near,
        )

    def _bind_file(self, address: str) -> None:
        file = Path(address.removeprefix(IPC))
        if self.kind == zmq.PULL:
            self._sources.append(UnixPull(file, max_bytes=MAX_MESSAGE_BYTES, on_bad=self._reject))
        else:
            self._open_zmq()[1].bind(address)
        self._file = file

    def _open_zmq(self) -> tuple[zmq.Context[ZmqSocket], ZmqSocket]:
        """Return the socket of ZeroMQ, and its context, made when it is first needed."""
        if self._context is not None:
            return self._context, self._zmq
        self._context = zmq.Context()
        socket = self._context.socket(self.kind)
        self._sources.append(socket)
        _set_limits(socket, self.high_water)
        socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if self.kind == zmq.ROUTER:
            socket.set(zmq.ROUTER_MANDATORY, 1)
        return self._context, socket

    def _encrypt(self, context: zmq.Context[ZmqSocket], socket: ZmqSocket, keys: StreamKeys) -> str:
        """Accept only peers that hold the fleet's key; return this receiver's public key."""
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(ZAP_DOMAIN, _FleetOnly(keys, self.counters))
        public, secret = zmq.curve_keypair()
        socket.set(zmq.ZAP_DOMAIN, ZAP_DOMAIN.encode())
        socket.curve_server = True
        socket.curve_publickey = public
        socket.curve_secretkey = secret
        _set_heartbeat(socket)
        return public.decode()

    def _check_open(self) -> None:
        if self._closing:
            raise StreamClosed("The stream is closed.")

    def _wake(self) -> None:
        """Make a waiting reader look again, from any thread."""
        with self._wake_lock:
            if not self._closed:
                try:
                    os.write(self._wake_write, b"!")
                except BlockingIOError:
                    return  # the pipe is full, so the reader wakes anyway

    def _clear_wake(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return

    def _sleep(self, timeout_ms: int | None) -> None:
        # ZeroMQ's descriptor means "look at EVENTS", and any use of the socket may take that
        # back; so it is worth waiting only after EVENTS has just said that nothing is there.
        if self._is_readable():
            return
        for ready, _ in self._poller.poll(timeout_ms):
            if ready == self._wake_read:
                self._clear_wake()

    async def _readable(self) -> None:
        if self._loop is not None:
            raise RuntimeError("Expected one reader of a stream at a time, was two.")
        if self._is_readable():  # see `_sleep`
            return
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        descriptors = (*map(descriptor_of, self._sources), self._wake_read)

        def stop_waiting() -> None:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)
            self._loop = self._stop_waiting = None
            ready.set()

        self._loop, self._stop_waiting = loop, stop_waiting
        for descriptor in descriptors:
            loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            if self._stop_waiting is stop_waiting:
                stop_waiting()
        if not self._closed:
            self._clear_wake()

    def _release(self) -> None:
        if self._stop_waiting is not None:
            self._stop_waiting()
        with self._lock:
            if self._closed:
                return
            self._say_last()
            with self._wake_lock:
                self._closed = True
                os.close(self._wake_read)
                os.close(self._wake_write)
            for source in self._sources:
                if isinstance(source, UnixPull):
                    source.close()
                else:
                    source.close(linger=self.linger_ms)
            if self._authenticator is not None:
                self._authenticator.stop()
            if self._context is not None:
                self._context.term()
            if self._file is not None:
                self._file.unlink(missing_ok=True)


class _FleetOnly:
    """Answer ZeroMQ's question whether a peer's public key may come in."""

    def __init__(self, keys: StreamKeys, counters: StreamCounters) -> None:
        self._public = keys.public.encode()
        self._counters = counters

    def callback(self, domain: str, key: bytes) -> bool:
        if key == self._public:
            return True
        self._counters.refused += 1
        if worth_logging(self._counters.refused):
            logger.warning("refused a peer with an unknown key, domain %s", domain)
        return False


def _bind_port(socket: ZmqSocket, address: str, ports: tuple[int, int] | None) -> None:
    if ports is None or not address.endswith(":*"):
        socket.bind(address)
        return
    first, last = ports
    free = random.sample(range(first, last + 1), last - first + 1)
    for port in free:  # at random, so that receivers that start together rarely meet
        try:
            socket.bind(address.replace("*", str(port)))
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
        else:
            return
    raise ConfigError(
        f"Expected a free port from {first} to {last} for {address}, was none; widen streams.ports."
    )


def _set_limits(socket: ZmqSocket, high_water: int) -> None:
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, high_water)
    socket.set(zmq.RCVHWM, high_water)
    socket.set(zmq.SNDBUF, KERNEL_BUFFER_BYTES)
    socket.set(zmq.RCVBUF, KERNEL_BUFFER_BYTES)


def _set_heartbeat(socket: ZmqSocket) -> None:
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)


def _running_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
