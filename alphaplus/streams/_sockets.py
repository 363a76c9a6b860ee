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
from alphaplus.streams.counters import StreamCounters, worth_logging
from alphaplus.streams.endpoint import Endpoint, StreamKeys, Transport

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

Socket = zmq.Socket[bytes]
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
        self._context: zmq.Context[Socket] | None = None
        self._users = 0

    def open(self, kind: int) -> Socket:
        with self._lock:
            if self._context is None:
                self._context = zmq.Context()
                self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
            socket = self._context.socket(kind)
            self._users += 1
            return socket

    def close(self, socket: Socket) -> None:
        with self._lock:
            socket.close(linger=0)
            self._users -= 1
            if self._users == 0 and self._context is not None:
                self._context.term()
                self._context = None


_senders: Final = _SharedContext()


def connect(kind: int, endpoint: Endpoint, keys: StreamKeys | None, *, high_water: int) -> Socket:
    """Return a sending socket that connects to `endpoint` in the background.

    At most `high_water` messages leave the sender's hands ahead of the connection, and none
    while there is none. Raises ConfigError if the endpoint needs keys and there are none.
    """
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


def disconnect(socket: Socket) -> None:
    """Close a socket of `connect`; what it still holds is given up."""
    _senders.close(socket)


def try_send(socket: Socket, *parts: bytes) -> bool:
    """Hand over one message and return True, or return False at once if the socket is full."""
    try:
        if len(parts) == 1:  # pyzmq takes several parts through a loop of its own
            socket.send(parts[0], zmq.NOBLOCK)
        else:
            socket.send_multipart(parts, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def try_recv(socket: Socket) -> bytes | None:
    """Return the next message, or None if there is none; each part counts as one."""
    if not events_of(socket) & POLLIN:  # far cheaper than the exception that would say so
        return None
    return socket.recv(zmq.NOBLOCK)


def try_recv_parts(socket: Socket) -> list[bytes] | None:
    """Return the parts of the next message, or None if there is none."""
    if not events_of(socket) & POLLIN:
        return None
    return socket.recv_multipart(zmq.NOBLOCK)


def events_of(socket: Socket) -> int:
    """Return what the socket is ready for, `POLLIN` and `POLLOUT`."""
    return cast(int, socket.get(zmq.EVENTS))


def descriptor_of(socket: Socket) -> int:
    """Return the descriptor that becomes readable when `events_of` may have changed."""
    return cast(int, socket.get(zmq.FD))


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
        self._context: zmq.Context[Socket] = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        self._socket: Socket = self._context.socket(self.kind)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        try:
            self.endpoint = self._bind(transport, address)
        except BaseException:
            self.close()
            raise
        self._poller = select.poll()
        self._poller.register(descriptor_of(self._socket), select.POLLIN)
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

    def has_more(self) -> bool:
        """Say whether something is there to be received, without waiting."""
        with self._lock:
            self._check_open()
            return bool(events_of(self._socket) & POLLIN)

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

    def _bind(self, transport: Transport, address: str | None) -> Endpoint:
        _set_limits(self._socket, self.high_water)
        self._socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if self.kind == zmq.ROUTER:
            self._socket.set(zmq.ROUTER_MANDATORY, 1)
        near = "" if address else transport.new_near_address()
        if near:  # first, as encryption holds for what is bound after it was asked for
            self._bind_file(near)
        address = address or transport.new_address()
        if not address.startswith("tcp://"):
            self._bind_file(address)
            return Endpoint(address)
        if transport.keys is None:
            raise ConfigError(f"Expected the fleet's keys to bind {address}, was none.")
        server_key = self._encrypt(transport.keys)
        self._bind_port(address, transport.ports)
        return Endpoint(
            self._socket.get_string(zmq.LAST_ENDPOINT),
            server_key,
            node=transport.node if near else "",
            near=near,
        )

    def _bind_file(self, address: str) -> None:
        self._socket.bind(address)
        self._file = Path(address.removeprefix("ipc://"))

    def _bind_port(self, address: str, ports: tuple[int, int] | None) -> None:
        if ports is None or not address.endswith(":*"):
            self._socket.bind(address)
            return
        first, last = ports
        free = random.sample(range(first, last + 1), last - first + 1)
        for port in free:  # at random, so that receivers that start together rarely meet
            try:
                self._socket.bind(address.replace("*", str(port)))
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE:
                    raise
            else:
                return
        raise ConfigError(
            f"Expected a free port from {first} to {last} for {address}, was none; "
            "widen streams.ports."
        )

    def _encrypt(self, keys: StreamKeys) -> str:
        """Accept only peers that hold the fleet's key; return this receiver's public key."""
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(ZAP_DOMAIN, _FleetOnly(keys, self.counters))
        public, secret = zmq.curve_keypair()
        self._socket.set(zmq.ZAP_DOMAIN, ZAP_DOMAIN.encode())
        self._socket.curve_server = True
        self._socket.curve_publickey = public
        self._socket.curve_secretkey = secret
        _set_heartbeat(self._socket)
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
        if events_of(self._socket) & POLLIN:
            return
        for ready, _ in self._poller.poll(timeout_ms):
            if ready == self._wake_read:
                self._clear_wake()

    async def _readable(self) -> None:
        if self._loop is not None:
            raise RuntimeError("Expected one reader of a stream at a time, was two.")
        if events_of(self._socket) & POLLIN:  # see `_sleep`
            return
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        descriptors = (descriptor_of(self._socket), self._wake_read)

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
            self._socket.close(linger=self.linger_ms)
            if self._authenticator is not None:
                self._authenticator.stop()
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


def _set_limits(socket: Socket, high_water: int) -> None:
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, high_water)
    socket.set(zmq.RCVHWM, high_water)
    socket.set(zmq.SNDBUF, KERNEL_BUFFER_BYTES)
    socket.set(zmq.RCVBUF, KERNEL_BUFFER_BYTES)


def _set_heartbeat(socket: Socket) -> None:
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)


def _running_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
