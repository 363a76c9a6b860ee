"""What the HTTP layer needs of the fleet, and the fleet as it is shown over HTTP."""

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

from fastapi import Depends, Request

from alphaplus.errors import (
    AlphaPlusError,
    RiskError,
    StaleBook,
    UnknownMeasure,
    UnknownPortfolio,
    UnknownSymbol,
)
from serve import problems
from serve.risk_fleet import RiskFleet
from serve.symbols_fleet import SymbolsFleet

if TYPE_CHECKING:
    from alphaplus.portfolio.stress_inputs import StressInputs
    from alphaplus.storage.latest_rows import LatestRows

Record = dict[str, Any]
T = TypeVar("T")


FRESHNESS: Final = ("ts_event", "ts_recv", "age_ms", "stale", "stale_reason")
"""What every answer carries."""


class FleetUnavailable(AlphaPlusError):
    """The actor that knows the answer is starting, restarting, gone or too slow."""


class Fleet(RiskFleet, SymbolsFleet, Protocol):
    """The questions that HTTP puts to the actors.

    Every method raises FleetUnavailable if its actor cannot answer now. Those that take a
    symbol raise UnknownSymbol if there is no actor, or no book, for it.
    """

    async def board(self) -> list[Record]:
        """Return one summary per exchange and symbol, see `schemas.Summary`."""

    async def book(self, symbol: str, exchange: str | None, depth: int) -> Record:
        """Return up to `depth` levels per side, see `schemas.Book`."""

    async def analysis(self, symbol: str, exchange: str | None) -> Record:
        """Return all measures of one market, see `measure_schemas.Analysis`."""

    async def depth(self, symbol: str, exchange: str | None) -> Record:
        """Return how much stands where, see `measure_schemas.MarketDepth`."""

    async def liquidity(self, symbol: str, exchange: str | None, notional: float) -> Record:
        """Return what an order meets, see `measure_schemas.Liquidity`; raises StaleBook."""

    async def measure(self, symbol: str, exchange: str | None, name: str) -> Record:
        """Return one measure, see `measure_schemas.MeasureValues`; raises UnknownMeasure."""

    async def liquidations(
        self, symbol: str, exchange: str | None, limit: int, levels: int
    ) -> Record:
        """Return what was and what may be liquidated, see `liquidation_schemas.Liquidations`."""

    async def liquidation_map(self, symbol: str, exchange: str | None) -> Record:
        """Return the estimated map, see `liquidation_schemas.LiquidationMap`."""

    async def portfolio(self) -> Record:
        """Return positions and their totals, see `schemas.Portfolio`."""

    async def set_positions(
        self, positions: list[Record], wallet_balance: float | None = None
    ) -> Record:
        """Replace all positions and return the new portfolio; raises RiskError."""

    async def stress_inputs(self, portfolio_id: str) -> "StressInputs":
        """Return what a stress run of a portfolio takes; raises UnknownPortfolio."""

    async def stats(self) -> Record:
        """Return the counters of the whole fleet, see `schemas.FleetStats`."""

    async def load(self) -> Record:
        """Return what markets and roles do and cost, see `load_schemas.FleetLoad`."""

    async def database(self) -> str:
        """Return the DSN of the database that the fleet writes to."""

    async def latest(
        self, symbol: str, exchange: str | None, table: str, count: int
    ) -> "LatestRows | None":
        """Return the newest rows of a table from the actor's memory; None: it has too few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """The fleet with every record stamped at the moment of the answer.

    `age_ms` is the time since the newest update was received, in milliseconds. A book
    older than `stale_after_ms` is stale whatever its actor said, so that the last words
    of an actor that died are not served as fresh. Failures are raised as `Problem`.
    """

    fleet: Fleet
    stale_after_ms: float
    now_ns: Callable[[], int] = time.time_ns

    async def board(self) -> list[Record]:
        """Return all summaries, ordered by symbol and exchange."""
        board = await self.ask(self.fleet.board())
        board.sort(key=lambda row: (row["symbol"], row["exchange"]))
        return [self.stamp(row) for row in board]

    async def symbol(self, symbol: str, exchange: str | None) -> Record:
        """Return one summary: of the named exchange, else of the first that lists it."""
        return find(await self.board(), symbol, exchange)

    async def book(self, symbol: str, exchange: str | None, depth: int) -> Record:
        """Return the book of one symbol."""
        return await self._of(symbol, exchange, "book", self.fleet.book(symbol, exchange, depth))

    async def analysis(self, symbol: str, exchange: str | None) -> Record:
        """Return all measures of one symbol."""
        return await self._of(symbol, exchange, "analysis", self.fleet.analysis(symbol, exchange))

    async def depth(self, symbol: str, exchange: str | None) -> Record:
        """Return the analysis of one symbol's depth."""
        return await self._of(symbol, exchange, "depth", self.fleet.depth(symbol, exchange))

    async def liquidity(self, symbol: str, exchange: str | None, notional: float) -> Record:
        """Return what an order meets; without two sides in step the stale problem."""
        asked = self.fleet.liquidity(symbol, exchange, notional)
        try:
            return await self._of(symbol, exchange, "liquidity", asked)
        except StaleBook as error:
            row = find(await self.board(), symbol, exchange)
            reason = row["stale_reason"] or "it lacks a side, or is being rebuilt"
            known = {**freshness(row), "stale": True, "stale_reason": reason}
            raise problems.no_book(f"The book of {symbol}", known) from error

    async def measure(self, symbol: str, exchange: str | None, name: str) -> Record:
        """Return one measure of one symbol."""
        asked = self.fleet.measure(symbol, exchange, name)
        try:
            return await self._of(symbol, exchange, "analysis", asked)
        except UnknownMeasure as error:
            near = closest(name, error.known)
            raise problems.unknown_measure(name, near, error.known) from error

    async def liquidations(
        self, symbol: str, exchange: str | None, limit: int, levels: int
    ) -> Record:
        """Return what was liquidated of one symbol, and what may be."""
        asked = self.fleet.liquidations(symbol, exchange, limit, levels)
        return await self._of(symbol, exchange, "liquidations", asked)

    async def liquidation_map(self, symbol: str, exchange: str | None) -> Record:
        """Return the liquidation map of one symbol."""
        asked = self.fleet.liquidation_map(symbol, exchange)
        return await self._of(symbol, exchange, "liquidation map", asked)

    async def portfolio(self) -> Record:
        """Return the portfolio; its freshness is that of the books, see `worst`."""
        return await self.ask(self.fleet.portfolio())

    async def set_positions(
        self, positions: list[Record], wallet_balance: float | None = None
    ) -> Record:
        """Replace all positions and return the new portfolio."""
        try:
            return await self.ask(self.fleet.set_positions(positions, wallet_balance))
        except (RiskError, UnknownSymbol) as error:
            raise problems.invalid([{"field": "positions", "detail": str(error)}]) from error

    async def stress(self, portfolio_id: str, order: Record) -> Record:
        """Run a stress order on a thread: the fleet's actors have other things to do."""
        from alphaplus.portfolio.stress_order import StressOrder, answer_order

        try:
            checked = StressOrder.of(order)
            inputs = await self.ask(self.fleet.stress_inputs(portfolio_id))
            return await asyncio.to_thread(answer_order, checked, inputs, now_ns=self.now_ns())
        except UnknownPortfolio as error:
            near = closest(error.portfolio_id, error.known)
            raise problems.unknown_portfolio(error.portfolio_id, near, error.known) from error
        except RiskError as error:
            raise problems.invalid([{"field": "body", "detail": str(error)}]) from error

    async def stats(self) -> Record:
        """Return the counters of the fleet."""
        return await self.ask(self.fleet.stats())

    async def load(self) -> Record:
        """Return what markets and roles do and cost, each market stamped."""
        load = await self.ask(self.fleet.load())
        markets = [self.stamp(row) for row in load["markets"]]
        markets.sort(key=lambda row: (row["symbol"], row["exchange"]))
        return {**load, "markets": markets, **worst(markets)}

    async def ask(self, answer: Awaitable[T]) -> T:
        """Await an answer; a fleet that cannot give it now is the unavailable problem."""
        try:
            return await answer
        except FleetUnavailable as error:
            raise problems.unavailable(str(error)) from error

    async def _of(
        self, symbol: str, exchange: str | None, what: str, answer: Awaitable[Record]
    ) -> Record:
        try:
            return self.stamp(await answer)
        except (UnknownSymbol, FleetUnavailable) as error:
            raise await self._without_answer(symbol, exchange, what) from error

    async def _without_answer(
        self, symbol: str, exchange: str | None, what: str
    ) -> problems.Problem:
        """Tell a symbol that nobody knows from one whose actor is restarting."""
        find(await self.board(), symbol, exchange)
        return problems.unavailable(
            f"The {what} of {symbol} is not available while its actor restarts; try again in "
            f"{problems.RETRY_AFTER_S} s, or read its last state from /v1/symbols/{symbol}."
        )

    def stamp(self, record: Record) -> Record:
        """Return a copy of a record with `age_ms` and `stale` as they are now."""
        ts_recv = record.get("ts_recv") or None
        age_ms = None if ts_recv is None else max(0.0, (self.now_ns() - ts_recv) / 1e6)
        stale, reason = bool(record.get("stale", True)), record.get("stale_reason")
        if age_ms is None:
            stale, reason = True, reason or "no update has been received yet"
        elif age_ms > self.stale_after_ms:
            stale, reason = True, reason or f"no update for {age_ms / 1000:.1f} s"
        return {
            **record,
            "ts_event": record.get("ts_event") or None,
            "ts_recv": ts_recv,
            "age_ms": None if age_ms is None else round(age_ms, 3),
            "stale": stale,
            "stale_reason": reason if stale else None,
        }


def freshness(record: Record | None) -> Record:
    """Return the freshness alone; of nothing, it is that of a book never seen."""
    if record is None:
        return {**dict.fromkeys(FRESHNESS), "stale": True, "stale_reason": "no such book"}
    return {name: record[name] for name in FRESHNESS}


def worst(records: Sequence[Record]) -> Record:
    """Return the freshness of stamped records taken together: of the oldest, stale if any is.

    Nothing is stale in an empty list. A record that was never updated counts as the oldest.
    """
    stale = [record for record in records if record["stale"]]
    if not records:
        return {**dict.fromkeys(FRESHNESS), "stale": False}
    oldest = min(records, key=lambda record: record["ts_recv"] or 0)
    return {
        "ts_event": oldest["ts_event"],
        "ts_recv": oldest["ts_recv"],
        "age_ms": oldest["age_ms"],
        "stale": bool(stale),
        "stale_reason": f"{len(stale)} of {len(records)} books are stale" if stale else None,
    }


def find(board: Sequence[Record], symbol: str, exchange: str | None) -> Record:
    """Return the summary of a symbol; raises the 404 problem that names the closest one."""
    listed = [row for row in board if row["symbol"] == symbol]
    if not listed:
        raise problems.unknown_symbol(symbol, closest(symbol, [row["symbol"] for row in board]))
    for row in listed:
        if exchange in (None, row["exchange"]):
            return row
    raise problems.unknown_exchange(symbol, str(exchange), [row["exchange"] for row in listed])


def closest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is most like the given one, if any is."""
    by_key = {_letters(candidate): candidate for candidate in known}
    matches = difflib.get_close_matches(_letters(name), list(by_key), n=1, cutoff=0.4)
    return by_key[matches[0]] if matches else None


def _letters(name: str) -> str:
    """BTC/USDT:USDT, btcusdt and BTC-USDT-PERP differ by more than their makers meant."""
    return "".join(c for c in name[:64].upper() if c.isalnum())


def _fleet_view(request: Request) -> FleetView:
    view: FleetView = request.app.state.view
    return view


View = Annotated[FleetView, Depends(_fleet_view)]
"""The parameter by which a route receives the fleet."""
