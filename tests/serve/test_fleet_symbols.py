"""Symbols that are added and removed over HTTP: answers, and refusals with their sentences."""

import httpx2
import pytest

from alphaplus.errors import ConfigError, FleetConflict, StorageError, UnknownSymbol
from serve.deps import FleetUnavailable
from tests.serve.fakes import PENDING, FakeFleet, watched
from tests.serve.problem import problem

URL = "/v1/fleet/symbols"
BTC, ETH, DOGE = "BTC-USDT-PERP", "ETH-USDT-PERP", "DOGE-USDT-PERP"


async def test_the_list_says_where_each_stands(client: httpx2.AsyncClient) -> None:
    body = (await client.get(URL)).json()
    assert body == {"count": 2, "symbols": [watched(BTC), watched(ETH)]}


async def test_an_added_symbol_is_accepted_before_it_runs(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    answer = await client.put(URL, json={"symbols": [BTC, DOGE]})
    assert answer.status_code == 202
    assert answer.json()["symbols"] == [watched(BTC), watched(DOGE, **PENDING)]
    assert fleet.asked == [("add_symbols", BTC, DOGE)]


async def test_adding_what_runs_is_done_already(client: httpx2.AsyncClient) -> None:
    answer = await client.put(URL, json={"symbols": [BTC]})
    assert (answer.status_code, answer.json()["count"]) == (200, 1)


async def test_removed_symbols_are_leaving(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    answer = await client.delete(URL, params={"symbols": f"{BTC}, {ETH}"})
    assert answer.status_code == 202
    assert {item["state"] for item in answer.json()["symbols"]} == {"leaving"}
    assert fleet.asked == [("remove_symbols", BTC, ETH)]


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (UnknownSymbol("Expected a symbol that binance lists, was X."), 404, "unknown-symbol"),
        (FleetConflict("Expected a fleet that runs, was drained."), 409, "fleet-conflict"),
        (ConfigError("Expected symbols of one market."), 422, "invalid-request"),
        (StorageError("Expected the database to keep them."), 503, "unavailable"),
        (FleetUnavailable("The fleet is not running."), 503, "unavailable"),
    ],
)
async def test_refusals_keep_their_sentence(
    client: httpx2.AsyncClient, fleet: FakeFleet, error: Exception, status: int, slug: str
) -> None:
    fleet.failures["add_symbols"] = fleet.failures["remove_symbols"] = error
    for answer in (
        await client.put(URL, json={"symbols": [DOGE]}),
        await client.delete(URL, params={"symbols": DOGE}),
    ):
        assert problem(answer, status, slug)["detail"] == str(error)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Expected field symbols to be given, was missing."),
        ({"symbols": []}, "Expected field symbols to hold at least 1, was 0."),
        ({"symbols": ["nonsense"]}, "Expected a symbol such as BTC-USDT-PERP, was 'nonsense'."),
        ({"symbols": [BTC, 7]}, "Expected field symbols[1] to be a text, was 7."),
        ({"symbols": [BTC], "more": 1}, "There is no field more; leave it out or see /docs."),
        ({"symbols": ["A" * 65]}, "Expected field symbols[0] to have at most 64 characters"),
    ],
)
async def test_malformed_orders_reach_nobody(
    client: httpx2.AsyncClient, fleet: FakeFleet, body: dict[str, object], sentence: str
) -> None:
    found = problem(await client.put(URL, json=body), 422, "invalid-request")
    assert found["detail"].startswith(sentence)
    assert fleet.asked == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({}, "Expected query parameter symbols to be given, was missing."),
        ({"symbols": " , "}, "Expected symbols to name at least one, was empty."),
        ({"symbols": f"{BTC},nonsense"}, "Expected a symbol such as BTC-USDT-PERP"),
        ({"symbol": BTC, "symbols": BTC}, "There is no query parameter symbol"),
    ],
)
async def test_malformed_removals_reach_nobody(
    client: httpx2.AsyncClient, fleet: FakeFleet, query: dict[str, str], sentence: str
) -> None:
    answer = await client.delete(URL, params=query)
    assert problem(answer, 422, "invalid-request")["detail"].startswith(sentence)
    assert fleet.asked == []
