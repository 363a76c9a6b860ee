"""Leverage: advice for a symbol, and margins of an account that nobody has."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from alphaplus.leverage.account_input import AccountInput
from alphaplus.portfolio.accounts import MAIN
from serve.deps import Record
from serve.leverage_schemas import LeverageOfSymbol
from serve.risk_schemas import MarginQuote
from serve.risk_view import Risk
from serve.routes.symbols import SymbolQuery, fresh
from serve.schemas import problem_answers

router = APIRouter(prefix="/v1", tags=["risk"])


class LeverageQuery(SymbolQuery):
    portfolio: str = Field(MAIN, description="Beside whose positions.", max_length=32)
    equity: float | None = Field(
        None,
        description="Advise for this equity, quote currency; unset: the portfolio's, or the "
        "reference equity of the settings where it has no accounts.",
        gt=0,
        le=1e15,
        allow_inf_nan=False,
    )


class MarginQuoteIn(AccountInput):
    """The account of `alphaplus margin`, and where it would be."""

    model_config = ConfigDict(extra="forbid", strict=True)
    exchange: str = Field(
        "binance", description="Whose rules and tiers.", examples=["binance"], max_length=64
    )


@router.get(
    "/symbols/{symbol}/leverage",
    response_model=LeverageOfSymbol,
    responses=problem_answers(404, 422),
)
async def get_leverage(symbol: str, risk: Risk, query: Annotated[LeverageQuery, Query()]) -> Record:
    """All caps for a long and for a short, the one that binds, and what they are made of."""
    found = await risk.leverage(symbol, query.exchange, query.portfolio, query.equity)
    return fresh(f"The mark of {symbol}", found, query)


@router.post("/margin/quote", response_model=MarginQuote, responses=problem_answers(413, 422))
async def quote_margin(wanted: MarginQuoteIn, risk: Risk) -> Record:
    """Margins, liquidation and bankruptcy prices of an account, by the tiers in force."""
    account = wanted.model_dump(exclude={"exchange"})
    found = await risk.margin_quote(wanted.exchange, account)
    return {**found, "ts_event": None, "ts_recv": found["as_of"], "age_ms": 0.0, "stale": False}
