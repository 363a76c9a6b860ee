"""What is known of each symbol: its state, its book and the measures of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from serve import problems
from serve.deps import Record, View, freshness, worst
from serve.schemas import Analysis, Book, Summary, SymbolList, problem_answers

router = APIRouter(prefix="/v1/symbols", tags=["symbols"])


class ListQuery(BaseModel):
    """Unknown parameters are refused, since a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid")

    fresh_only: bool = Field(False, description="Answer 503 instead of stale data.")


class SymbolQuery(ListQuery):
    exchange: str | None = Field(
        None, description="Which exchange; the first that lists it if unset.", max_length=64
    )


class BookQuery(SymbolQuery):
    depth: int = Field(20, description="Levels a side.", ge=1, le=1000)


@router.get("", response_model=SymbolList, responses=problem_answers(422))
async def list_symbols(view: View, query: Annotated[ListQuery, Query()]) -> Record:
    """All symbols with their top of book, their freshness and the health of their feed."""
    board = await view.board()
    answer = {**worst(board), "count": len(board), "symbols": board}
    return _fresh("The list", answer, query)


@router.get("/{symbol}", response_model=Summary, responses=problem_answers(404, 422))
async def get_symbol(symbol: str, view: View, query: Annotated[SymbolQuery, Query()]) -> Record:
    """One symbol, as in the list."""
    return _fresh(f"The book of {symbol}", await view.symbol(symbol, query.exchange), query)


@router.get("/{symbol}/book", response_model=Book, responses=problem_answers(404, 422))
async def get_book(symbol: str, view: View, query: Annotated[BookQuery, Query()]) -> Record:
    """The levels of the book, straight from the actor that keeps it."""
    book = await view.book(symbol, query.exchange, query.depth)
    return _fresh(f"The book of {symbol}", book, query)


@router.get("/{symbol}/analysis", response_model=Analysis, responses=problem_answers(404, 422))
async def get_analysis(symbol: str, view: View, query: Annotated[SymbolQuery, Query()]) -> Record:
    """Spread, fair prices, imbalance, depth and cost to fill of the book as it is now."""
    analysis = await view.analysis(symbol, query.exchange)
    return _fresh(f"The analysis of {symbol}", analysis, query)


def _fresh(what: str, answer: Record, query: ListQuery) -> Record:
    if query.fresh_only and answer["stale"]:
        raise problems.stale_book(what, freshness(answer))
    return answer
