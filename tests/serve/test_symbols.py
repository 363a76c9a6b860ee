import httpx2
import pytest

from alphaplus.errors import UnknownSymbol
from serve.deps import FleetUnavailable
from tests.serve.fakes import FakeFleet, at, summary, unknown_summary
from tests.serve.problem import problem

FRESHNESS = {"ts_event", "ts_recv", "age_ms", "stale", "stale_reason"}

OF_ACTORS = {
    "/book": "book",
    "/analysis": "analysis",
    "/depth": "depth",
    "/liquidity": "liquidity",
    "/walls": "measure",
    "/clusters": "measure",
    "/measures/vpin": "measure",
}
"""Routes that ask the symbol's own actor, and what they ask it."""

ROUTES = (
    "/v1/symbols",
    "/v1/symbols/BTC-USDT-PERP",
    *(f"/v1/symbols/BTC-USDT-PERP{route}" for route in OF_ACTORS),
)


@pytest.mark.parametrize("route", ROUTES)
async def test_every_answer_says_how_old_it_is_now(client: httpx2.AsyncClient, route: str) -> None:
    body = (await client.get(route)).json()
    assert body.keys() >= FRESHNESS
    assert body["ts_event"] == at(15)
    assert body["ts_recv"] == at(12.5)
    assert body["age_ms"] == 12.5
    assert body["stale"] is False


async def test_list_is_ordered_and_carries_the_freshness_of_its_oldest(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows = [
        summary("ETH-USDT-PERP", ts_recv=at(900)),
        summary("BTC-USDT-PERP", "bybit", stale=True, stale_reason="sequence gap"),
        summary("BTC-USDT-PERP", "binance"),
    ]
    body = (await client.get("/v1/symbols")).json()
    assert [(row["symbol"], row["exchange"]) for row in body["symbols"]] == [
        ("BTC-USDT-PERP", "binance"),
        ("BTC-USDT-PERP", "bybit"),
        ("ETH-USDT-PERP", "binance"),
    ]
    assert body["count"] == 3
    assert body["age_ms"] == 900
    assert body["stale"] is True
    assert body["stale_reason"] == "1 of 3 books are stale"
    assert body["symbols"][1]["stale_reason"] == "sequence gap"


async def test_empty_list_is_an_answer(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    fleet.rows = []
    body = (await client.get("/v1/symbols")).json()
    assert body["symbols"] == []
    assert body["ts_recv"] is None
    assert body["stale"] is False


async def test_summary_has_every_field_of_the_contract(client: httpx2.AsyncClient) -> None:
    body = (await client.get("/v1/symbols/BTC-USDT-PERP")).json()
    expected = summary()
    assert body.keys() >= expected.keys()
    assert {name: body[name] for name in expected} == {**expected, "age_ms": 12.5}


async def test_unseen_book_is_stale_and_unknown_is_null(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows.append(unknown_summary("SOL-USDT-PERP"))
    body = (await client.get("/v1/symbols/SOL-USDT-PERP")).json()
    assert body["stale"] is True
    assert body["stale_reason"] == "no update has been received yet"
    assert body["mid"] is None
    assert body["age_ms"] is None
    listed = (await client.get("/v1/symbols")).json()
    assert listed["age_ms"] is None, "what was never received is the oldest"


async def test_nan_never_leaves(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    fleet.rows = [summary(mid=float("nan"), spread=float("inf"))]
    text = (await client.get("/v1/symbols")).text
    assert "NaN" not in text
    assert "Infinity" not in text
    assert (await client.get("/v1/symbols/BTC-USDT-PERP")).json()["mid"] is None


async def test_last_words_of_a_dead_actor_are_stale(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows = [summary(stale=False, ts_recv=at(10_001))]
    body = (await client.get("/v1/symbols/BTC-USDT-PERP")).json()
    assert body["stale"] is True
    assert body["stale_reason"] == "no update for 10.0 s"


async def test_clock_of_another_node_that_runs_ahead_gives_no_negative_age(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows = [summary(ts_recv=at(-3))]
    assert (await client.get("/v1/symbols/BTC-USDT-PERP")).json()["age_ms"] == 0


@pytest.mark.parametrize("route", ROUTES)
async def test_fresh_only_refuses_what_is_stale(
    client: httpx2.AsyncClient, fleet: FakeFleet, route: str
) -> None:
    assert (await client.get(route, params={"fresh_only": "true"})).status_code == 200
    fleet.rows[0] |= {"stale": True, "stale_reason": "sequence gap", "status": "resync"}
    answer = await client.get(route, params={"fresh_only": "true"})
    body = problem(answer, 503, "stale-book")
    assert answer.headers["retry-after"] == "1"
    assert body["age_ms"] == 12.5
    assert body["stale"] is True
    assert (await client.get(route)).json()["stale"] is True


async def test_book_passes_depth_and_exchange_on(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    body = (await client.get("/v1/symbols/BTC-USDT-PERP/book")).json()
    assert len(body["bids"]) == len(body["asks"]) == 20
    assert body["bids"][0] == [57245.1, 1.0]
    assert body["known_range"] == [57011.4, 57480.2]
    await client.get("/v1/symbols/BTC-USDT-PERP/book?depth=1000&exchange=binance")
    assert fleet.asked == [
        ("book", "BTC-USDT-PERP", None, 20),
        ("book", "BTC-USDT-PERP", "binance", 1000),
    ]


@pytest.mark.parametrize(
    ("given", "closest"),
    [
        ("BTC-USD-PERP", "BTC-USDT-PERP"),
        ("btcusdt", "BTC-USDT-PERP"),
        ("ETHUSDT", "ETH-USDT-PERP"),
        ("ETH-USDT-SPOT", "ETH-USDT-PERP"),
        ("%C3%A4%00", None),
        ("x" * 5000, None),
    ],
)
@pytest.mark.parametrize("route", ["", *OF_ACTORS])
async def test_unknown_symbol_names_the_closest(
    client: httpx2.AsyncClient, given: str, closest: str | None, route: str
) -> None:
    body = problem(await client.get(f"/v1/symbols/{given}{route}"), 404, "unknown-symbol")
    assert body["closest"] == closest
    assert len(body["detail"]) < 200
    if closest:
        assert body["detail"].endswith(f"did you mean {closest}?")


@pytest.mark.parametrize("route", ["", *OF_ACTORS])
async def test_unknown_exchange_names_those_that_list_the_symbol(
    client: httpx2.AsyncClient, route: str
) -> None:
    answer = await client.get(f"/v1/symbols/BTC-USDT-PERP{route}?exchange=bybit")
    assert "use exchange=binance" in problem(answer, 404, "unknown-symbol")["detail"]


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
async def test_exchange_is_chosen(
    client: httpx2.AsyncClient, fleet: FakeFleet, exchange: str
) -> None:
    fleet.rows = [summary(exchange="binance"), summary(exchange="bybit")]
    answer = await client.get("/v1/symbols/BTC-USDT-PERP", params={"exchange": exchange})
    assert answer.json()["exchange"] == exchange


@pytest.mark.parametrize("failure", [FleetUnavailable("restarting"), UnknownSymbol("no actor")])
@pytest.mark.parametrize("route", OF_ACTORS)
async def test_restarting_actor_is_503_while_the_board_answers_stale(
    client: httpx2.AsyncClient, fleet: FakeFleet, failure: Exception, route: str
) -> None:
    fleet.failures[OF_ACTORS[route]] = failure
    fleet.rows[0] |= {"stale": True, "stale_reason": "its actor restarts"}
    answer = await client.get(f"/v1/symbols/BTC-USDT-PERP{route}")
    body = problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "/v1/symbols/BTC-USDT-PERP" in body["detail"]
    last = await client.get("/v1/symbols/BTC-USDT-PERP")
    assert last.status_code == 200
    assert last.json()["stale_reason"] == "its actor restarts"


@pytest.mark.parametrize("route", ROUTES[:2])
async def test_silent_board_is_503(
    client: httpx2.AsyncClient, fleet: FakeFleet, route: str
) -> None:
    fleet.failures["board"] = FleetUnavailable("The portfolio actor restarts; try again.")
    answer = await client.get(route)
    assert problem(answer, 503, "unavailable")["detail"].startswith("The portfolio actor")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("depth=0", "depth", "to be at least 1, was '0'"),
        ("depth=1001", "depth", "to be at most 1000, was '1001'"),
        ("depth=-5", "depth", "to be at least 1"),
        ("depth=NaN", "depth", "to be a whole number, was 'NaN'"),
        ("depth=2.5", "depth", "to be a whole number"),
        ("depth=" + "9" * 5000, "depth", "to be a smaller number"),
        ("depth=", "depth", "to be a whole number"),
        ("dept=5", "dept", "There is no query parameter dept"),
        ("fresh_only=perhaps", "fresh_only", "to be true or false"),
        ("exchange=" + "x" * 65, "exchange", "to have at most 64 characters"),
    ],
)
async def test_wrong_parameters_are_named(
    client: httpx2.AsyncClient, query: str, field: str, says: str
) -> None:
    answer = await client.get(f"/v1/symbols/BTC-USDT-PERP/book?{query}")
    body = problem(answer, 422, "invalid-request")
    assert body["errors"][0]["field"] == field
    assert says in body["detail"]


@pytest.mark.parametrize("route", ROUTES)
async def test_every_route_refuses_parameters_that_it_does_not_know(
    client: httpx2.AsyncClient, route: str
) -> None:
    body = problem(await client.get(f"{route}?fresh_onyl=true"), 422, "invalid-request")
    assert body["errors"][0]["field"] == "fresh_onyl"
