"""The measures of each symbol, straight from the actor that keeps them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from serve.deps import Record, View
from serve.measure_schemas import (
    Analysis,
    ClusterList,
    Liquidity,
    MarketDepth,
    MeasureValues,
    WallList,
)
from serve.routes.symbols import SymbolQuery, fresh
from serve.schemas import problem_answers

router = APIRouter(prefix="/v1/symbols/{symbol}", tags=["measures"])

PROBLEMS = problem_answers(404, 422)
Asked = Annotated[SymbolQuery, Query()]


class LiquidityQuery(SymbolQuery):
    notional: float = Field(
        100_000.0,
        description="Size of the order, quote currency.",
        gt=0,
        le=1e12,
        allow_inf_nan=False,
    )


@router.get("/analysis", response_model=Analysis, responses=PROBLEMS)
async def get_analysis(symbol: str, view: View, query: Asked) -> Record:
    """Every measure of the market as it is now, and what those that are unknown still need."""
    return fresh(f"The analysis of {symbol}", await view.analysis(symbol, query.exchange), query)


@router.get("/depth", response_model=MarketDepth, responses=PROBLEMS)
async def get_depth(symbol: str, view: View, query: Asked) -> Record:
    """How much stands where in the book, what taking it costs, and how fast it comes back."""
    return fresh(f"The depth of {symbol}", await view.depth(symbol, query.exchange), query)


@router.get("/liquidity", response_model=Liquidity, responses=PROBLEMS)
async def get_liquidity(
    symbol: str, view: View, query: Annotated[LiquidityQuery, Query()]
) -> Record:
    """What an order of this size meets on either side; 503 while the book lacks one."""
    answer = await view.liquidity(symbol, query.exchange, query.notional)
    return fresh(f"The liquidity of {symbol}", answer, query)


@router.get("/walls", response_model=WallList, responses=PROBLEMS)
async def get_walls(symbol: str, view: View, query: Asked) -> Record:
    """Prices that stand out of their side of the book, and how earlier ones ended."""
    return await _values("walls", symbol, view, query)


@router.get("/clusters", response_model=ClusterList, responses=PROBLEMS)
async def get_clusters(symbol: str, view: View, query: Asked) -> Record:
    """Stretches of price in which large levels lie close together."""
    return await _values("clusters", symbol, view, query)


@router.get("/measures/{name}", response_model=MeasureValues, responses=PROBLEMS)
async def get_measure(symbol: str, name: str, view: View, query: Asked) -> Record:
    """One measure alone, by its name in the analysis."""
    answer = await view.measure(symbol, query.exchange, name)
    return fresh(f"The analysis of {symbol}", answer, query)


async def _values(name: str, symbol: str, view: View, query: SymbolQuery) -> Record:
    """Return the values of a measure at the top of the answer."""
    answer = await view.measure(symbol, query.exchange, name)
    return fresh(f"The book of {symbol}", {**answer["values"], **answer}, query)
