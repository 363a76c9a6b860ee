"""The desk in its actor: rows come from the board's thread, questions from Ray's, one lock.

The board only leaves rows here, it never waits for the desk. A thread of its own ticks once a
second, reloads histories every few minutes and builds the models that were asked for. What
portfolios hold is kept in the database and comes back after a restart.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from actors.desk_archive import Curve, DeskArchive, Records
from alphaplus.errors import RiskError, StorageError
from alphaplus.instruments import Instrument
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.account_records import account_records
from alphaplus.portfolio.desk import RiskDesk
from alphaplus.portfolio.histories import HistorySet
from alphaplus.portfolio.models import build_models
from alphaplus.portfolio.scenario_models import Model
from alphaplus.risk.figures import DAY_NS, HOUR_NS
from alphaplus.storage.connection import connect
from alphaplus.storage.history import candle_histories, tier_book

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
FRESH_FOR_NS: Final = 250_000_000
"""A report is given again for so long, however many ask."""
FIRST_RELOADS_S: Final = 10.0
"""How often history is looked for while there is none."""
HISTORY_DAYS: Final = 400
EQUITY_EVERY_S: Final = 60.0
"""How often the equity of portfolios is noted in the database."""
MODEL_WAIT_S: Final = 1.5
"""How long a question waits for a model that nobody asked for before."""


class LiveDesk:
    """A `RiskDesk` between threads; `start` begins to reload and to tick."""

    def __init__(
        self,
        desk: RiskDesk,
        *,
        dsn: str | None,
        reload_s: float,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._desk = desk
        self._dsn = dsn
        self._reload_s = reload_s
        self._clock = clock
        self._lock = threading.RLock()
        self._inbox: dict[tuple[str, str], np.void] = {}
        self._inbox_lock = threading.Lock()
        self._history = HistorySet(candles={})
        self._wanted: dict[Model, threading.Event] = {}
        self._built: set[Model] = set()
        self._wake = threading.Event()
        self._reports: dict[tuple[str, Model | None], tuple[int, dict[str, Any]]] = {}
        self._failures = 0
        self._archive = DeskArchive(dsn)
        self._archive_lock = threading.Lock()  # taken before `_lock` by who needs both
        self._restored = False
        self._set_here: set[str] = set()
        self._refused: dict[str, tuple[Records, Curve]] = {}
        """Portfolios in the database that could not be restored: markets that are not watched."""
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        """Take up what portfolios held, and begin to tick and to reload."""
        self._restore()
        self._thread.start()

    def take(self, kind: str, key: str, row: np.void) -> None:
        """Leave a `state` or `risk` row for the desk; returns at once."""
        with self._inbox_lock:
            self._inbox[kind, key] = row

    def ask(self, question: Callable[[RiskDesk, int], Any]) -> Any:
        """Return what the desk says, with every row that came before in it."""
        with self._lock:
            self._drain()
            return question(self._desk, self._clock())

    def change(self, change: Callable[[RiskDesk], None]) -> None:
        """Change what is held; reports of before are forgotten."""
        with self._lock:
            change(self._desk)
            self._reports.clear()

    def hold(self, portfolio_id: str, change: Callable[[RiskDesk], None]) -> None:
        """Change what a portfolio holds, and keep it through restarts, see `saved`."""
        with self._archive_lock:
            with self._lock:
                self.change(change)
                self._set_here.add(portfolio_id)
                known = portfolio_id in self._desk.portfolio_ids
                accounts = self._desk.accounts(portfolio_id) if known else ()
            self._archive.save(portfolio_id, account_records(accounts))

    def saved(self, portfolio_id: str) -> bool:
        """Say whether a portfolio, as it is now, would survive a restart."""
        return self._archive.saved(portfolio_id)

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Watch these markets; portfolios that could not be restored without them are now."""
        with self._archive_lock:
            self.change(lambda desk: desk.set_instruments(instruments))
            refused, self._refused = self._refused, {}
            with self._lock:
                self._take_up(refused)

    def release(self, symbols: Collection[str]) -> dict[str, list[str]]:
        """Watch symbols no longer, unless one is held: then nothing changes.

        Returns the portfolios that hold each of them.
        """
        with self._lock:
            holders = self._desk.holders(symbols)
            if not holders:
                left = self._desk.board.instruments.values()
                self._desk.set_instruments([item for item in left if item.symbol not in symbols])
                self._reports.clear()
            return holders

    def set_tiers(self, exchange: str, book: TierBook) -> None:
        """Take the tiers of an exchange."""
        self.change(lambda desk: desk.set_tiers(exchange, book))

    def report(self, portfolio_id: str, model: Model | None) -> dict[str, Any]:
        """Return the report of a portfolio, at most `FRESH_FOR_NS` old."""
        self._await_model(model)
        with self._lock:
            now, key = self._clock(), (portfolio_id, model)
            known = self._reports.get(key)
            if known is not None and 0 <= now - known[0] < FRESH_FOR_NS:
                return known[1]
            self._drain()
            answer = self._desk.report(portfolio_id, now, model)
            self._reports[key] = now, answer
            return answer

    def counters(self) -> dict[str, int]:
        """Return what went wrong so far."""
        return {"history_failures": self._failures, "archive_failures": self._archive.failures}

    def _drain(self) -> None:
        with self._inbox_lock:
            rows, self._inbox = self._inbox, {}
        for (kind, _), row in rows.items():
            if kind == "state":
                self._desk.take_state(row)
            else:
                self._desk.take_risk(row)

    def _await_model(self, model: Model | None) -> None:
        if model is None or model in self._built or not len(self._history):
            return
        done = self._wanted.setdefault(model, threading.Event())
        self._wake.set()
        done.wait(MODEL_WAIT_S)

    def _run(self) -> None:
        due = equity_due = 0.0
        try:
            while True:
                self._restore()
                with self._archive_lock:
                    self._archive.retry()
                if self._dsn is not None and time.monotonic() >= due:
                    self._reload(self._dsn)
                    wait_s = self._reload_s if len(self._history) else FIRST_RELOADS_S
                    due = time.monotonic() + min(wait_s, self._reload_s)
                self._build(set(self._wanted) - self._built)
                with self._lock:
                    self._drain()
                    now = self._clock()
                    self._desk.tick(now)
                    equities = self._desk.equities()
                if time.monotonic() >= equity_due:
                    equity_due = time.monotonic() + EQUITY_EVERY_S
                    with self._archive_lock:
                        self._archive.save_equity(now, equities)
                self._wake.wait(TICK_S)
                self._wake.clear()
        except BaseException:  # a desk that no longer follows the market must not answer
            log.exception("the desk failed")
            os._exit(1)

    def _restore(self) -> None:
        """Take up what portfolios held before this life; what was set since then stands."""
        if self._restored:
            return
        with self._archive_lock:
            try:
                found, curves = self._archive.load()
            except StorageError as error:
                self._failures += 1
                log.error("portfolios are not restored yet: %s", error)
                return
            with self._lock:
                self._take_up({name: (found[name], curves[name]) for name in found})
            self._restored = True

    def _take_up(self, portfolios: Mapping[str, tuple[Records, Curve]]) -> None:
        """Let portfolios hold what they held; what was set in this life stands."""
        for name in portfolios.keys() - self._set_here:
            records, curve = portfolios[name]
            try:
                self._desk.set_accounts(name, records)
            except RiskError as error:  # it stays in the database as it is
                log.error("portfolio %s cannot be restored: %s", name, error)
                self._refused[name] = records, curve
                continue
            self._desk.restore_equity(name, *curve)
        self._reports.clear()

    def _reload(self, dsn: str) -> None:
        """Read histories and tiers; while the database is away the ones before stand."""
        try:
            history, books = asyncio.run(self._read(dsn))
        except StorageError as error:
            self._failures += 1
            log.warning("no histories from the database: %s", error)
            return
        for exchange, book in books.items():
            if self._desk.tiers_of(exchange) is None:
                self.set_tiers(exchange, book)
        if not len(history) or _same(history, self._history):
            return
        self._history = history
        self._build(self._built | {self._desk.settings.default_model})

    def _build(self, models: set[Model]) -> None:
        for model in models:
            begun = time.monotonic()
            built = build_models(self._history, model)
            with self._lock:
                self._desk.set_models(built)
                self._reports.clear()
            self._built.add(model)
            self._wanted.setdefault(model, threading.Event()).set()
            log.info(
                "%s of %d markets in %.2f s; without: %s",
                model,
                len(built.markets),
                time.monotonic() - begun,
                dict(built.missing) or "none",
            )

    async def _read(self, dsn: str) -> tuple[HistorySet, dict[str, TierBook]]:
        by_exchange: dict[str, list[str]] = {}
        for item in self._desk.board.instruments.values():
            by_exchange.setdefault(item.exchange, []).append(item.symbol)
        now = self._clock()
        candles, books = {}, {}
        connection = await connect(dsn)
        try:
            for exchange, symbols in by_exchange.items():
                found = await candle_histories(
                    connection,
                    exchange,
                    symbols,
                    HOUR_NS,
                    start_ns=now - HISTORY_DAYS * DAY_NS,
                    end_ns=now,
                )
                candles.update({f"{exchange}:{s}": history for s, history in found.items()})
                book = await tier_book(connection, exchange, now)
                if book is not None:
                    books[exchange] = book
        finally:
            await connection.close()
        return HistorySet(candles=candles), books


def _same(one: HistorySet, other: HistorySet) -> bool:
    """Whether two histories end alike, so that nothing need be built again."""
    if one.candles.keys() != other.candles.keys():
        return False
    pairs = ((one.candles[key], other.candles[key]) for key in one.candles)
    return all(len(a) == len(b) and a.times[-1] == b.times[-1] for a, b in pairs)
