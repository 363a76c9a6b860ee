"""One symbol: it owns the symbol's books on every exchange, their measures and their rows.

A plain class that one thread at a time may use; `actors/symbol_host.py` has the threads.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from actors import names
from actors.venue_risk import VenueRisk
from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.analysis.registry import MeasureParameters
from alphaplus.analysis.splitter import NEVER
from alphaplus.analysis.state import summary
from alphaplus.errors import UnknownSymbol
from alphaplus.event_latencies import EventLatencies
from alphaplus.events import Kind
from alphaplus.instruments import Instrument
from alphaplus.latency import LatencyHistogram
from alphaplus.leverage.tiers import TierTable
from alphaplus.storage.latest_rows import LatestOfMarket, LatestRows
from alphaplus.storage.market_rows import MarketRows
from alphaplus.streams import (
    Endpoint,
    EventBatch,
    EventReceiver,
    LatestSender,
    RowSender,
    StreamKeys,
    Transport,
)
from alphaplus.turn import Turn

log = logging.getLogger(__name__)

LATENCIES_EVERY_NS: Final = 5_000_000_000
MOVE_BPS: Final = 5.0
"""A mid that moved so far since the last state is told at once, not at the next interval."""
ROWS_BYTES: Final = 2**20
"""Rows are sent in pieces of at most so much, far below what may be unacknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolOptions:
    """What symbols need of the settings; plain data, so that their actors start lean."""

    stale_after_ms: float
    state_interval_ms: float
    parameters: MeasureParameters
    deltas: bool
    snapshot_depth: int
    snapshot_interval_ms: float
    analysis_interval_ms: float
    flush_ms: float
    max_unacked_rows: int
    max_unacked_mb: float
    liquidation_bar_s: float = 60.0
    latest_rows: int = 0
    log_level: str = "INFO"


@dataclass(slots=True)
class _Venue:
    """One exchange's market of the symbol, and what is due to whom."""

    market: Market
    rows: MarketRows
    risk: VenueRisk
    latest: LatestOfMarket
    state_turn: Turn
    told_mid: float = 0.0
    has_moved: bool = False
    """Whether the mid is far from that which was told."""
    next_latencies: int = 0
    asked_resync: int = 0
    refused_rows: int = 0
    looked: int = 0
    """When the book message was received of which the mid was last looked at."""
    latencies: EventLatencies = field(default_factory=EventLatencies)
    starting: LatencyHistogram = field(default_factory=LatencyHistogram)
    """Latencies of the time before the whole fleet was fresh."""


class Symbol:
    """All books of one symbol, from the events that it receives to the states and rows it sends."""

    def __init__(
        self,
        symbol: str,
        instruments: Sequence[Instrument],
        options: SymbolOptions,
        transport: Transport,
        *,
        keys: StreamKeys | None = None,
        flush_with: str = "",
        ask_resync: Callable[[str, str], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Bind to a fresh address of `transport`; `keys` are the fleet's, if it has any.

        Symbols with one `flush_with` give their rows to the store at the same moments.
        `ask_resync` asks for a snapshot of an exchange's book of a symbol, and does not wait.
        """
        self.symbol = symbol
        self._log = logging.LoggerAdapter(log, {"symbol": symbol})
        self.receiver = EventReceiver(transport)
        self._options = options
        self._keys = keys
        self._flush_with = flush_with
        self._request_resync = ask_resync
        self._clock = clock
        self._venues = {item.exchange: self._venue(item) for item in instruments}
        self._board: LatestSender | None = None
        self._store: RowSender | None = None
        self._rows_sent = 0
        self._apply_ns = self._settle_ns = 0
        self._states_due = self._rows_due = NEVER
        """When the next state and the next rows are to go, ns by our clock."""

    @property
    def due(self) -> int:
        """From when on `settle` has something to do, ns since 1970 UTC."""
        return min(self._states_due, self._rows_due)

    def ready(self) -> Endpoint:
        """Return where to send this symbol's events."""
        return self.receiver.endpoint

    def start(self, board: Endpoint, store: RowSender | None) -> None:
        """Tell states to `board`, and put rows into `store`; again, if the board has moved."""
        if self._board is None:
            self._board = LatestSender(board, name=names.symbol_name(self.symbol), keys=self._keys)
        else:
            self._board.reconnect(board)
        self._store = store
        self._states_due = self._rows_due = 0
        self.settle(self._clock())

    def receive(self) -> int:
        """Apply what is there, without waiting; returns how many batches it was.

        The board hears at once of a mid that has moved far. Raises StreamClosed after `close`.
        """
        begun = time.perf_counter_ns()
        batches = self.receiver.recv(timeout_ms=0)
        for batch in batches:
            self._apply(batch)
        self._apply_ns += time.perf_counter_ns() - begun
        return len(batches)

    def settle(self, now: int) -> None:
        """Do one thing that is due, if any: tell the board, or give the store rows.

        One at a time, as each takes as long as several batches of events that may wait meanwhile.
        """
        begun = time.perf_counter_ns()
        if now >= self._states_due:
            self._tell_board(now)
        elif now >= self._rows_due:
            self._flush_rows(now)
        self._settle_ns += time.perf_counter_ns() - begun

    def settle_all(self) -> None:
        """Take in what is on its way, tell everything, and give the store every row.

        To be called after the feeds have stopped sending.
        """
        while self.receive():
            pass
        now = self._clock()
        self._tell_board(now, everything=True)  # which may add rows
        self._flush_rows(now, everything=True)

    def wait_drained(self, timeout_s: float) -> None:
        """Wait until the store has every row; others may use the symbol meanwhile."""
        if self._store is None or self._store.wait_drained(timeout_s, source=self.symbol):
            return
        unacked = self._store.unacked_of(self.symbol)
        self._log.error("%s: %d rows were not acknowledged", self.symbol, unacked)

    def close(self) -> None:
        """Give up the address, and what the board was not told."""
        self.receiver.close()
        if self._board is not None:
            self._board.close()

    @property
    def worked_ns(self) -> int:
        """How long the receiving thread has worked for this symbol."""
        return self._apply_ns + self._settle_ns

    def tell_load(self, of_process: Mapping[str, Any]) -> None:
        """Tell the board what the symbol does, as totals since it began, and what it costs."""
        if self._board is None:
            return
        counters = self.receiver.counters
        load = {
            "ts": self._clock(),
            **of_process,
            "batches": counters.batches - counters.coalesced,
            "events": counters.received,
            "apply_s": self._apply_ns / 1e9,
            "markets": {
                exchange: {"messages": int(venue.market.last["messages"])}
                for exchange, venue in self._venues.items()
            },
        }
        self._board.send(f"{names.LOADS}{names.symbol_name(self.symbol)}", orjson.dumps(load))

    def summary(self, exchange: str | None = None) -> dict[str, Any]:
        """Return where the symbol stands on an exchange (default: its first)."""
        now = self._clock()
        state = views.state(self._find(exchange).market, now)
        return summary(state[0], now_ns=now, stale_after_ms=self._options.stale_after_ms)

    def book(self, exchange: str | None = None, depth: int = 20) -> dict[str, Any]:
        """Return the best `depth` levels of the book on an exchange."""
        return views.book(self._find(exchange).market, depth, self._clock())

    def analysis(self, exchange: str | None = None) -> dict[str, Any]:
        """Return every measure of the market on an exchange."""
        return views.analysis(self._find(exchange).market, self._clock())

    def depth(self, exchange: str | None = None) -> dict[str, Any]:
        """Return how much stands where in the book on an exchange, and what taking it costs."""
        return views.depth(self._find(exchange).market, self._clock())

    def liquidity(self, exchange: str | None, notional: float) -> dict[str, Any]:
        """Return what an order for `notional` quote currency meets; raises StaleBook."""
        return views.liquidity(self._find(exchange).market, notional, self._clock())

    def measure(self, exchange: str | None, name: str) -> dict[str, Any]:
        """Return one measure alone, by its name."""
        return views.measure(self._find(exchange).market, name, self._clock())

    def liquidations(
        self, exchange: str | None = None, limit: int = 100, levels: int = 50
    ) -> dict[str, Any]:
        """Return what was liquidated on an exchange and, apart from it, what may be nearest."""
        return self._find(exchange).risk.liquidations(limit, levels, self._clock())

    def liquidation_map(self, exchange: str | None = None) -> dict[str, Any]:
        """Return the estimated map of liquidation levels on an exchange."""
        return self._find(exchange).risk.liquidation_map(self._clock())

    def latest(self, exchange: str | None, table: str, count: int) -> LatestRows | None:
        """Return the newest rows that went to the store; None where only the database has them."""
        venue = self._find(exchange)
        rows = venue.latest.newest(table, count)
        if rows is None:
            return None
        of = venue.market.instrument
        return LatestRows(table=table, exchange=of.exchange, symbol=of.symbol, rows=rows)

    def refill(self, stored: Sequence[LatestRows]) -> None:
        """Put the newest rows of the database before those of this life."""
        for item in stored:
            self._find(item.exchange).latest.refill(item.table, item.rows)

    def set_tiers(self, exchange: str, table: TierTable) -> None:
        """Build the map of an exchange on these leverage tiers; raises RiskError."""
        self._find(exchange).risk.set_tiers(table)

    def begin_measuring(self) -> None:
        """Count latencies anew: the fleet is complete, and what follows is the steady state."""
        for venue in self._venues.values():
            venue.starting = venue.starting + venue.latencies.of_all
            venue.latencies = EventLatencies()

    def progress(self) -> dict[str, Any]:
        """Return `level_updates` and `book_latencies` (a histogram's bytes) of all books so far.

        A small part of a report, for those who ask each second and are not to disturb.
        """
        venues = self._venues.values()
        of_book = sum((venue.latencies.of_book for venue in venues), LatencyHistogram())
        return {
            "level_updates": sum(int(venue.market.last["level_updates"]) for venue in venues),
            "book_latencies": of_book.to_bytes(),
        }

    def report(self) -> dict[str, Any]:
        """Return counters, latencies and hashes of all books, for the run's summary."""
        now = self._clock()
        latencies = starting = of_book = LatencyHistogram()
        for venue in self._venues.values():
            latencies = latencies + venue.latencies.of_all
            starting = starting + venue.starting
            of_book = of_book + venue.latencies.of_book
        return {
            "symbol": self.symbol,
            "states": [views.state(venue.market, now) for venue in self._venues.values()],
            "book_hash": {
                name: venue.market.book.state_hash() for name, venue in self._venues.items()
            },
            "latencies": latencies.to_bytes(),
            "book_latencies": of_book.to_bytes(),
            "starting_latencies": starting.to_bytes(),
            "rows_sent": self._rows_sent,
            "latest_bytes": sum(venue.latest.nbytes for venue in self._venues.values()),
            "rows_unacked": 0 if self._store is None else self._store.unacked_of(self.symbol),
            "rows_refused": sum(venue.refused_rows for venue in self._venues.values()),
            "holes": self.receiver.counters.holes,
        }

    def _venue(self, instrument: Instrument) -> _Venue:
        options = self._options
        analyzer = Analyzer(instrument, options.parameters)
        market = Market(instrument, analyzer, stale_after_ms=options.stale_after_ms)
        rows = MarketRows(
            market,
            deltas=options.deltas,
            snapshot_depth=options.snapshot_depth,
            flush_ms=options.flush_ms,
            snapshot_interval_ms=options.snapshot_interval_ms,
            analysis_interval_ms=options.analysis_interval_ms,
            flush_with=self._flush_with,
        )
        risk = VenueRisk(
            market, stale_after_ms=options.stale_after_ms, bar_s=options.liquidation_bar_s
        )
        return _Venue(
            market,
            rows,
            risk,
            LatestOfMarket(options.latest_rows),
            Turn(instrument.key, options.state_interval_ms),
        )

    def _find(self, exchange: str | None) -> _Venue:
        if exchange is None:
            return next(iter(self._venues.values()))
        try:
            return self._venues[exchange]
        except KeyError:
            listed = ", ".join(self._venues)
            raise UnknownSymbol(
                f"Expected an exchange that lists {self.symbol} ({listed}), was {exchange}."
            ) from None

    def _apply(self, batch: EventBatch) -> None:
        venue = self._venues[batch.exchange]
        events = batch.events
        if batch.hole:
            venue.market.mark_hole()
            venue.risk.mark_hole()
            if not np.any(events["kind"] == Kind.STATUS):  # the feed does not know of the loss
                self._ask_resync(venue)
        venue.market.apply(events)
        venue.rows.add(events)
        venue.risk.add(events)
        if venue.market.needs_resync:
            self._log.warning("%s: the book differs from the venue's best prices", self.symbol)
            venue.market.audit.reset()
            self._ask_resync(venue)
        venue.latencies.record(events, self._clock())
        if self._board is not None and _moved(venue):
            venue.has_moved, self._states_due = True, 0

    def _ask_resync(self, venue: _Venue) -> None:
        """Ask the feed for a snapshot, at most once a second; the answer comes by the stream."""
        now = self._clock()
        if now < venue.asked_resync + 1_000_000_000:
            return
        venue.asked_resync = now
        self._request_resync(venue.market.instrument.exchange, self.symbol)

    def _tell_board(self, now: int, *, everything: bool = False) -> None:
        if self._board is None:
            self._states_due = NEVER
            return
        for exchange, venue in self._venues.items():
            if not (venue.state_turn.is_due(now) or everything or venue.has_moved):
                continue
            venue.has_moved = False
            venue.told_mid = venue.market.mid or 0.0
            self._board.send(
                f"{names.STATE}{exchange}:{self.symbol}", views.state(venue.market, now)
            )
            self._tell_risk(f"{names.RISK}{exchange}:{self.symbol}", venue, now)
            if everything or now >= venue.next_latencies:
                venue.next_latencies = now + LATENCIES_EVERY_NS
                key = f"{names.LATENCIES}{exchange}:{self.symbol}"
                self._board.send(key, venue.latencies.of_all.to_bytes())
        self._states_due = min(venue.state_turn.due for venue in self._venues.values())
        if self._board.unsent:
            self._board.pump()

    def _tell_risk(self, key: str, venue: _Venue, now: int) -> None:
        record = venue.risk.due_record(now)
        if record is None or self._board is None:
            return
        self._board.send(key, record)
        rows = venue.risk.take_rows(now)
        if self._store is not None:
            venue.rows.keep(rows)

    def _flush_rows(self, now: int, *, everything: bool = False) -> None:
        if self._store is None:
            self._rows_due = NEVER
            return
        for venue in self._venues.values():
            batches = venue.rows.take_all(now) if everything else venue.rows.take(now)
            for piece in (piece for batch in batches for piece in batch.pieces(ROWS_BYTES)):
                if self._store.put(piece.key, piece.rows, source=self.symbol):
                    self._rows_sent += len(piece)
                    venue.latest.add(piece.table, piece.rows)
                else:
                    self._refuse(venue, piece.table, len(piece))
        self._rows_due = min(venue.rows.due for venue in self._venues.values())

    def _refuse(self, venue: _Venue, table: str, rows: int) -> None:
        """The store is too far behind and memory is bounded: count, say, and mark the market."""
        if not venue.refused_rows:
            self._log.error("%s: the store is behind; rows of %s are lost", self.symbol, table)
        venue.refused_rows += rows
        venue.market.dropped += rows


def _moved(venue: _Venue) -> bool:
    market = venue.market
    if market.ts_recv == venue.looked:  # most batches change no book
        return False
    venue.looked = market.ts_recv
    mid = market.mid
    if mid is None:
        return False
    return not venue.told_mid or abs(mid - venue.told_mid) > venue.told_mid * MOVE_BPS * 1e-4
