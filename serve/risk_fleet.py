"""The questions about risk that HTTP puts to the portfolio's actor."""

from typing import Any, Protocol

Record = dict[str, Any]


class RiskFleet(Protocol):
    """A part of `deps.Fleet`: every method raises FleetUnavailable if the actor cannot answer.

    Those that take a portfolio raise UnknownPortfolio, and RiskError for what is not usable.
    """

    async def portfolios(self) -> list[Record]:
        """Return every portfolio, see `portfolio_schemas.PortfolioAccounts`."""

    async def set_accounts(self, portfolio_id: str, accounts: list[Record]) -> Record:
        """Replace the accounts of a portfolio and return it."""

    async def risk(self, portfolio_id: str, model: str | None) -> Record:
        """Return the report, see `risk_schemas.PortfolioRisk`."""

    async def liquidation(self, portfolio_id: str, symbol: str) -> list[Record]:
        """Return each position in a symbol; raises UnknownPosition."""

    async def leverage(
        self, symbol: str, exchange: str | None, portfolio_id: str, equity: float | None
    ) -> Record:
        """Return the advice for a symbol, see `leverage_schemas.LeverageOfSymbol`."""

    async def margin_quote(self, exchange: str, account: Record) -> Record:
        """Return the margins of an account that nobody has."""
