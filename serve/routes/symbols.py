"""What is known of each symbol: its state and its book."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from serve import problems
from serve.deps import Record, View, freshness, worst
from serve.schemas import Book, Summary, SymbolList, problem_answers

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
    return fresh("The list", answer, query)


@router.get("/{symbol}", response_model=Summary, responses=problem_answers(404, 422))
async def get_symbol(symbol: str, view: View, query: Annotated[SymbolQuery, Query()]) -> Record:
    """One symbol, as in the list."""
    return fresh(f"The book of {symbol}", await view.symbol(symbol, query.exchange), query)


@router.get("/{symbol}/book", response_model=Book, responses=problem_answers(404, 422))
async def get_book(symbol: str, view: View, query: Annotated[BookQuery, Query()]) -> Record:
    """The levels of the book, straight from the actor that keeps it."""
    book = await view.book(symbol, query.exchange, query.depth)
    return fresh(f"The book of {symbol}", book, query)


def fresh(what: str, answer: Record, query: ListQuery) -> Record:
    """Return an answer, unless it is stale and only fresh ones were asked for."""
    if query.fresh_only and answer["stale"]:
        raise problems.stale_book(what, freshness(answer))
    return answer
