from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from alphaplus.errors import RiskError
from serve.deps import FleetUnavailable
from tests.serve.fakes import FakeFleet, at, summary
from tests.serve.problem import problem

URL = "/v1/portfolio/positions"
SHORT = {"symbol": "BTC-USDT-PERP", "quantity": -0.5, "entry_price": 57100.5}


def body(**changes: Any) -> dict[str, Any]:
    return {"positions": [{**SHORT, **changes}]}


async def test_empty_portfolio_is_an_answer(client: httpx2.AsyncClient) -> None:
    answer = (await client.get("/v1/portfolio")).json()
    assert answer["positions"] == []
    assert answer["count"] == 0
    assert answer["gross_notional"] == 0
    assert answer["age_ms"] == 12.5, "as old as the board that would value it"
    assert answer["stale"] is False


async def test_positions_are_replaced_and_read_back(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    await client.put(URL, json=body(symbol="ETH-USDT-PERP", leverage=3))
    answer = await client.put(URL, json=body())
    assert answer.status_code == 200
    assert fleet.positions == [{**SHORT, "exchange": "binance", "leverage": None}]
    assert answer.json() == (await client.get("/v1/portfolio")).json()
    position = answer.json()["positions"][0]
    assert position["notional"] == pytest.approx(-28623.155)
    assert position["ts_recv"] == at(12.5)
    assert position["age_ms"] == 12.5
    assert answer.json()["margin_used"] is None
    assert (await client.put(URL, json={"positions": []})).json()["count"] == 0
    assert fleet.positions == []


async def test_portfolio_is_as_old_as_its_oldest_book(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows[1] |= {"ts_recv": at(700), "stale": True, "stale_reason": "sequence gap"}
    await client.put(URL, json={"positions": [SHORT, {**SHORT, "symbol": "ETH-USDT-PERP"}]})
    answer = (await client.get("/v1/portfolio")).json()
    assert answer["age_ms"] == 700
    assert answer["stale"] is True
    assert [row["stale"] for row in answer["positions"]] == [False, True]


async def test_position_whose_book_is_gone_is_stale(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    await client.put(URL, json=body())
    fleet.rows = []
    answer = (await client.get("/v1/portfolio")).json()
    assert answer["positions"][0]["stale_reason"] == "no such book"
    assert answer["stale"] is True


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"quantity": "NaN"}, "quantity", "to be a finite number"),
        ({"quantity": True}, "quantity", "to be a finite number"),
        ({"quantity": None}, "quantity", "to be a finite number, was nothing"),
        ({"quantity": 0}, "quantity", "a quantity other than 0; leave a closed position out"),
        ({"quantity": 10**400}, "quantity", "to be a finite number"),
        ({"quantity": 1e300}, "quantity", "to be at most 1e+15"),
        ({"quantity": -1e300}, "quantity", "to be at least -1e+15"),
        ({"entry_price": 0}, "entry_price", "to be above 0, was 0"),
        ({"entry_price": -1}, "entry_price", "to be above 0, was -1"),
        ({"leverage": 0.5}, "leverage", "to be at least 1"),
        ({"leverage": 126}, "leverage", "to be at most 125"),
        ({"symbol": "BTCUSDT"}, "symbol", "is not watched; did you mean BTC-USDT-PERP?"),
        ({"symbol": "?"}, "symbol", "is not watched; see /v1/symbols"),
        ({"symbol": 7}, "symbol", "to be a text, was 7"),
        ({"symbol": "x" * 65}, "symbol", "to have at most 64 characters"),
        ({"exchange": "bybit"}, "exchange", "Expected binance, was 'bybit'"),
        ({"price": 1}, "price", "There is no field positions[0].price"),
    ],
)
async def test_wrong_field_is_named_and_nothing_is_set(
    client: httpx2.AsyncClient, fleet: FakeFleet, change: dict[str, Any], field: str, says: str
) -> None:
    answer = problem(await client.put(URL, json=body(**change)), 422, "invalid-request")
    assert answer["errors"][0]["field"] == f"positions[0].{field}"
    assert f"positions[0].{field}" in answer["detail"]
    assert says in answer["detail"]
    assert all(asked[0] != "set_positions" for asked in fleet.asked)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
@pytest.mark.parametrize("field", ["quantity", "entry_price", "leverage"])
async def test_numbers_that_json_has_no_words_for_are_refused(
    client: httpx2.AsyncClient, fleet: FakeFleet, literal: str, field: str
) -> None:
    values = {"quantity": "1", "entry_price": "2", "leverage": "3", field: literal}
    fields = ", ".join(f'"{name}": {value}' for name, value in values.items())
    text = f'{{"positions": [{{"symbol": "BTC-USDT-PERP", {fields}}}]}}'
    answer = await client.put(URL, content=text, headers={"Content-Type": "application/json"})
    details = problem(answer, 422, "invalid-request")
    assert details["errors"][0]["field"] == f"positions[0].{field}"
    assert "to be a finite number" in details["detail"]
    assert fleet.positions == []


@pytest.mark.parametrize("field", ["symbol", "quantity", "entry_price"])
async def test_missing_field_is_named(client: httpx2.AsyncClient, field: str) -> None:
    position = {name: value for name, value in SHORT.items() if name != field}
    answer = await client.put(URL, json={"positions": [position]})
    detail = problem(answer, 422, "invalid-request")["detail"]
    assert detail == f"Expected field positions[0].{field} to be given, was missing."


async def test_duplicate_is_refused_also_where_only_one_names_the_exchange(
    client: httpx2.AsyncClient,
) -> None:
    positions = [SHORT, {**SHORT, "symbol": "ETH-USDT-PERP"}, {**SHORT, "exchange": "binance"}]
    answer = problem(await client.put(URL, json={"positions": positions}), 422, "invalid-request")
    assert answer["errors"] == [
        {
            "field": "positions[2].symbol",
            "detail": "positions[2].symbol: Expected each symbol once, was in positions[0] too.",
        }
    ]


async def test_symbol_on_two_exchanges_needs_one_and_may_have_both(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows = [summary(exchange="binance"), summary(exchange="bybit")]
    answer = problem(await client.put(URL, json=body()), 422, "invalid-request")
    assert "Expected binance or bybit, was nothing." in answer["detail"]
    both = [{**SHORT, "exchange": "binance"}, {**SHORT, "exchange": "bybit"}]
    assert (await client.put(URL, json={"positions": both})).json()["count"] == 2


async def test_every_fault_is_listed(client: httpx2.AsyncClient) -> None:
    positions = [{**SHORT, "quantity": 0}, {**SHORT, "symbol": "XXX"}]
    answer = problem(await client.put(URL, json={"positions": positions}), 422, "invalid-request")
    assert [e["field"] for e in answer["errors"]] == [
        "positions[0].quantity",
        "positions[1].symbol",
    ]
    assert answer["detail"].endswith("(1 more in errors)")


async def test_at_most_a_thousand(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    fleet.rows = [summary(f"C{i}-USDT-PERP") for i in range(1001)]
    positions = [{**SHORT, "symbol": row["symbol"]} for row in fleet.rows]
    answer = await client.put(URL, json={"positions": positions})
    detail = problem(answer, 422, "invalid-request")["detail"]
    assert detail == "Expected field positions to hold at most 1000, was 1001."
    answer = await client.put(URL, json={"positions": positions[:1000]})
    assert answer.json()["count"] == 1000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "was missing"),
        (b"[]", "Expected a JSON object as the body"),
        (b"null", "Expected a JSON object as the body"),
        (b"7", "Expected a JSON object as the body"),
        (b'{"positions": {}}', "Expected field positions to be a list"),
        (b'{"positions": [1]}', "Expected field positions[0] to be an object, was 1"),
        (b"{}", "Expected field positions to be given"),
        (b'{"positions": [', "Expected a JSON body, was broken at position 15"),
    ],
)
async def test_body_of_another_shape_is_explained(
    client: httpx2.AsyncClient, content: bytes, says: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.put(URL, content=content, headers=headers)
    assert says in problem(answer, 422, "invalid-request")["detail"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
async def test_body_that_breaks_the_parser_is_a_problem(
    client: httpx2.AsyncClient, content: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.put(URL, content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_form_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.put(
        URL, content=b'{"positions": []}', headers={"Content-Type": "text/plain"}
    )
    assert "application/json" in problem(answer, 422, "invalid-request")["detail"]


async def test_large_body_is_refused(client: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.put(URL, content=b" " * 1_000_001, headers=headers)
    detail = problem(answer, 413, "body-too-large")["detail"]
    assert "1000000 bytes" in detail


async def test_large_body_of_unknown_length_is_refused(client: httpx2.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    headers = {"Content-Type": "application/json"}
    answer = await client.put(URL, content=chunks(), headers=headers)
    problem(answer, 413, "body-too-large")


async def test_refusal_of_the_portfolio_actor_is_passed_on(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.failures["set_positions"] = RiskError("Expected a quantity of whole lots, was -0.5.")
    answer = problem(await client.put(URL, json=body()), 422, "invalid-request")
    assert answer["detail"] == "Expected a quantity of whole lots, was -0.5."


@pytest.mark.parametrize("method", ["portfolio", "board"])
async def test_silent_portfolio_actor_is_503(
    client: httpx2.AsyncClient, fleet: FakeFleet, method: str
) -> None:
    fleet.failures[method] = FleetUnavailable("The actor is restarting; try again.")
    answer = await client.get("/v1/portfolio")
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
