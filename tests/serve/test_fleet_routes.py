import httpx2
import pytest

from serve.deps import FleetUnavailable
from tests.serve.fakes import FakeFleet, at, summary, unknown_summary
from tests.serve.problem import problem


async def test_stats_carry_the_freshness_of_the_oldest_book(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows[1]["ts_recv"] = at(2000)
    body = (await client.get("/v1/fleet")).json()
    assert body["symbols"] == 2
    assert body["p99_ms"] == 4.8
    assert body["p50_ms"] is None
    assert body["nodes"] == 1, "counters beyond the schema pass through"
    assert body["age_ms"] == 2000


async def test_health_asks_nobody(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    for method in ("board", "stats"):
        fleet.failures[method] = FleetUnavailable("gone")
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    assert fleet.asked == []


@pytest.mark.parametrize(
    ("books", "stale", "ready"),
    [(1, 0, True), (1, 1, False), (20, 1, True), (20, 2, False), (100, 5, True), (100, 6, False)],
)
async def test_ready_with_at_least_95_percent_fresh(
    client: httpx2.AsyncClient, fleet: FakeFleet, books: int, stale: int, ready: bool
) -> None:
    fleet.rows = [summary(f"C{i:03}-USDT-PERP", stale=i < stale) for i in range(books)]
    answer = await client.get("/readyz")
    body = answer.json() if ready else problem(answer, 503, "not-ready")
    assert answer.status_code == (200 if ready else 503)
    assert body["ready"] is ready
    assert body["books"] == books
    assert body["fresh"] == books - stale
    assert body["not_fresh"] == [f"binance:C{i:03}-USDT-PERP" for i in range(stale)]
    if not ready:
        assert answer.headers["retry-after"] == "1"
        assert "binance:C000-USDT-PERP" in body["detail"]
        assert ("more" in body["detail"]) is (stale > 5)


async def test_unseen_book_is_not_ready(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    fleet.rows = [unknown_summary("BTC-USDT-PERP")]
    problem(await client.get("/readyz"), 503, "not-ready")


async def test_empty_fleet_is_not_ready(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    fleet.rows = []
    body = problem(await client.get("/readyz"), 503, "not-ready")
    assert body["books"] == 0
    assert "alphaplus up" in body["detail"]


@pytest.mark.parametrize("route", ["/readyz", "/v1/fleet"])
async def test_silent_board_is_503(
    client: httpx2.AsyncClient, fleet: FakeFleet, route: str
) -> None:
    fleet.failures["board"] = FleetUnavailable("The fleet is not running; start it.")
    problem(await client.get(route), 503, "unavailable")


async def test_load_is_stamped_and_ordered_with_unknown_values_as_null(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows = [summary("ETH-USDT-PERP"), summary("BTC-USDT-PERP", ts_recv=at(2000))]
    body = (await client.get("/v1/fleet/load")).json()
    assert [row["symbol"] for row in body["markets"]] == ["BTC-USDT-PERP", "ETH-USDT-PERP"]
    assert body["markets"][0]["age_ms"] == body["age_ms"] == 2000
    assert body["markets"][0]["cpu"] is None
    assert [row["actor"] for row in body["markets"]] == ["symbols:0", "symbols:0"]
    assert body["roles"] == [
        {"role": "symbols", "actors": 2, "cpu": 0.02, "cpu_s": 9.5, "memory_bytes": None}
    ]
    assert body["nodes"][0]["cpus"] == 0
    fleet.failures["load"] = FleetUnavailable("The fleet is not running.")
    problem(await client.get("/v1/fleet/load"), 503, "unavailable")
