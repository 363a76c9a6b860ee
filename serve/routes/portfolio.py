"""Positions and what they are worth."""

from fastapi import APIRouter

from serve import problems
from serve.deps import Record, View, closest, freshness, worst
from serve.schemas import Portfolio, PositionIn, PositionsIn, problem_answers

router = APIRouter(prefix="/v1/portfolio", tags=["portfolio"])


@router.get("", response_model=Portfolio, responses=problem_answers())
async def get_portfolio(view: View) -> Record:
    """All positions, each with the freshness of the book that values it."""
    return _with_freshness(await view.portfolio(), await view.board())


@router.put("/positions", response_model=Portfolio, responses=problem_answers(413, 422))
async def put_positions(wanted: PositionsIn, view: View) -> Record:
    """Replace all positions; those that are not listed are closed."""
    board = await view.board()
    positions = _checked(wanted.positions, board)
    answer = await view.set_positions(positions, wanted.wallet_balance)
    return _with_freshness(answer, board)


def _checked(wanted: list[PositionIn], board: list[Record]) -> list[Record]:
    """Return the positions with their exchange; raises one problem that names every fault."""
    errors: list[dict[str, str]] = []
    positions: list[Record] = []
    seen: dict[tuple[str, str], int] = {}
    listed: dict[str, list[str]] = {}
    for row in board:
        listed.setdefault(row["symbol"], []).append(row["exchange"])
    for index, position in enumerate(wanted):
        exchange, fault = _exchange(position, listed)
        if fault is None and position.quantity == 0:
            fault = "quantity", "Expected a quantity other than 0; leave a closed position out."
        if fault is None:
            first = seen.setdefault((exchange, position.symbol), index)
            if first != index:
                fault = "symbol", f"Expected each symbol once, was in positions[{first}] too."
        if fault is not None:
            errors.append({"field": f"positions[{index}].{fault[0]}", "detail": fault[1]})
        positions.append({**position.model_dump(), "exchange": exchange})
    if errors:
        raise problems.invalid([{**e, "detail": f"{e['field']}: {e['detail']}"} for e in errors])
    return positions


def _exchange(
    position: PositionIn, listed: dict[str, list[str]]
) -> tuple[str, tuple[str, str] | None]:
    """Return where a position is held, or (field, what to do) if that cannot be told."""
    exchanges = listed.get(position.symbol, [])
    if not exchanges:
        near = closest(position.symbol, list(listed))
        hint = f"did you mean {near}?" if near else "see /v1/symbols for those that are."
        return "", ("symbol", f"{problems.shown(position.symbol)} is not watched; {hint}")
    if position.exchange is None and len(exchanges) == 1:
        return exchanges[0], None
    if position.exchange in exchanges:
        return position.exchange, None
    given = "nothing" if position.exchange is None else problems.shown(position.exchange)
    return "", ("exchange", f"Expected {' or '.join(exchanges)}, was {given}.")


def _with_freshness(portfolio: Record, board: list[Record]) -> Record:
    """Give each position the freshness of its book, and the whole that of the oldest.

    Without positions the whole is as old as the board, which is where their marks come from.
    """
    books = {(row["exchange"], row["symbol"]): row for row in board}
    positions = [
        {**position, **freshness(books.get((position["exchange"], position["symbol"])))}
        for position in portfolio["positions"]
    ]
    return {
        **portfolio,
        **worst(positions or board),
        "count": len(positions),
        "positions": positions,
    }
