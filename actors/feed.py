"""The actor of one shard of a venue: it holds connections and sends each symbol its events.

Everything happens on one event loop. Frames that arrive together are decoded together; what
comes out goes to the symbols' streams at once.
"""

import asyncio
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final

import orjson
import ray

from actors import names
from actors.environment import set_up_actor_logging
from actors.feed_history import PAGE_ROWS, FeedHistory
from actors.feed_options import FeedOptions
from actors.node import this_node
from actors.process_load import ProcessLoad
from alphaplus.errors import FeedError, UnknownSymbol
from alphaplus.feeds.capture import RawRecorder
from alphaplus.feeds.connection import Route, VenueConnection
from alphaplus.feeds.market_feed import FeedOutput, MarketFeed
from alphaplus.instruments import Instrument, InstrumentKind
from alphaplus.kernels import ensure_compiled
from alphaplus.leverage.tiers import TierBook
from alphaplus.streams import Endpoint, EventSender, LatestSender, RowSender, StreamKeys

log = logging.getLogger(__name__)

PUMP_EVERY_S: Final = 0.002
TELL_EVERY_S: Final = 1.0
RESTING_S: Final = 0.05
BOOKS_FIRST_S: Final = 60.0
"""So long the history waits for the snapshots of all books: both spend one allowance."""
LEAVE_TIMEOUT_S: Final = 5.0
"""How long a symbol that leaves may take what was received of it."""

Fetch = Callable[[str], Awaitable[bytes]]


class Feed:
    """One shard of a venue's symbols; `FeedActor` is the same as a Ray actor."""

    def __init__(
        self,
        shard: int,
        options: FeedOptions,
        keys: StreamKeys | None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._name = names.feed_name(options.exchange, shard)
        set_up_actor_logging(options.log_level, actor=self._name, exchange=options.exchange)
        self._options = options
        self._keys = keys
        self._node = this_node()
        self._clock = clock
        self._life = secrets.token_hex(8)
        self._load = ProcessLoad()
        self._connection: VenueConnection | None = None
        self._feed = MarketFeed([], max_buffered=options.max_buffered_frames)
        self._index: dict[str, int] = {}
        self._senders: list[EventSender] = []
        self._left: Counter[str] = Counter()
        """What was counted of symbols that are sent no longer."""
        self._board: LatestSender | None = None
        self._recorder: RawRecorder | None = None
        self._rows: RowSender | None = None
        self._history: FeedHistory | None = None
        self._history_task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._frames: list[bytes] = []
        self._times: list[int] = []
        self._flush_planned = False
        self._starting = asyncio.Lock()
        self._warming = asyncio.Lock()
        self._is_warm = False
        self._stopped = False

    async def ready(self) -> str:
        """Return what names this life of the actor; proof that it lives."""
        return self._life

    async def listed(self, symbols: Sequence[str] = ()) -> list[Instrument]:
        """Return instruments of the market that the settings' symbols are of; none named: all.

        Raises ConfigError, UnknownSymbol or FeedDisconnected, each with what to do.
        """
        connection = self._connection or self._connect(self._options.symbols)
        try:
            instruments = list((await connection.look_up(symbols)).values())
        finally:
            if connection is not self._connection:
                await connection.close()
        self._spawn(self._warm_up())  # while the symbols' actors start
        return instruments

    async def start(self, board: Endpoint, routes: Mapping[str, Endpoint], store: Endpoint) -> str:
        """Send the events of the symbols of `routes` there, and of no others; history to `store`.

        May be called again, with others: who is new is subscribed; who is missing is no longer,
        once its actor has taken what was on its way. Raises FeedError where the venue does not
        list a symbol or does not answer; it may then be called again.
        """
        board, store = board.seen_from(self._node), store.seen_from(self._node)
        routes = {symbol: endpoint.seen_from(self._node) for symbol, endpoint in routes.items()}
        async with self._starting:
            if self._connection is not None:
                assert self._board is not None
                assert self._rows is not None
                if self._board.endpoint != board:
                    self._board.reconnect(board)
                if self._rows.endpoint != store:
                    self._rows.reconnect(store)
                await self._follow(routes)
            elif routes:
                await self._begin(board, routes, store)
        return self._life

    async def _begin(
        self, board: Endpoint, routes: Mapping[str, Endpoint], store: Endpoint
    ) -> None:
        options = self._options
        connection = self._connect(tuple(routes))
        try:
            instruments = await connection.load_markets()
            await self._warm_up()
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._board = LatestSender(board, name=self._name, keys=self._keys)
        self._rows = RowSender(store, name=self._name, keys=self._keys)
        if options.record_dir is not None:
            self._recorder = RawRecorder(options.record_dir, options.exchange)
        history = options.history
        client = connection.history(
            pause_s=history.pause_s,
            page_rows=PAGE_ROWS,
            api_key=history.api_key,
            api_secret=history.api_secret,
        )
        self._history = FeedHistory(
            self._name, client, list(instruments.values()), history, self._rows, clock=self._clock
        )
        self._take_up(instruments, routes)
        self._spawn(connection.run())
        self._spawn(self._pump())
        self._spawn(self._tell())
        volume_s, interest_s = options.volume_poll_s, options.open_interest_poll_s
        self._spawn(self._poll(volume_s, connection.fetch_day_volume, "volume of 24 hours"))
        self._spawn(self._poll(interest_s, connection.fetch_open_interest, "open interest", True))
        self._history_task = self._spawn(self._follow_history(self._history))

    async def _follow_history(self, history: FeedHistory) -> None:
        """Keep the history up, once the books have had the request weight that they need."""
        patience_ends = time.monotonic() + BOOKS_FIRST_S
        while not self._feed.is_synced and time.monotonic() < patience_ends:  # noqa: ASYNC110
            await asyncio.sleep(RESTING_S)
        await history.run()

    async def _follow(self, routes: Mapping[str, Endpoint]) -> None:
        """Bring what is sent in line with `routes`."""
        assert self._connection is not None
        gone = [symbol for symbol in self._index if symbol not in routes]
        if gone:
            await self._leave(gone)
        for symbol, at in self._index.items():
            if self._senders[at].endpoint != routes[symbol]:
                self._reroute(symbol, routes[symbol])
        new = [symbol for symbol in routes if symbol not in self._index]
        if new:
            found = await self._connection.look_up(new)
            self._take_up(found, routes)
            self._connection.subscribe(found)

    def _take_up(
        self, instruments: Mapping[str, Instrument], routes: Mapping[str, Endpoint]
    ) -> None:
        """Know more symbols, before their first frame comes."""
        self._senders += [
            EventSender(
                routes[symbol],
                name=self._name,
                exchange=item.exchange,
                keys=self._keys,
                max_backlog_events=self._options.max_backlog_events,
            )
            for symbol, item in instruments.items()
        ]
        self._set_instruments([*self._feed.instruments, *instruments.values()])
        assert self._connection is not None
        fetch = self._connection.fetch_day_volume
        self._spawn(self._ask_all(list(instruments.values()), fetch, "volume of 24 hours"))

    async def _leave(self, symbols: Collection[str]) -> None:
        """Subscribe to symbols no longer, and hand over what was received of them."""
        assert self._connection is not None
        await self._connection.unsubscribe(symbols)
        self._flush()
        leaving = [self._senders[self._index[symbol]] for symbol in symbols]
        give_up = time.monotonic() + LEAVE_TIMEOUT_S
        while any(not sender.pump() for sender in leaving):
            if time.monotonic() > give_up:
                log.error("%s: who leaves has not taken its last events", self._name)
                break
            await asyncio.sleep(PUMP_EVERY_S)
        await asyncio.sleep(RESTING_S)  # the last messages cross the sockets
        self._left += Counter(self._counters(symbols))
        keep = [at for symbol, at in self._index.items() if symbol not in symbols]
        self._senders = [self._senders[at] for at in keep]
        self._set_instruments([self._feed.instruments[at] for at in keep])
        for sender in leaving:
            sender.close()

    def _set_instruments(self, instruments: Sequence[Instrument]) -> None:
        self._feed.set_instruments(instruments)
        self._index = {item.symbol: at for at, item in enumerate(instruments)}
        if self._history is not None:
            self._history.follow(instruments)

    async def tiers(self, symbols: list[str]) -> TierBook:
        """Return the leverage tiers of symbols; raises FeedError or ConfigError with what to do."""
        if self._history is None:
            raise FeedError(f"Expected {self._name} to send symbols before it asks for tiers.")
        return await self._history.tiers(symbols)

    async def route(self, symbol: str, endpoint: Endpoint) -> None:
        """Send a symbol's events to its actor's new life, beginning with a snapshot.

        Raises UnknownSymbol while it is not among those that are sent.
        """
        async with self._starting:
            if symbol not in self._index:
                raise UnknownSymbol(f"Expected a symbol that {self._name} sends, was {symbol}.")
            self._reroute(symbol, endpoint.seen_from(self._node))

    def _reroute(self, symbol: str, endpoint: Endpoint) -> None:
        index = self._index[symbol]
        self._senders[index].reconnect(endpoint)
        self._forward(self._feed.resync(index, self._clock()))

    async def resync(self, exchange: str, symbol: str) -> None:
        """Start a symbol's book again from a snapshot; one that has left needs none."""
        if symbol not in self._index:
            return
        told = {"symbol": symbol}
        log.info("%s: %s:%s asks for a snapshot", self._name, exchange, symbol, extra=told)
        self._forward(self._feed.resync(self._index[symbol], self._clock()))

    async def stop(self, timeout_s: float) -> dict[str, Any]:
        """End the connections, let the symbols take what is on its way, and report."""
        self._stopped = True
        await self._end_history(timeout_s)
        if self._connection is not None:
            await self._connection.close()
        self._flush()
        give_up = time.monotonic() + timeout_s
        while any(not sender.pump() for sender in self._senders):
            if time.monotonic() > give_up:
                log.error("%s: %d events were not taken", self._name, self._backlog())
                break
            await asyncio.sleep(PUMP_EVERY_S)
        await asyncio.sleep(RESTING_S)  # the last messages cross the sockets
        for task in self._tasks:
            task.cancel()
        if self._recorder is not None:
            self._recorder.close()
        return await self.report()

    async def report(self) -> dict[str, Any]:
        """Return the counters and this process's costs."""
        times = os.times()
        return {
            "name": self._name,
            **self._all_counters(),
            "rows_sent": 0 if self._history is None else self._history.rows_sent,
            "rows_unacked": 0 if self._rows is None else self._rows.unacked,
            "pid": os.getpid(),
            "cpu_s": times.user + times.system,
        }

    async def _end_history(self, timeout_s: float) -> None:
        """Ask no more, and see that the store has what was told."""
        if self._rows is None or self._history_task is None:
            return
        self._history_task.cancel()
        await asyncio.gather(self._history_task, return_exceptions=True)
        if not await asyncio.to_thread(self._rows.wait_drained, timeout_s):
            log.error("%s: %d rows were not acknowledged", self._name, self._rows.unacked)

    async def _warm_up(self) -> None:
        """Compile the decoder, or load it, before frames wait for it."""
        async with self._warming:
            if not self._is_warm:
                await asyncio.to_thread(ensure_compiled)
                await asyncio.to_thread(MarketFeed([]).warm)
                self._is_warm = True

    def _connect(self, symbols: Sequence[str]) -> VenueConnection:
        options = self._options
        return VenueConnection(
            options.exchange,
            symbols,
            options.streams,
            on_frame=self._on_frame,
            on_connect=self._on_connect,
            on_disconnect=self._on_disconnect,
            base_url=options.url,
            silent_after_s=options.silent_after_s,
            clock=self._clock,
        )

    def _on_frame(self, frame: bytes, ts_recv: int) -> None:
        self._frames.append(frame)
        self._times.append(ts_recv)
        if self._recorder is not None:
            self._recorder.write(frame, ts_recv)
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_later(self._options.flush_s, self._flush)

    def _on_connect(self, route: Route) -> None:
        log.info("%s: connected %s", self._name, route)

    def _on_disconnect(self, route: Route, reason: str) -> None:
        log.warning("%s: lost %s: %s", self._name, route, reason)
        if route.carries_depth and not self._stopped:
            self._flush()
            lost = [self._index[s] for s in route.symbols if s in self._index]
            self._forward(self._feed.on_disconnect(self._clock(), lost))

    def _flush(self) -> None:
        """Decode what has arrived and send it on."""
        self._flush_planned = False
        if not self._frames:
            return
        frames, self._frames = self._frames, []
        times, self._times = self._times, []
        self._forward(self._feed.on_frames(frames, times))

    def _forward(self, output: FeedOutput) -> None:
        for batch in output.batches:
            if not self._senders[batch.instrument].send(batch.events):
                self._forward(self._feed.resync(batch.instrument, self._clock()))
        for wanted in output.wanted:
            self._spawn(self._fetch_snapshot(self._feed.instruments[wanted.instrument]))
        for letter in output.dead_letters:
            log.warning("%s: unusable frame (%s)", self._name, letter.reason.name)

    async def _fetch_snapshot(self, instrument: Instrument) -> None:
        assert self._connection is not None
        try:
            payload = await self._connection.fetch_snapshot(
                instrument.symbol, self._options.snapshot_limit
            )
        except FeedError as error:
            if not self._stopped and instrument.symbol in self._index:
                told = {"symbol": instrument.symbol}
                log.error(
                    "%s: no snapshot of %s: %s", self._name, instrument.symbol, error, extra=told
                )
            return
        self._flush()  # updates received before the snapshot are to be seen before it
        index = self._index.get(instrument.symbol)
        if index is None:  # it has left meanwhile
            return
        ts_recv = self._clock()
        if self._recorder is not None:
            self._recorder.write_snapshot(instrument.venue_symbol, payload, ts_recv)
        self._forward(self._feed.on_snapshot(index, payload, ts_recv))

    async def _poll(
        self, period_s: float, fetch: Fetch, what: str, contracts_only: bool = False
    ) -> None:
        """Ask for every instrument once per period, evenly spread over it."""
        while True:
            asked = [
                item
                for item in self._feed.instruments
                if not (contracts_only and item.kind is InstrumentKind.SPOT)
            ]
            if not asked:
                await asyncio.sleep(period_s)
            await self._ask_all(asked, fetch, what, pause_s=period_s / max(len(asked), 1))

    async def _ask_all(
        self, asked: Sequence[Instrument], fetch: Fetch, what: str, *, pause_s: float = 0.0
    ) -> None:
        """Ask for one instrument after the other, with a pause before each."""
        for item in asked:
            await asyncio.sleep(pause_s)
            if item.symbol not in self._index:
                continue
            try:
                payload = await fetch(item.symbol)
            except FeedError as error:
                if self._stopped:
                    return
                log.warning("%s: no %s of %s: %s", self._name, what, item.symbol, error)
                continue
            self._on_frame(payload, self._clock())

    async def _pump(self) -> None:
        """Give waiting events another try; sleeps long while nothing waits."""
        while True:
            waiting = False
            for sender in self._senders:
                if sender.is_waiting:
                    waiting |= not sender.pump()
            if self._rows is not None and self._rows.unacked:
                self._rows.pump()
            await asyncio.sleep(PUMP_EVERY_S if waiting else RESTING_S)

    async def _tell(self) -> None:
        assert self._board is not None
        while True:
            self._board.send(f"{names.COUNTERS}{self._name}", orjson.dumps(self._all_counters()))
            self._board.send(f"{names.LOADS}{self._name}", orjson.dumps(self._told_load()))
            await asyncio.sleep(TELL_EVERY_S)

    def _counters(self, symbols: Collection[str]) -> dict[str, int]:
        """Return what only the feed knows of symbols; their actors count the rest."""
        places = [self._index[symbol] for symbol in symbols]
        books = [self._feed.instrument_counters(at) for at in places]
        return {
            "bad_frames": sum(b.bad_frames for b in books),
            "dropped_frames": sum(b.dropped_frames for b in books),
            "dropped_events": sum(self._senders[at].counters.dropped for at in places),
            "duplicate_frames": sum(b.duplicates for b in books),
        }

    def _all_counters(self) -> dict[str, int]:
        """Return the counters of all symbols that were ever sent, and of the connection."""
        counted = {name: n + self._left[name] for name, n in self._counters(self._index).items()}
        counted["bad_frames"] += self._feed.counters.unattributed_bad_frames
        return {
            **counted,
            "reconnects": 0 if self._connection is None else self._connection.counters.reconnects,
            "rate_limited": 0
            if self._connection is None
            else self._connection.counters.rate_limited,
        }

    def _told_load(self) -> dict[str, Any]:
        """Return what this process costs, and who keeps it waiting."""
        return {
            "ts": self._clock(),
            **self._load.read(),
            "exchange": self._options.exchange,
            "markets": {
                symbol: {
                    "backlog_events": self._senders[at].backlog_events,
                    "dropped_events": self._senders[at].counters.dropped,
                }
                for symbol, at in self._index.items()
            },
        }

    def _backlog(self) -> int:
        return sum(sender.backlog_events for sender in self._senders)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._end_with_task)
        return task

    def _end_with_task(self, task: asyncio.Task[Any]) -> None:
        """A task that failed takes the actor along: Ray starts it again, and it subscribes anew."""
        if task.cancelled() or task.exception() is None or self._stopped:
            return
        log.error("%s failed", self._name, exc_info=task.exception())
        os._exit(1)


FeedActor: Any = ray.remote(Feed)
