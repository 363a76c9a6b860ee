"""The actor that keeps symbols: one of its own each, or several in one process.

One thread receives the events of all its symbols, applies them and publishes; Ray's calls only
ask. A call waits for the batches in hand, never for the network. The actor begins empty, after
each start: the supervisor has it keep what it is to keep.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeVar

import ray

from actors.environment import set_up_actor_logging
from actors.node import this_node
from actors.resync import Resyncs
from actors.shared_load import SharedLoad
from actors.stream_plan import StreamPlan
from actors.symbol import LATENCIES_EVERY_NS, Symbol, SymbolOptions
from alphaplus.analysis.splitter import NEVER
from alphaplus.analysis.warm import warm_once
from alphaplus.errors import SymbolNotKept
from alphaplus.instruments import Instrument
from alphaplus.kernels import ensure_compiled
from alphaplus.storage._event_kernels import warm_event_kernels
from alphaplus.streams import Endpoint, RowSender

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

PATIENCE_NS: Final = 100_000_000
"""So long what is due to others waits for the next events, whose wake-up it shares."""
MAX_PAUSE_NS: Final = 1_000_000_000
"""Longest sleep of the receiving thread; data wakes it at once, this is for what is due."""


class SymbolHost:
    """Keeps symbols; `SymbolActor` is the same as a Ray actor."""

    def __init__(
        self,
        name: str,
        options: SymbolOptions,
        streams: StreamPlan,
        *,
        asked_bytes: int | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`name` is that of the actor, `asked_bytes` the memory that it asked a node for."""
        set_up_actor_logging(options.log_level, actor=name)
        self._name = name
        self._options = options
        self._keys = streams.keys
        self._node = this_node()
        self._clock = clock
        ensure_compiled()
        warm_once()
        warm_event_kernels()
        self._transport = streams.here()
        self._symbols: dict[str, Symbol] = {}
        self._receiving: dict[int, Symbol] = {}  # by the descriptors that tell of its events
        self._unsure: set[Symbol] = set()  # may have more events that no descriptor tells of
        self._store: RowSender | None = None
        self._resyncs = Resyncs()
        self._load = SharedLoad(asked_bytes=asked_bytes)
        self._load_due = 0
        self._rest_due = 0  # when it rests at the latest; 0: it rests
        self._patience_ns = min(PATIENCE_NS, int(options.state_interval_ms * 5e5))
        self._poller = select.epoll()
        self._lock = threading.Lock()  # held by whoever uses the symbols
        self._entering = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="receive", daemon=True)
        self._thread.start()

    def keep(self, symbol: str, instruments: Sequence[Instrument]) -> Endpoint:
        """Begin to keep a symbol, unless it is kept; returns where to send its events.

        A new endpoint is a new life: the symbol is empty.
        """
        with self._entering:
            kept = self._symbols.get(symbol)
            if kept is None:
                kept = Symbol(
                    symbol,
                    instruments,
                    self._options,
                    self._transport,
                    keys=self._keys,
                    flush_with=self._name,
                    ask_resync=self._resyncs.ask,
                    clock=self._clock,
                )
                with self._lock:
                    self._symbols[symbol] = kept
                    self._share_store()
                    for descriptor in kept.receiver.descriptors:
                        self._receiving[descriptor] = kept
                        self._poller.register(descriptor, select.EPOLLIN)
        return kept.ready()

    def start(self, symbol: str, board: Endpoint, store: Endpoint | None) -> None:
        """Have a symbol tell its states to `board` and send its rows to `store`.

        May be called again to point it to successors of both. Raises SymbolNotKept.
        """
        with self._lock:
            kept = self._find(symbol)
            if store is not None:
                self._send_rows_to(store.seen_from(self._node))
            kept.start(board.seen_from(self._node), self._store)

    def ask(self, symbol: str, method: str, *args: Any) -> Any:
        """Return what a method of a symbol answers; raises SymbolNotKept, or what it raises."""
        with self._lock:
            answer = getattr(self._find(symbol), method)(*args)
        return answer

    def drain(self, symbol: str, timeout_s: float) -> dict[str, Any]:
        """Have a symbol take in what is on its way and hand over every row; returns its report.

        To be called after the feeds have stopped sending. It receives nothing afterwards.
        """
        with self._lock:
            kept = self._find(symbol)
            kept.settle_all()
            self._stop_receiving(kept)
        kept.wait_drained(timeout_s)
        return self.report(symbol)

    def report(self, symbol: str) -> dict[str, Any]:
        """Return a symbol's report, and what it costs, see `SharedLoad.shared`."""
        with self._lock:
            kept = self._find(symbol)
            costs = dict(self._load.shared(self._symbols.values()))
            return {**kept.report(), **costs[kept]}

    def leave(self, symbol: str) -> None:
        """Keep a symbol no longer; what it has not handed over is lost."""
        with self._entering, self._lock:
            self._drop(symbol)

    def _drop(self, symbol: str) -> None:
        kept = self._symbols.pop(symbol, None)
        self._share_store()
        if kept is not None:
            self._stop_receiving(kept)
            kept.close()

    def _send_rows_to(self, store: Endpoint) -> None:
        """All symbols have one sender, so that their rows travel together."""
        if self._store is None:
            self._store = RowSender(
                store,
                name=self._name,
                keys=self._keys,
                max_unacked_rows=self._options.max_unacked_rows,
                max_unacked_bytes=int(self._options.max_unacked_mb * 1e6),
            )
            self._share_store()
        elif self._store.endpoint != store:
            self._store.reconnect(store)

    def _share_store(self) -> None:
        if self._store is not None:
            self._store.sharers = max(len(self._symbols), 1)

    def _find(self, symbol: str) -> Symbol:
        try:
            return self._symbols[symbol]
        except KeyError:
            raise SymbolNotKept(f"The actor {self._name} does not keep {symbol}.") from None

    def _stop_receiving(self, kept: Symbol) -> None:
        for descriptor in [d for d, known in self._receiving.items() if known is kept]:
            del self._receiving[descriptor]
            self._poller.unregister(descriptor)
        self._unsure.discard(kept)

    def _run(self) -> None:
        pause_s = 0.0
        try:
            while True:
                ready = self._poller.poll(pause_s)
                with self._lock:
                    self._receive({descriptor for descriptor, _ in ready})
                    pause_s = self._settle()
        except BaseException:  # the thread's end must be seen, or the books go quiet
            log.exception("%s: the receiving thread failed", self._name)
            os._exit(1)  # Ray starts another, and the feeds send fresh snapshots

    def _receive(self, ready: set[int]) -> None:
        """Apply what is there for those that are ready, or may be without being known to."""
        asked = {self._receiving[each] for each in ready if each in self._receiving} | self._unsure
        self._unsure = {
            symbol
            for symbol in asked
            if self._tried(symbol, symbol.receive) and symbol.receiver.may_hide_more
        }

    def _tried(self, symbol: Symbol, work: Callable[[], Answer]) -> Answer | None:
        """Do what only one symbol needs; where it fails that one begins anew, and no neighbour.

        It falls silent, so the supervisor has it kept again, and its feeds send fresh snapshots.
        """
        try:
            return work()
        except Exception:
            log.exception("%s: %s failed and begins anew", self._name, symbol.symbol)
            self._drop(symbol.symbol)
            return None

    def _settle(self) -> float:
        """Do one thing that is due; returns how long to wait for events before the next.

        Events go before what is due, and what is due goes on the wake-up of events, which costs
        more than most of what is done; it waits a little for that.
        """
        now = self._clock()
        dues = [(symbol.due, symbol) for symbol in self._symbols.values()]
        due, symbol = min(dues, key=itemgetter(0), default=(NEVER, None))
        is_busy = symbol is not None and due <= now
        if symbol is not None and is_busy:
            self._tried(symbol, partial(symbol.settle, now))
            self._rest_due = self._rest_due or now + self._patience_ns
            if now < self._rest_due:
                return 0.0  # rows wait, to go together; not for ever, where something is always due
        self._rest_due = 0
        if self._store is not None:
            self._store.pump()
        if now >= self._load_due:
            self._load_due = now + LATENCIES_EVERY_NS
            for symbol, load in self._load.shared(self._symbols.values()):
                symbol.tell_load({**load, "actor": self._name})
        if self._unsure or is_busy:
            return 0.0
        return min(max(due + self._patience_ns - now, 1_000_000), MAX_PAUSE_NS) / 1e9


SymbolActor: Any = ray.remote(SymbolHost)
