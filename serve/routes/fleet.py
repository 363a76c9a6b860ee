"""The fleet as a whole: its counters, whether it lives, whether it may be relied upon."""

from typing import Final

from fastapi import APIRouter

from serve import problems
from serve.deps import Record, View, worst
from serve.load_schemas import FleetLoad
from serve.schemas import FleetStats, Health, Readiness, problem_answers

router = APIRouter(tags=["fleet"])

REQUIRED_SHARE: Final = 0.95
"""Share of the books that has to be fresh."""

_NAMED: Final = 5
"""Books that the sentence names; the list has them all."""


@router.get("/v1/fleet", response_model=FleetStats, responses=problem_answers())
async def get_fleet(view: View) -> Record:
    """Counters since the start, and latency from socket to published analysis."""
    stats = await view.stats()
    return {**stats, **worst(await view.board())}


@router.get("/v1/fleet/load", response_model=FleetLoad, responses=problem_answers())
async def get_load(view: View) -> Record:
    """What each market and each role does and costs: lag, batches, rates, CPU, memory."""
    return await view.load()


@router.get("/healthz", response_model=Health)
async def get_health() -> Record:
    """Answers as long as the process lives, and asks nobody."""
    return {"status": "alive"}


@router.get("/readyz", response_model=Readiness, responses=problem_answers())
async def get_readiness(view: View) -> Record:
    """Ready if at least 95 % of the books are fresh, and there are any."""
    board = await view.board()
    not_fresh = [f"{row['exchange']}:{row['symbol']}" for row in board if row["stale"]]
    fresh = len(board) - len(not_fresh)
    answer = {
        **worst(board),
        "ready": bool(board) and fresh >= REQUIRED_SHARE * len(board),
        "books": len(board),
        "fresh": fresh,
        "required_share": REQUIRED_SHARE,
        "not_fresh": not_fresh,
    }
    if answer["ready"]:
        return answer
    raise problems.not_ready(_reason(not_fresh, len(board)), answer)


def _reason(not_fresh: list[str], books: int) -> str:
    if not books:
        return "No symbol is watched yet; start the fleet with 'alphaplus up', or wait for it."
    more = f" and {len(not_fresh) - _NAMED} more" if len(not_fresh) > _NAMED else ""
    return (
        f"{len(not_fresh)} of {books} books are not fresh ({', '.join(not_fresh[:_NAMED])}{more}); "
        "wait for them to resynchronise, or check the connection to the exchange."
    )
