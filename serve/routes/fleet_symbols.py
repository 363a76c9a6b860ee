"""Which symbols the fleet watches: read, add, remove, while it runs."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from alphaplus.errors import (
    ConfigError,
    FeedError,
    FleetConflict,
    StorageError,
    UnknownSymbol,
)
from serve import problems
from serve.deps import Record, View
from serve.fleet_schemas import SymbolsIn, SymbolsQuery, WatchedSymbols, split_names
from serve.schemas import problem_answers

router = APIRouter(prefix="/v1/fleet/symbols", tags=["fleet"])


@router.get("", response_model=WatchedSymbols, responses=problem_answers(409))
async def get_symbols(view: View) -> Record:
    """Every symbol that is to be watched, where it stands and why, and those that leave."""
    return await _told(view, view.fleet.watched_symbols())


@router.put(
    "",
    response_model=WatchedSymbols,
    status_code=202,
    responses={
        200: {"model": WatchedSymbols, "description": "All of them run already"},
        **problem_answers(404, 409, 413, 422),
    },
)
async def put_symbols(wanted: SymbolsIn, view: View, response: Response) -> Record:
    """Watch these too. What is watched already stays; the choice outlives a restart."""
    answer = await _told(view, view.fleet.add_symbols(wanted.symbols))
    if all(item["state"] == "running" for item in answer["symbols"]):
        response.status_code = 200
    return answer


@router.delete(
    "",
    response_model=WatchedSymbols,
    status_code=202,
    responses=problem_answers(404, 409, 422),
)
async def delete_symbols(view: View, query: Annotated[SymbolsQuery, Query()]) -> Record:
    """Watch these no longer: all of them or, if one cannot be removed, none."""
    return await _told(view, view.fleet.remove_symbols(split_names(query.symbols)))


async def _told(view: View, answer: Awaitable[list[Record]]) -> Record:
    try:
        symbols = await view.ask(answer)
    except UnknownSymbol as error:
        raise problems.not_listed(str(error)) from error
    except FleetConflict as error:
        raise problems.conflict(str(error)) from error
    except ConfigError as error:
        raise problems.invalid([{"field": "symbols", "detail": str(error)}]) from error
    except (FeedError, StorageError) as error:
        raise problems.unavailable(str(error)) from error
    return {"count": len(symbols), "symbols": symbols}
