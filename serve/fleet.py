"""The fleet as Ray knows it: actors found by name and asked with a deadline."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    PendingCallsLimitExceeded,
    RayActorError,
    RayTaskError,
)

from actors import names
from actors.symbol_handle import SymbolHandle
from alphaplus.errors import AlphaPlusError, SymbolNotKept
from serve.deps import FleetUnavailable, Record

if TYPE_CHECKING:
    from alphaplus.portfolio.stress_inputs import StressInputs
    from alphaplus.storage.latest_rows import LatestRows

TIMEOUT_S: Final = 2.0
"""An actor answers within milliseconds, or it is in trouble."""
COMMAND_TIMEOUT_S: Final = 30.0
"""A command waits for the exchange to list its symbols, and for the database."""

Handle = ActorHandle[Any] | SymbolHandle


class RayFleet:
    """Implements `deps.Fleet` on actor handles.

    Handles are kept until their actor dies, or keeps their symbol no longer: a name is then looked
    up once more, as the supervisor gives the same name to the successor. Every question may be
    asked twice, for all of them only read, or replace the whole.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._handles: dict[str, Handle] = {}

    async def board(self) -> list[Record]:
        """Ask the portfolio actor, which has the latest state of every symbol."""
        board: list[Record] = await self._portfolio("board")
        return board

    async def book(self, symbol: str, exchange: str | None, depth: int) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "book", exchange, depth)

    async def analysis(self, symbol: str, exchange: str | None) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "analysis", exchange)

    async def depth(self, symbol: str, exchange: str | None) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "depth", exchange)

    async def liquidity(self, symbol: str, exchange: str | None, notional: float) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "liquidity", exchange, notional)

    async def measure(self, symbol: str, exchange: str | None, name: str) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "measure", exchange, name)

    async def liquidations(
        self, symbol: str, exchange: str | None, limit: int, levels: int
    ) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "liquidations", exchange, limit, levels)

    async def liquidation_map(self, symbol: str, exchange: str | None) -> Record:
        """Ask the actor of the symbol."""
        return await self._symbol(symbol, "liquidation_map", exchange)

    async def portfolio(self) -> Record:
        """Ask the portfolio actor."""
        portfolio: Record = await self._portfolio("portfolio")
        return portfolio

    async def set_positions(
        self, positions: list[Record], wallet_balance: float | None = None
    ) -> Record:
        """Tell the portfolio actor."""
        portfolio: Record = await self._portfolio("set_positions", positions, wallet_balance)
        return portfolio

    async def stress_inputs(self, portfolio_id: str) -> "StressInputs":
        """Ask the portfolio actor."""
        inputs: StressInputs = await self._portfolio("stress_inputs", portfolio_id)
        return inputs

    async def portfolios(self) -> list[Record]:
        """Ask the portfolio actor."""
        portfolios: list[Record] = await self._portfolio("portfolios")
        return portfolios

    async def set_accounts(self, portfolio_id: str, accounts: list[Record]) -> Record:
        """Tell the portfolio actor."""
        portfolio: Record = await self._portfolio("set_accounts", portfolio_id, accounts)
        return portfolio

    async def risk(self, portfolio_id: str, model: str | None) -> Record:
        """Ask the portfolio actor."""
        report: Record = await self._portfolio("risk", portfolio_id, model)
        return report

    async def liquidation(self, portfolio_id: str, symbol: str) -> list[Record]:
        """Ask the portfolio actor."""
        positions: list[Record] = await self._portfolio("liquidation", portfolio_id, symbol)
        return positions

    async def leverage(
        self, symbol: str, exchange: str | None, portfolio_id: str, equity: float | None
    ) -> Record:
        """Ask the portfolio actor."""
        advice: Record = await self._portfolio("leverage", symbol, exchange, portfolio_id, equity)
        return advice

    async def margin_quote(self, exchange: str, account: Record) -> Record:
        """Ask the portfolio actor."""
        quote: Record = await self._portfolio("margin_quote", exchange, account)
        return quote

    async def stats(self) -> Record:
        """Ask the portfolio actor."""
        stats: Record = await self._portfolio("stats")
        return stats

    async def load(self) -> Record:
        """Ask the portfolio actor, and Ray for the nodes."""
        load, nodes = await asyncio.gather(
            self._portfolio("loads"), asyncio.to_thread(living_nodes)
        )
        return {**load, "nodes": nodes}

    async def database(self) -> str:
        """Ask the supervisor, which was told at the start."""
        dsn: str = await self._supervisor("database")
        return dsn

    async def watched_symbols(self) -> list[Record]:
        """Ask the supervisor."""
        states: list[Record] = await self._supervisor("symbols")
        return states

    async def add_symbols(self, symbols: list[str]) -> list[Record]:
        """Tell the supervisor."""
        states: list[Record] = await self._supervisor(
            "add_symbols", symbols, timeout_s=COMMAND_TIMEOUT_S
        )
        return states

    async def remove_symbols(self, symbols: list[str]) -> list[Record]:
        """Tell the supervisor."""
        states: list[Record] = await self._supervisor(
            "remove_symbols", symbols, timeout_s=COMMAND_TIMEOUT_S
        )
        return states

    async def latest(
        self, symbol: str, exchange: str | None, table: str, count: int
    ) -> "LatestRows | None":
        """Ask the actor of the symbol."""
        rows: LatestRows | None = await self._of_symbol(symbol, "latest", exchange, table, count)
        return rows

    async def _symbol(self, symbol: str, method: str, *args: Any) -> Record:
        answer: Record = await self._of_symbol(symbol, method, *args)
        return answer

    async def _of_symbol(self, symbol: str, method: str, *args: Any) -> Any:
        try:
            return await self._ask(
                names.symbol_name(symbol), lambda: names.symbol(symbol), method, *args
            )
        except LookupError as error:
            raise FleetUnavailable(
                f"No actor keeps {symbol} now; try again in a moment, or start the fleet "
                "with 'alphaplus up'."
            ) from error

    async def _portfolio(self, method: str, *args: Any) -> Any:
        try:
            return await self._ask(names.PORTFOLIO, names.portfolio, method, *args)
        except LookupError as error:
            raise _not_running() from error

    async def _supervisor(self, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        try:
            return await self._ask(
                names.SUPERVISOR, names.supervisor, method, *args, timeout_s=timeout_s
            )
        except LookupError as error:
            raise _not_running() from error

    async def _ask(
        self,
        name: str,
        find: Callable[[], Handle],
        method: str,
        *args: Any,
        timeout_s: float | None = None,
    ) -> Any:
        """Call one method of one actor; raises LookupError if the name is not taken."""
        patience_s = timeout_s or self._timeout_s
        try:
            return await self._call(name, find, method, args, patience_s)
        except (ActorDiedError, SymbolNotKept):
            self._handles.pop(name, None)
        try:
            return await self._call(name, find, method, args, patience_s)
        except (ActorDiedError, SymbolNotKept) as error:
            self._handles.pop(name, None)
            raise _unavailable(name, "is being replaced") from error

    async def _call(
        self,
        name: str,
        find: Callable[[], Handle],
        method: str,
        args: tuple[Any, ...],
        timeout_s: float,
    ) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                handle = self._handles.get(name)
                if handle is None:  # a look-up waits for the cluster's head, so not on the loop
                    handle = self._handles[name] = await asyncio.to_thread(find)
                return await getattr(handle, method).remote(*args)
        except ActorDiedError:
            raise
        except RayTaskError as error:
            # Ray's copy of an error prints the remote traceback; the cause is our own sentence.
            if isinstance(error.cause, AlphaPlusError):
                raise error.cause from None
            raise
        except RayActorError as error:
            raise _unavailable(name, "is restarting") from error
        except PendingCallsLimitExceeded as error:
            raise _unavailable(name, "has too many questions waiting") from error
        except (TimeoutError, GetTimeoutError) as error:
            raise _unavailable(name, f"gave no answer within {timeout_s:g} s") from error


def living_nodes() -> list[Record]:
    """Return the cluster's nodes that live and what each offers; waits for the cluster's head."""
    return [
        {
            "name": node["NodeName"],
            "address": node["NodeManagerAddress"],
            "cpus": node["Resources"].get("CPU", 0.0),
            "memory_bytes": int(node["Resources"].get("memory", 0)),
        }
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def _not_running() -> FleetUnavailable:
    return FleetUnavailable(
        "The fleet is not running; start it with 'alphaplus up', or the job jobs.stream."
    )


def _unavailable(name: str, what: str) -> FleetUnavailable:
    return FleetUnavailable(f"The actor {name} {what}; try again in a moment.")
