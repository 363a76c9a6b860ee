"""POST /v1/portfolio/stress: orders checked, run on what the fleet knows, honest about gaps."""

from typing import Any

import httpx2
import pytest

from alphaplus.errors import UnknownPortfolio
from serve.deps import FleetUnavailable
from tests.portfolio.stress_cases import BTC, ETH
from tests.serve.fakes import NOW, FakeFleet
from tests.serve.problem import problem

URL = "/v1/portfolio/stress"


async def test_shocks_are_run_and_stamped(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    answer = await client.post(URL, json={"shocks": {BTC: -0.1}, "common": -0.2})
    assert answer.status_code == 200
    found = answer.json()
    assert found["figures"]["portfolio_loss"] == pytest.approx(10 * 10 + 5 * 20)
    assert found["portfolio"] == "main"
    assert (found["as_of"], found["age_ms"], found["stale"]) == (NOW, 12.5, False)
    assert [item["symbol"] for item in found["markets"]] == [BTC, ETH]
    assert found["accounts"][0]["state"] == "standing"
    assert found["assumptions"]["levels"] == "estimated"
    assert ("stress_inputs", "main") in fleet.asked


async def test_another_portfolio_and_a_grid(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    grid = {"shocks": [-0.1, -0.2], "depths": [1, 0.5]}
    answer = await client.post("/v1/portfolio/fund-2/stress", json={"grid": grid})
    cells = answer.json()["cells"]
    assert [(cell["shock"], cell["depth"]) for cell in cells] == [
        (-0.1, 1), (-0.1, 0.5), (-0.2, 1), (-0.2, 0.5),
    ]  # fmt: skip
    assert ("stress_inputs", "fund-2") in fleet.asked


async def test_what_is_missing_is_null_and_named(client: httpx2.AsyncClient) -> None:
    found = (await client.post(URL, json={"scenario": "btc_down_10"})).json()
    assert found["figures"]["portfolio_loss"] is None
    assert f"beta of binance:{BTC}" in found["missing"]["portfolio_loss"]
    assert found["markets"][0]["shock"] is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "Expected one of scenario, shocks (with common) and grid, was none of them."),
        ({"scenario": "doom"}, "Expected a scenario of common_down_5"),
        ({"shocks": {BTC: "x"}}, f"Expected field shocks.{BTC} to be a finite number, was 'x'."),
        ({"shocks": {BTC: -1}}, f"Expected shocks.{BTC} above -1 to 10, was -1"),
        ({"shocks": {"SOL": 0.1}}, "Expected shocks of symbols that are watched, was SOL."),
        ({"scenarios": "x"}, "There is no field scenarios; leave it out or see /docs."),
        ({"grid": {"shocks": []}}, "Expected field grid.shocks to"),
        ({"grid": {"shocks": [0.1] * 126}}, "Expected at most 125 cells of a grid, was 126."),
        ({"common": 0.1, "levels": "some"}, "Expected field levels to be"),
        ([], "Expected a JSON object as the body"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_wrong_order_is_one_sentence(
    client: httpx2.AsyncClient, body: Any, says: str
) -> None:
    answer = await client.post(URL, json=body)
    assert problem(answer, 422, "invalid-request")["detail"].startswith(says[:-1])


async def test_an_unknown_portfolio_and_a_fleet_that_is_away(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.failures["stress_inputs"] = UnknownPortfolio("man", ("main",))
    answer = await client.post("/v1/portfolio/man/stress", json={"common": -0.1})
    body = problem(answer, 404, "unknown-portfolio")
    assert body["detail"] == "There is no portfolio 'man'; did you mean main?"
    fleet.failures["stress_inputs"] = FleetUnavailable("The actor is restarting.")
    answer = await client.post(URL, json={"common": -0.1})
    assert problem(answer, 503, "unavailable")["detail"] == "The actor is restarting."
