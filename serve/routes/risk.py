"""The risk of portfolios: value at risk, margins, liquidation prices, scores and advice."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from alphaplus.portfolio.accounts import MAIN
from alphaplus.portfolio.scenario_models import Model
from serve.deps import Record, worst
from serve.risk_schemas import PortfolioRisk, PositionLiquidation
from serve.risk_view import Risk
from serve.routes.portfolios import PortfolioId
from serve.schemas import problem_answers

router = APIRouter(prefix="/v1/portfolio", tags=["risk"])


class RiskQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: Model | None = Field(
        None, description="Model of value at risk; that of the settings if unset."
    )


@router.get("/risk", response_model=PortfolioRisk, responses=problem_answers(422))
async def get_main_risk(risk: Risk, query: Annotated[RiskQuery, Query()]) -> Record:
    """The risk of the portfolio `main`."""
    return await risk.risk(MAIN, query.model)


@router.get(
    "/{portfolio_id}/risk", response_model=PortfolioRisk, responses=problem_answers(404, 422)
)
async def get_risk(
    portfolio_id: PortfolioId, risk: Risk, query: Annotated[RiskQuery, Query()]
) -> Record:
    """The risk of one portfolio at the marks of this moment."""
    return await risk.risk(portfolio_id, query.model)


@router.get(
    "/{portfolio_id}/positions/{symbol}/liquidation",
    response_model=PositionLiquidation,
    responses=problem_answers(404, 422),
)
async def get_liquidation(
    portfolio_id: PortfolioId, symbol: Annotated[str, Path(max_length=64)], risk: Risk
) -> Record:
    """Where each position in a symbol would be liquidated, with the score and its components."""
    positions = await risk.liquidation(portfolio_id, symbol)
    return {
        **worst(positions),
        "portfolio": portfolio_id,
        "symbol": symbol,
        "count": len(positions),
        "positions": positions,
    }
