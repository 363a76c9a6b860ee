"""Answers about risk as they are shown over HTTP: stamped, and failures as problems."""

from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import Depends

from alphaplus.errors import RiskError, UnknownPortfolio, UnknownPosition
from serve import problems
from serve.deps import FleetView, Record, View, closest, find

T = TypeVar("T")


class RiskView:
    """The risk side of a `FleetView`."""

    def __init__(self, view: FleetView) -> None:
        self._view = view
        self._fleet = view.fleet

    async def portfolios(self) -> list[Record]:
        """Return every portfolio."""
        return await self._ask(self._fleet.portfolios(), "portfolios")

    async def portfolio(self, portfolio_id: str) -> Record:
        """Return one portfolio with its accounts."""
        found = await self.portfolios()
        for item in found:
            if item["portfolio"] == portfolio_id:
                return item
        known = [item["portfolio"] for item in found]
        raise problems.unknown_portfolio(portfolio_id, closest(portfolio_id, known), known)

    async def set_accounts(self, portfolio_id: str, accounts: list[Record]) -> Record:
        """Replace the accounts of a portfolio."""
        return await self._ask(self._fleet.set_accounts(portfolio_id, accounts), "accounts")

    async def risk(self, portfolio_id: str, model: str | None) -> Record:
        """Return the report of a portfolio; of one that holds nothing it is as old as the board."""
        answer = await self._ask(self._fleet.risk(portfolio_id, model), "portfolio")
        positions = [self._view.stamp(item) for item in answer["positions"]]
        if not positions:
            board = await self._view.board()
            newest = max(board, key=lambda row: row["ts_recv"] or 0, default={})
            answer = {**answer, **{k: newest.get(k) for k in ("ts_event", "ts_recv")}}
        return self._view.stamp({**answer, "positions": positions})

    async def liquidation(self, portfolio_id: str, symbol: str) -> list[Record]:
        """Return each position of a portfolio in a symbol."""
        found = await self._ask(self._fleet.liquidation(portfolio_id, symbol), "symbol")
        return [self._view.stamp(item) for item in found]

    async def leverage(
        self, symbol: str, exchange: str | None, portfolio_id: str, equity: float | None
    ) -> Record:
        """Return the leverage advice of a symbol; the 404 problem if it is not watched."""
        row = find(await self._view.board(), symbol, exchange)
        asked = self._fleet.leverage(symbol, row["exchange"], portfolio_id, equity)
        return self._view.stamp(await self._ask(asked, "equity"))

    async def margin_quote(self, exchange: str, account: Record) -> Record:
        """Return the margins of an account that nobody has."""
        return await self._ask(self._fleet.margin_quote(exchange, account), "account")

    async def board(self) -> list[Record]:
        """Return the summaries of all books."""
        return await self._view.board()

    async def _ask(self, answer: Awaitable[T], field: str) -> T:
        try:
            return await self._view.ask(answer)
        except UnknownPortfolio as error:
            near = closest(error.portfolio_id, error.known)
            raise problems.unknown_portfolio(error.portfolio_id, near, error.known) from error
        except UnknownPosition as error:
            raise problems.unknown_position(error.portfolio_id, error.symbol, error.held) from error
        except RiskError as error:
            raise problems.invalid([{"field": field, "detail": str(error)}]) from error


def _risk_view(view: View) -> RiskView:
    return RiskView(view)


Risk = Annotated[RiskView, Depends(_risk_view)]
