"""States of which only the newest counts: symbol to portfolio board, board to pages.

The sender keeps one unsent value per key, so it is bounded by the number of keys however slow
the receiver is. Nobody needs to know of a value that a newer one has replaced.
"""

import logging
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StreamClosed
from alphaplus.streams._sockets import (
    Closing,
    Receiver,
    ZmqSocket,
    connect_push,
    disconnect,
    is_flushed,
    try_send,
)
from alphaplus.streams._unix import UnixPush
from alphaplus.streams.counters import StreamCounters, worth_logging
from alphaplus.streams.endpoint import Endpoint, StreamKeys, Transport

logger = logging.getLogger(__name__)

HIGH_WATER: Final = 4
MAX_TAKE_VALUES: Final = 4096
"""One `recv` ends here, so that fast senders cannot keep it from returning."""

_MAGIC: Final = 0xA1E2
_HEADER: Final = struct.Struct("<HHHxxIQQq")
"""magic, bytes of name, key and value, epoch, number, ts_send; then those three."""


class LatestSender(Closing):
    """Send the newest value of each key, from one thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        keys: StreamKeys | None = None,
        max_keys: int = 1024,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Connect in the background; `name` is unique among the senders of one receiver."""
        self.counters = StreamCounters()
        self.name = name
        self._keys = keys
        self._max_keys = max_keys
        self._clock = clock
        self._unsent: dict[str, tuple[bytes, int]] = {}  # key -> payload, ts_send
        self._socket: ZmqSocket | UnixPush | None = None
        self.reconnect(endpoint)

    @property
    def unsent(self) -> int:
        """Keys whose newest value waits here for the receiver."""
        return len(self._unsent)

    def reconnect(self, endpoint: Endpoint) -> None:
        """Send to a receiver that has moved; the values that wait go there."""
        if self._socket is not None:
            disconnect(self._socket)
            self._socket = None
        self._epoch = secrets.randbits(64)
        self._next = 1
        self._socket = connect_push(endpoint, self._keys, high_water=HIGH_WATER)
        self.endpoint = endpoint

    def send(self, key: str, value: bytes | npt.NDArray[np.generic]) -> bool:
        """Send a value, in place of the unsent one of this key if there is one. Never blocks.

        Returns False, and does not take the value, if `max_keys` other keys wait already.
        Raises StreamClosed after `close`.
        """
        socket = self._open_socket()
        if key in self._unsent:
            self.counters.coalesced += 1
        elif len(self._unsent) >= self._max_keys:
            self.counters.refused += 1
            if worth_logging(self.counters.refused):
                logger.warning(
                    "%s: refused %r, %d keys wait already", self.name, key, self._max_keys
                )
            return False
        payload = value if isinstance(value, bytes) else value.tobytes()
        self._unsent[key] = payload, self._clock()
        self._flush(socket)
        return True

    def pump(self) -> bool:
        """Send what waits, as far as the receiver takes it; True if nothing waits any more."""
        return self._flush(self._open_socket())

    def close(self) -> None:
        """Close at once; what the receiver has not taken is dropped."""
        if self._socket is not None:
            disconnect(self._socket)
            self._socket = None
            self.counters.dropped += len(self._unsent)
            self._unsent.clear()

    def _open_socket(self) -> ZmqSocket | UnixPush:
        if self._socket is None:
            raise StreamClosed(f"The stream of {self.name} is closed.")
        return self._socket

    def _flush(self, socket: ZmqSocket | UnixPush) -> bool:
        for key in list(self._unsent):
            payload, ts_send = self._unsent[key]
            name, text = self.name.encode(), key.encode()
            header = _HEADER.pack(
                _MAGIC, len(name), len(text), len(payload), self._epoch, self._next, ts_send
            )
            if not try_send(socket, header + name + text + payload):
                return False
            del self._unsent[key]
            self._next += 1
            self.counters.sent += 1
            self.counters.batches += 1
        return is_flushed(socket)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestValue:
    """The newest value of a key."""

    sender: str
    key: str
    payload: bytes
    ts_send: int
    """When it was given to `send`, ns since 1970 UTC."""


class LatestReceiver(Receiver[LatestValue]):
    """Receive the newest value of every key that changed, each once, from many senders."""

    high_water = HIGH_WATER

    def __init__(self, transport: Transport, *, address: str | None = None) -> None:
        """Bind to a fresh address, or to `address` to take the place of a dead receiver."""
        self._expected: dict[str, tuple[int, int]] = {}  # sender -> epoch, next number
        super().__init__(transport, address=address)

    def _take(self) -> list[LatestValue]:
        newest: dict[tuple[str, str], LatestValue] = {}
        for _ in range(MAX_TAKE_VALUES):
            if (message := self._next_message()) is None:
                break
            parsed = _parse(message)
            if parsed is None:
                self._reject("it is no value")
                continue
            value, epoch, number = parsed
            self.counters.batches += 1
            self._count_holes(value.sender, epoch, number)
            if (value.sender, value.key) in newest:
                self.counters.coalesced += 1
            newest[value.sender, value.key] = value
        self.counters.received += len(newest)
        return list(newest.values())

    def _count_holes(self, sender: str, epoch: int, number: int) -> None:
        """Count what was lost on the way; the next value of the key repairs it."""
        known_epoch, expected = self._expected.get(sender, (epoch, number))
        self._expected[sender] = epoch, number + 1
        if known_epoch == epoch and expected != number:
            self.counters.holes += 1
            logger.warning("Expected value %d of %s, was %d", expected, sender, number)


def _parse(message: bytes) -> tuple[LatestValue, int, int] | None:
    """Return value, epoch and number; None if the message is not ours."""
    if len(message) < _HEADER.size:
        return None
    magic, name_size, key_size, size, epoch, number, ts_send = _HEADER.unpack_from(message)
    key_at = _HEADER.size + name_size
    value_at = key_at + key_size
    if magic != _MAGIC or len(message) != value_at + size:
        return None
    value = LatestValue(
        sender=message[_HEADER.size : key_at].decode(errors="replace"),
        key=message[key_at:value_at].decode(errors="replace"),
        payload=message[value_at:],
        ts_send=ts_send,
    )
    return value, epoch, number
