"""What a shock would do: the portfolio in a cascade over all markets."""

from fastapi import APIRouter

from alphaplus.portfolio.accounts import MAIN
from serve.deps import Record, View, worst
from serve.routes.portfolios import PortfolioId
from serve.schemas import problem_answers
from serve.stress_schemas import StressAnswer, StressIn

router = APIRouter(prefix="/v1/portfolio", tags=["portfolio"])


@router.post("/stress", response_model=StressAnswer, responses=problem_answers(413, 422))
async def stress_main(wanted: StressIn, view: View) -> Record:
    """Run a scenario, shocks of your own, or a grid of them, on the portfolio `main`."""
    return await _stress(MAIN, wanted, view)


@router.post(
    "/{portfolio_id}/stress", response_model=StressAnswer, responses=problem_answers(404, 413, 422)
)
async def stress(portfolio_id: PortfolioId, wanted: StressIn, view: View) -> Record:
    """The same on another portfolio."""
    return await _stress(portfolio_id, wanted, view)


async def _stress(portfolio_id: str, wanted: StressIn, view: View) -> Record:
    order = wanted.model_dump(exclude_none=True)
    answer = await view.stress(portfolio_id, order)
    return {**answer, "portfolio": portfolio_id, **worst(await view.board())}
