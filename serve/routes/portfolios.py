"""Portfolios: their accounts on several exchanges."""

from typing import Annotated

from fastapi import APIRouter, Path

from serve import problems
from serve.deps import Record, closest, freshness, worst
from serve.portfolio_schemas import AccountIn, AccountsIn, PortfolioAccounts, PortfolioList
from serve.risk_view import Risk
from serve.schemas import problem_answers

router = APIRouter(prefix="/v1", tags=["portfolio"])

PortfolioId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$", description="Name of a portfolio.")
]


@router.get("/portfolios", response_model=PortfolioList, responses=problem_answers())
async def list_portfolios(risk: Risk) -> Record:
    """Every portfolio with its accounts, positions and totals."""
    board = await risk.board()
    found = [_fresh(item, board) for item in await risk.portfolios()]
    return {**worst(found), "count": len(found), "portfolios": found}


@router.get(
    "/portfolio/{portfolio_id}/accounts",
    response_model=PortfolioAccounts,
    responses=problem_answers(404, 422),
)
async def get_accounts(portfolio_id: PortfolioId, risk: Risk) -> Record:
    """The accounts of one portfolio, and what their positions are worth."""
    return _fresh(await risk.portfolio(portfolio_id), await risk.board())


@router.put(
    "/portfolio/{portfolio_id}/accounts",
    response_model=PortfolioAccounts,
    responses=problem_answers(413, 422),
)
async def put_accounts(portfolio_id: PortfolioId, wanted: AccountsIn, risk: Risk) -> Record:
    """Replace the accounts of a portfolio, which begins with its first and ends without any."""
    board = await risk.board()
    _check(wanted.accounts, board)
    accounts = [account.model_dump() for account in wanted.accounts]
    return _fresh(await risk.set_accounts(portfolio_id, accounts), board)


def _check(accounts: list[AccountIn], board: list[Record]) -> None:
    """Raise one problem that names every position in a symbol that is not watched there."""
    listed: dict[str, list[str]] = {}
    for row in board:
        listed.setdefault(row["exchange"], []).append(row["symbol"])
    errors = []
    for at, account in enumerate(accounts):
        for place, position in enumerate(account.positions):
            known = listed.get(account.exchange, [])
            if position.symbol in known:
                continue
            near = closest(position.symbol, known)
            hint = f"did you mean {near}?" if near else "see /v1/symbols for those that are."
            field = f"accounts[{at}].positions[{place}].symbol"
            shown, where = problems.shown(position.symbol), problems.shown(account.exchange)
            detail = f"{field}: {shown} is not watched on {where}; {hint}"
            errors.append({"field": field, "detail": detail})
    if errors:
        raise problems.invalid(errors)


def _fresh(portfolio: Record, board: list[Record]) -> Record:
    """Give each position the freshness of its book, and the whole that of the oldest."""
    books = {(row["exchange"], row["symbol"]): row for row in board}
    positions = [
        {**item, **freshness(books.get((item["exchange"], item["symbol"])))}
        for item in portfolio["positions"]
    ]
    return {**portfolio, **worst(positions or board), "positions": positions}
