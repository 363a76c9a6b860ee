"""Liquidations of each symbol: those that happened and, apart from them, those that may."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from serve.deps import Record, View
from serve.liquidation_schemas import LiquidationMap, Liquidations
from serve.routes.symbols import SymbolQuery, fresh
from serve.schemas import problem_answers

router = APIRouter(prefix="/v1/symbols/{symbol}/liquidations", tags=["liquidations"])

PROBLEMS = problem_answers(404, 422)


class LiquidationsQuery(SymbolQuery):
    limit: int = Field(100, description="Newest realised liquidations.", ge=1, le=1000)
    levels: int = Field(50, description="Estimated levels nearest to the price.", ge=1, le=200)


@router.get("", response_model=Liquidations, responses=PROBLEMS)
async def get_liquidations(
    symbol: str, view: View, query: Annotated[LiquidationsQuery, Query()]
) -> Record:
    """What the exchange reported, with totals by window, and the nearest estimated levels."""
    answer = await view.liquidations(symbol, query.exchange, query.limit, query.levels)
    return fresh(f"What is known of liquidations of {symbol}", answer, query)


@router.get("/map", response_model=LiquidationMap, responses=PROBLEMS)
async def get_liquidation_map(
    symbol: str, view: View, query: Annotated[SymbolQuery, Query()]
) -> Record:
    """The estimated map of liquidation levels over the last bars, with all that it assumes."""
    answer = await view.liquidation_map(symbol, query.exchange)
    return fresh(f"The liquidation map of {symbol}", answer, query)
