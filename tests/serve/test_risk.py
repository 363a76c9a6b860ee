"""Routes of portfolios, risk, leverage and margins, on a desk with made-up markets."""

from typing import Any

import httpx2
import pytest

from alphaplus.errors import RiskError
from serve.deps import FleetUnavailable
from tests.portfolio.desk_cases import BTC, ETH, account, position
from tests.serve.fakes import FakeFleet
from tests.serve.problem import problem

ACCOUNTS = "/v1/portfolio/main/accounts"
RISK = "/v1/portfolio/main/risk"
HELD = {"accounts": [account(position(leverage=10), position(ETH, quantity=-9.0))]}
QUOTE: dict[str, Any] = {
    "margin_mode": "cross",
    "position_mode": "one_way",
    "wallet_balance": 20_000.0,
    "positions": [
        {"symbol": BTC, "side": "long", "quantity": 2.0, "entry_price": 50_000.0, "leverage": 5}
    ],
}


async def test_accounts_are_set_and_read_back(client: httpx2.AsyncClient) -> None:
    answer = await client.put(ACCOUNTS, json=HELD)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found == (await client.get(ACCOUNTS)).json()
    assert found["accounts"][0]["wallet_balance"] == 20_000.0
    assert [row["account"] for row in found["positions"]] == ["a", "a"]
    assert (found["gross_notional"], found["currency"]) == (118_000.0, "USDT")
    assert found["stale"] is False
    second = await client.put("/v1/portfolio/hedge/accounts", json=HELD)
    assert second.status_code == 200
    listed = (await client.get("/v1/portfolios")).json()
    assert [item["portfolio"] for item in listed["portfolios"]] == ["main", "hedge"]
    assert listed["count"] == 2
    ended = (await client.put("/v1/portfolio/hedge/accounts", json={"accounts": []})).json()
    assert ended["accounts"] == []
    problem(await client.get("/v1/portfolio/hedge/risk"), 404, "unknown-portfolio")


async def test_positions_may_bring_a_wallet(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    body = {"positions": [position(quantity=1.0)], "wallet_balance": 9_000.0}
    assert (await client.put("/v1/portfolio/positions", json=body)).status_code == 200
    assert fleet.asked[-1][0] == "set_positions"
    assert fleet.asked[-1][2] == 9_000.0


async def test_risk_of_a_portfolio(client: httpx2.AsyncClient) -> None:
    await client.put(ACCOUNTS, json=HELD)
    answer = (await client.get(RISK)).json()
    same = (await client.get("/v1/portfolio/risk")).json()
    assert (answer["figures"], answer["accounts"]) == (same["figures"], same["accounts"])
    figure = answer["figures"]["var_99_1d"]
    assert figure["value"] > 0
    assert (figure["method"], figure["n_obs"] > 500) == ("fhs", True)
    assert answer["series"]["component_es_975_1d"]["names"] == [f"binance:{BTC}", f"binance:{ETH}"]
    assert len(answer["series"]["stress_loss"]["values"]) == len(
        answer["series"]["stress_loss"]["names"]
    )
    first = answer["positions"][0]
    assert first["liquidation_price"] < 50_000
    assert 0 <= first["score"]["score"] <= 100
    assert first["advice"]["binding"]
    assert answer["advice"]["caps"]["venue_maximum"] > 0
    assert answer["accounts"][0]["margin_ratio"] > 0
    assert answer["age_ms"] == 10.0
    assert answer["figures"]["evar_95"]["missing"] == ["3 days of equity_curve"]


async def test_another_model_is_asked_for(client: httpx2.AsyncClient) -> None:
    await client.put(ACCOUNTS, json=HELD)
    answer = (await client.get(RISK, params={"model": "historical"})).json()
    assert answer["model"] == "historical"
    found = answer["figures"]["var_99_1d"]
    assert found["value"] is None, "the fake builds the default alone"
    assert found["missing"]
    details = problem(await client.get(RISK, params={"model": "magic"}), 422, "invalid-request")
    assert "model" in details["detail"]


async def test_risk_of_nothing_is_as_old_as_the_board(client: httpx2.AsyncClient) -> None:
    answer = (await client.get("/v1/portfolio/risk")).json()
    assert answer["positions"] == []
    assert answer["age_ms"] == 12.5
    assert answer["figures"]["gross_exposure"]["value"] is None
    assert answer["figures"]["gross_exposure"]["missing"]


async def test_liquidation_of_a_position(client: httpx2.AsyncClient) -> None:
    await client.put(ACCOUNTS, json=HELD)
    answer = (await client.get(f"/v1/portfolio/main/positions/{BTC}/liquidation")).json()
    assert answer["count"] == 1
    (row,) = answer["positions"]
    assert row["bankruptcy_price"] < row["liquidation_price"] < row["mark_price"]
    assert row["score"]["sigma_source"] == "history"
    gone = await client.get("/v1/portfolio/main/positions/SOL-USDT-PERP/liquidation")
    details = problem(gone, 404, "unknown-position")
    assert "it holds BTC-USDT-PERP, ETH-USDT-PERP" in details["detail"]


async def test_leverage_of_a_symbol(client: httpx2.AsyncClient) -> None:
    url = f"/v1/symbols/{BTC}/leverage"
    answer = (await client.get(url)).json()
    assert answer["long"]["inputs"]["equity_source"] == "reference"
    assert answer["long"]["inputs"]["maximum_leverage"] == 125.0
    assert answer["long"]["action"] == "started"
    rich = (await client.get(url, params={"equity": 1e9})).json()
    assert rich["long"]["leverage"] < answer["long"]["leverage"]
    problem(await client.get("/v1/symbols/BTCUSDT/leverage"), 404, "unknown-symbol")
    for wrong in ("0", "-1", "nan", "inf"):
        problem(await client.get(url, params={"equity": wrong}), 422, "invalid-request")
    details = problem(await client.get(url, params={"portfolio": "mian"}), 404, "unknown-portfolio")
    assert "did you mean main?" in details["detail"]


async def test_a_margin_quote(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/margin/quote", json=QUOTE)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["live_marks"] == [BTC]
    assert found["positions"][0]["liquidation_price"] < 50_000
    assert found["tiers_hash"]
    assert found["stale"] is False
    assert (await client.get("/v1/portfolio")).json()["count"] == 0, "nobody has it"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"wallet_balance": None}, "wallet_balance"),
        ({"margin_mode": "both"}, "margin_mode"),
        ({"positions": [QUOTE["positions"][0] | {"side": "up"}]}, "side"),
        ({"positions": [QUOTE["positions"][0] | {"quantity": -1}]}, "quantity"),
        ({"positions": [*QUOTE["positions"], *QUOTE["positions"]]}, "one-way"),
        ({"exchange": "nowhere"}, "venue"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_wrong_quote_is_one_sentence(
    client: httpx2.AsyncClient, change: dict[str, Any], says: str
) -> None:
    answer = await client.post("/v1/margin/quote", json=QUOTE | change)
    assert says in problem(answer, 422, "invalid-request")["detail"]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e400"])
@pytest.mark.parametrize("field", ["wallet_balance", "quantity"])
async def test_numbers_that_are_none_are_refused(
    client: httpx2.AsyncClient, field: str, literal: str
) -> None:
    headers = {"Content-Type": "application/json"}
    text = (
        '{"accounts": [{"id": "a", "exchange": "binance", "wallet_balance": WALLET, "positions": '
        '[{"symbol": "BTC-USDT-PERP", "quantity": QUANTITY, "entry_price": 1}]}]}'
    )
    values = {"wallet_balance": "1", "quantity": "2", field: literal}
    text = text.replace("WALLET", values["wallet_balance"]).replace("QUANTITY", values["quantity"])
    answer = await client.put(ACCOUNTS, content=text, headers=headers)
    assert field in problem(answer, 422, "invalid-request")["detail"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (account(position() | {"symbol": "BTCUSDT"}), "did you mean BTC-USDT-PERP?"),
        (account(position(), position(quantity=-1.0)), "one-way"),
        (account(position(leverage=126)), "at most 125"),
        (account(id=""), "id"),
        (account(collateral=[{"asset": "BTC", "balance": 1, "haircut": 2}]), "haircut"),
        (account(exchange="nowhere"), "venue to be one of"),
    ],
)
async def test_wrong_accounts_are_refused_and_the_old_ones_stay(
    client: httpx2.AsyncClient, wrong: dict[str, Any], says: str
) -> None:
    await client.put(ACCOUNTS, json=HELD)
    answer = await client.put(ACCOUNTS, json={"accounts": [wrong]})
    assert says in problem(answer, 422, "invalid-request")["detail"]
    assert len((await client.get(ACCOUNTS)).json()["positions"]) == 2


async def test_a_portfolio_has_a_plain_name(client: httpx2.AsyncClient) -> None:
    answer = await client.put(f"/v1/portfolio/{'x' * 33}/accounts", json=HELD)
    problem(answer, 422, "invalid-request")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("risk", RISK),
        ("portfolios", "/v1/portfolios"),
        ("leverage", f"/v1/symbols/{BTC}/leverage"),
        ("liquidation", f"/v1/portfolio/main/positions/{BTC}/liquidation"),
    ],
)
async def test_silent_actor_is_503(
    client: httpx2.AsyncClient, fleet: FakeFleet, method: str, url: str
) -> None:
    fleet.failures[method] = FleetUnavailable("The actor is restarting; try again.")
    problem(await client.get(url), 503, "unavailable")


async def test_refusals_of_the_actor_are_passed_on(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.failures["set_accounts"] = RiskError("Expected one wallet, was another.")
    answer = problem(await client.put(ACCOUNTS, json=HELD), 422, "invalid-request")
    assert answer["detail"] == "Expected one wallet, was another."
