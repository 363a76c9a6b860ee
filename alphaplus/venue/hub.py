"""Connections, what each listens to, and the way of a message to all of them.

Frames are built once per message and written once per turn of the clock, without a task or
an await per message: a hundred symbols are 27,000 messages a second.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Final

from alphaplus.venue.faults import FaultKind, Faults
from alphaplus.venue.protocol import Channel, aggregate_trade, parse_stream, text_frame
from alphaplus.venue.source import Source
from alphaplus.venue.wrong_frames import restamped, wrong_price, wrong_sequence, wrong_size

log = logging.getLogger(__name__)

MAX_UNSENT_BYTES: Final = 32 * 2**20
"""A client this far behind is disconnected."""
BUSY_BYTES: Final = 4 * 2**20
"""Above it a market that is faster than life waits for its readers..."""
MAX_BUSY_S: Final = 10.0
"""... for so long, then the client counts as stalled."""


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket client. `combined`: it wants the {"stream", "data"} wrapper."""

    transport: asyncio.Transport
    combined: bool
    streams: dict[str, tuple[int, Channel]] = field(default_factory=dict)
    unsent: list[bytes] = field(default_factory=list)
    closing: bool = False
    stalled_by: set[int] = field(default_factory=set)
    """Symbols by whose fault it says nothing."""
    busy_since: float | None = None


class Hub:
    """All connections of the venue, and the faults on their depth frames."""

    def __init__(self, source: Source) -> None:
        self.faults = Faults()
        self.slow_clients = 0
        self.closed_by_fault = 0
        self.withheld = 0
        """Messages that a stalled socket did not carry."""
        self.messages = 0
        self.unknown_streams = 0
        self.connections: set[Connection] = set()
        self._source = source
        self._index = {listing.symbol: i for i, listing in enumerate(source.listings)}
        self._listeners: list[list[list[tuple[Connection, bytes | None]]]] = [
            [[] for _ in Channel] for _ in source.listings
        ]
        self._held: dict[int, bytes] = {}  # frames that go out after the next one
        self._dirty: set[Connection] = set()
        self._stalled: frozenset[int] = frozenset()  # symbols whose sockets say nothing
        self._skew_s = 0.0

    @property
    def unsent_bytes(self) -> int:
        """Bytes that readers have not taken off our hands, all connections together."""
        return sum(item.transport.get_write_buffer_size() for item in self.connections)

    def index(self, symbol: str) -> int | None:
        """Return the place of a symbol in the listing."""
        return self._index.get(symbol)

    def subscribe(self, connection: Connection, names: list[str], market_ns: int) -> None:
        """Add streams; unknown names are taken without a word, as Binance does, and logged."""
        added = []
        for name in names:
            stream = parse_stream(name)
            index = self._index.get(stream[0]) if stream else None
            if stream is None or index is None:
                self.unknown_streams += 1
                log.warning("no such stream: %s", name)
            elif name not in connection.streams:
                channel = stream[1]
                connection.streams[name] = (index, channel)
                prefix = b'{"stream":"%s","data":' % name.encode() if connection.combined else None
                self._listeners[index][channel].append((connection, prefix))
                added.append((index, channel))
        for index, channel in added:  # only now, so that no stream of this request misses a frame
            self._source.start(index, channel, market_ns)

    def unsubscribe(self, connection: Connection, names: list[str]) -> None:
        """Take streams away; names that are not listened to are ignored."""
        for name in names:
            if name not in connection.streams:
                continue
            index, channel = connection.streams.pop(name)
            prefix = b'{"stream":"%s","data":' % name.encode() if connection.combined else None
            self._listeners[index][channel].remove((connection, prefix))

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.unsubscribe(connection, list(connection.streams))
        self.connections.discard(connection)
        self._dirty.discard(connection)

    def listens(self, index: int, channel: Channel) -> bool:
        """Tell whether anyone listens to a channel of a symbol."""
        return bool(self._listeners[index][channel])

    def begin_turn(self, now: float) -> None:
        """Take note of the faults that last at `now`, monotonic seconds, for what comes next."""
        skew = self.faults.now(FaultKind.CLOCK_SKEW, now)
        self._skew_s = 0.0 if skew is None else skew.skew_s
        stalled = self.faults.stalled(now)
        if stalled == self._stalled:
            return
        for connection in self.connections:  # one that comes later is a new socket, and speaks
            carried = {i for i, channel in connection.streams.values() if channel is Channel.DEPTH}
            connection.stalled_by |= carried & (stalled - self._stalled)
            connection.stalled_by &= stalled
        self._stalled = stalled

    def publish(self, index: int, channel: Channel, payload: bytes) -> None:
        """Queue one message for everyone who listens to it."""
        listeners = self._listeners[index]
        if self._skew_s:
            payload = restamped(payload, self._skew_s, all_stamps=channel is not Channel.MARK_PRICE)
        if channel is Channel.DEPTH and listeners[channel]:
            for faulty in self._with_fault(index, payload):
                self._send(listeners[channel], faulty)
        else:
            self._send(listeners[channel], payload)
        if (
            channel is Channel.TRADE
            and listeners[Channel.AGG_TRADE]
            and not self._source.has_aggregate_trades
        ):
            self._send(listeners[Channel.AGG_TRADE], aggregate_trade(payload))

    def flush(self) -> None:
        """Write what is queued; disconnect clients that cannot keep up."""
        for connection in self._dirty:
            transport = connection.transport
            if not transport.is_closing():
                transport.write(b"".join(connection.unsent))
                if connection.closing:
                    transport.close()
                elif transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                    self._disconnect_slow(connection)
            connection.unsent.clear()
        self._dirty.clear()

    def is_busy(self) -> bool:
        """Tell whether a reader is behind, and disconnect one that has stalled."""
        busy = False
        now = time.monotonic()
        for connection in self.connections:
            if connection.transport.is_closing() or (
                connection.transport.get_write_buffer_size() < BUSY_BYTES
            ):
                connection.busy_since = None
                continue
            connection.busy_since = connection.busy_since or now
            if now - connection.busy_since > MAX_BUSY_S:
                self._disconnect_slow(connection)
            else:
                busy = True
        return busy

    def _send(self, listeners: list[tuple[Connection, bytes | None]], payload: bytes) -> None:
        if not listeners:
            return
        bare = text_frame(payload)
        for connection, prefix in listeners:
            if connection.closing:
                continue
            if connection.stalled_by:
                self.withheld += 1
                continue
            frame = bare if prefix is None else text_frame(prefix + payload + b"}")
            connection.unsent.append(frame)
            self._dirty.add(connection)
            self.messages += 1

    def _with_fault(self, index: int, payload: bytes) -> tuple[bytes, ...]:
        fault = self.faults.next(index)
        if fault is FaultKind.REORDER_FRAMES:
            held = self._held.pop(index, None)
            self._held[index] = payload
            return () if held is None else (held,)
        held = self._held.pop(index, None)
        after = () if held is None else (held,)
        if fault is None:
            return (payload, *after)
        log.info("fault on %s: %s", self._source.listings[index].symbol, fault)
        return (*self._instead(fault, index, payload), *after)

    def _instead(self, fault: FaultKind, index: int, payload: bytes) -> tuple[bytes, ...]:
        """Return what is sent in a frame's place."""
        match fault:
            case FaultKind.DUPLICATE_FRAME:
                return (payload, payload)
            case FaultKind.TORN_JSON:
                return (payload[: len(payload) // 2],)
            case FaultKind.WRONG_PRICE:
                return (wrong_price(payload),)
            case FaultKind.WRONG_SIZE:
                return (wrong_size(payload),)
            case FaultKind.WRONG_SEQUENCE:
                return (wrong_sequence(payload, self.faults.committed[index, fault] - 1),)
            case FaultKind.CLOSE_SOCKET:
                for connection, _ in self._listeners[index][Channel.DEPTH]:
                    connection.closing = True
                    self._dirty.add(connection)
                    self.closed_by_fault += 1
        return ()

    def _disconnect_slow(self, connection: Connection) -> None:
        self.slow_clients += 1
        log.warning(
            "a client of %d streams is %d bytes behind and is disconnected",
            len(connection.streams),
            connection.transport.get_write_buffer_size(),
        )
        connection.transport.abort()
