"""From events and measures to rows: what is kept of one market.

Every level update, trade, liquidation and open-interest reading becomes a row; the book's top
and its measures do at an interval, and the predicted funding rate when it changes.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis import views
from alphaplus.analysis.market import Market
from alphaplus.events import EventArray, Flag, Kind, Side, plain
from alphaplus.rows import join_rows
from alphaplus.storage._event_kernels import fill_deltas, kinds_of
from alphaplus.storage.depth_columns import MEASURED, TOUCH
from alphaplus.storage.tables import (
    FIRST,
    SECOND,
    SNAPSHOT_LEVELS,
    TABLES,
    RowArray,
    TableBatch,
    side_codes,
)
from alphaplus.turn import Turn

_OF_SNAPSHOT: Final = (
    "spread",
    "total_bid_volume",
    "total_ask_volume",
    "bid_ask_imbalance",
    "liquidity_score",
    "order_flow_toxicity",
    "depth_pressure",
)
_MEASURES: Final = tuple({measure for measure, *_ in MEASURED.values()})
FUNDING_EVERY_NS: Final = 60 * 10**9


class MarketRows:
    """Collects one market's events and turns them into batches of rows.

    Events, snapshots of the book and measures become rows at turns of their own, which fall
    together where they can; those of many markets do not fall on the same moment.
    """

    def __init__(
        self,
        market: Market,
        *,
        deltas: bool,
        snapshot_depth: int,
        flush_ms: float,
        snapshot_interval_ms: float,
        analysis_interval_ms: float,
        flush_with: str = "",
    ) -> None:
        """Events become rows at the turn of `flush_with`, so that those of several markets can go
        together; empty: at one of this market's own."""
        self._market = market
        self._deltas = deltas
        self._depth = min(snapshot_depth, SNAPSHOT_LEVELS)
        self._analysis_ms = round(analysis_interval_ms)
        key = market.instrument.key
        self._turns = (
            (Turn(flush_with or key, flush_ms), self._events),
            (Turn(key, snapshot_interval_ms), self._snapshot),
            (Turn(key, analysis_interval_ms), self._analysis),
        )
        self._waiting: list[EventArray] = []
        self._kept: list[TableBatch] = []
        self._snapshot_sequence = self._analysis_time = -1
        self._rebuilt = False
        self._funding_rate = math.nan
        self._funding_time = 0

    def add(self, events: EventArray) -> None:
        """Keep a batch that the market has applied until its turn."""
        self._waiting.append(events)

    def keep(self, batches: list[TableBatch]) -> None:
        """Keep rows that others made of the market until its events' turn."""
        self._kept += batches

    @property
    def due(self) -> int:
        """When the next turn is, ns by our clock."""
        return min(turn.due for turn, _ in self._turns)

    def take(self, now_ns: int) -> list[TableBatch]:
        """Return the rows of every turn that is due."""
        batches = []
        for turn, make in self._turns:
            if turn.is_due(now_ns):
                batches += make()
        return batches

    def take_all(self, now_ns: int) -> list[TableBatch]:
        """Return the rows of every turn, due or not."""
        batches = []
        for turn, make in self._turns:
            turn.pass_on(now_ns)
            batches += make()
        return batches

    def _events(self) -> list[TableBatch]:
        kept, self._kept = self._kept, []
        return kept + self._rows_of_events()

    def _rows_of_events(self) -> list[TableBatch]:
        if not self._waiting:
            return []
        events = plain(join_rows(self._waiting))
        self._waiting.clear()
        kinds = kinds_of(events)
        self._rebuilt |= bool(kinds & 1 << Kind.SNAPSHOT_BEGIN)
        by_kind = {
            Kind.TRADE: self._trades,
            Kind.LIQUIDATION: self._liquidations,
            Kind.OPEN_INTEREST: self._open_interest,
            Kind.FUNDING_RATE: self._funding,
        }
        batches = self._level_updates(events) if self._deltas else []
        for kind, make in by_kind.items():
            if kinds & 1 << kind:
                batches += make(events[events["kind"] == kind])
        return batches

    def _level_updates(self, events: EventArray) -> list[TableBatch]:
        rows = np.empty(len(events), dtype=TABLES["order_book_deltas"].dtype)
        instrument = self._market.instrument
        count = fill_deltas(events, rows, instrument.tick_units, 10.0**instrument.price_decimals)
        return self._batch("order_book_deltas", rows[:count]) if count else []

    def _trades(self, trades: EventArray) -> list[TableBatch]:
        rows = self._rows("market_trades", trades)
        rows["trade_id"] = trades["sequence"]
        rows["side"] = side_codes(trades["side"])
        rows["price"] = self._prices(trades["price_tick"])
        rows["qty"] = trades["value"]
        rows["is_liquidation"] = (trades["flags"] & Flag.OFF_MARKET) != 0
        return self._batch("market_trades", rows)

    def _liquidations(self, orders: EventArray) -> list[TableBatch]:
        rows = self._rows("liquidation_events", orders)
        price = self._prices(orders["price_tick"])
        rows["event_id"] = _ids(orders)
        # A forced sale closes a long position, a forced purchase a short one.
        rows["side"] = np.where(orders["side"] == Side.ASK, FIRST, SECOND)
        rows["price"], rows["qty"] = price, orders["value"]
        rows["usd"] = self._notionals(price, orders["value"])
        rows["source"], rows["sampled"] = b"forceOrder", True
        return self._batch("liquidation_events", rows)

    def _open_interest(self, readings: EventArray) -> list[TableBatch]:
        rows = self._rows("open_interest", readings)
        rows["source"] = b"rest"
        mark = self._market.mark_price
        rows["mark_price"] = mark
        contracts = readings["value"]
        if self._market.instrument.inverse:
            rows["oi_usd"] = contracts * self._market.instrument.contract_size
            rows["oi_base"] = rows["oi_usd"] / mark
        else:
            rows["oi_base"] = contracts * self._market.instrument.contract_size
            rows["oi_usd"] = rows["oi_base"] * mark
        return self._batch("open_interest", rows)

    def _funding(self, rates: EventArray) -> list[TableBatch]:
        last = rates[-1:]
        rate, time = float(last["value"][0]), int(last["ts_event"][0])
        if rate == self._funding_rate and time < self._funding_time + FUNDING_EVERY_NS:
            return []
        self._funding_rate, self._funding_time = rate, time
        rows = self._rows("enhanced_funding_rates", last)
        rows["kind"], rows["rate"] = b"predicted", rate
        rows["next_time"], rows["raw_time"] = last["sequence"], last["ts_event"]
        rows["mark_price"] = self._market.mark_price
        rows["index_price"] = self._market.index_price
        return self._batch("enhanced_funding_rates", rows)

    def _snapshot(self) -> list[TableBatch]:
        book = self._market.book
        sequence = book.sequence
        if not book.is_valid or sequence is None or sequence == self._snapshot_sequence:
            return []
        self._snapshot_sequence = sequence
        found = views.order_book_snapshot(self._market, self._depth)
        row = (
            found.timestamp,
            self._market.ts_recv,
            sequence,
            len(found.bids),
            len(found.asks),
            *_ladder(found.bids),
            *_ladder(found.asks),
            found.depth_levels,
            self._rebuilt,
            *(_known(getattr(found, name)) for name in _OF_SNAPSHOT),
        )
        self._rebuilt = False
        return self._row("enhanced_order_book_snapshots", row)

    def _analysis(self) -> list[TableBatch]:
        market = self._market
        time = market.ts_event
        if not market.book.is_valid or time == self._analysis_time:
            return []
        self._analysis_time = time
        touch = views.touch(market)
        analyzer = market.refreshed()
        values = {name: views.values_of(analyzer, name) for name in _MEASURES}
        row = (
            time,
            market.ts_recv,
            self._analysis_ms,
            market.book.sequence or 0,
            *(_known(touch.get(name)) for name in TOUCH),
            *(_known(_at(values[name], path)) for name, *path in MEASURED.values()),
        )
        return self._row("market_depth_analysis", row)

    def _row(self, table: str, row: tuple[Any, ...]) -> list[TableBatch]:
        """Return a batch of one row whose fields are given in the order of the columns.

        They are set at once: one at a time takes a microsecond each.
        """
        return self._batch(table, np.array([row], dtype=TABLES[table].dtype))

    def _rows(self, table: str, events: EventArray) -> RowArray:
        rows = TABLES[table].rows(len(events))
        rows["time"], rows["recv_time"] = events["ts_event"], events["ts_recv"]
        return rows

    def _batch(self, table: str, rows: RowArray) -> list[TableBatch]:
        instrument = self._market.instrument
        return [TableBatch(table, instrument.exchange, instrument.symbol, rows)]

    def _prices(self, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        instrument = self._market.instrument
        prices: npt.NDArray[np.float64] = (
            ticks * instrument.tick_units / 10.0**instrument.price_decimals
        )
        return prices

    def _notionals(
        self, price: npt.NDArray[np.float64], quantity: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        size = quantity * self._market.instrument.contract_size
        return size if self._market.instrument.inverse else size * price


def _known(value: float | None) -> float:
    """Return what stands for None: nan becomes NULL."""
    return math.nan if value is None else value


def _at(found: Any, path: list[str]) -> Any:
    for key in path:
        found = None if found is None else found.get(key)
    return found


def _ladder(levels: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return prices and quantities, each filled up with nan."""
    rest = [math.nan] * (SNAPSHOT_LEVELS - len(levels))
    return [price for price, _ in levels] + rest, [quantity for _, quantity in levels] + rest


def _ids(events: EventArray) -> npt.NDArray[np.int64]:
    """Return 63-bit ids that depend only on what the venue said, so that replays agree."""
    mixed = np.zeros(len(events), dtype=np.uint64)
    parts = (events["ts_event"], events["price_tick"], events["value"].view("i8"), events["side"])
    for part in parts:  # one round of the splitmix64 finaliser for each field
        mixed ^= part.astype(np.int64).view(np.uint64)
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
    return (mixed >> np.uint64(1)).astype(np.int64)
