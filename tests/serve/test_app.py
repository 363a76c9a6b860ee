"""What holds for every route: errors, headers, limits, and the documentation."""

import asyncio
import logging
import re
from typing import Any

import httpx2
import pytest

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from serve.app import create_app
from serve.history_formats import MEDIA_TYPES
from tests.serve.fakes import FakeFleet
from tests.serve.problem import problem
from tests.serve.test_schemas import BTC


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/symbols/", "/v2/symbols", "/ui/none.js", "/ui/../app.py", "/favicon.ico"]
)
async def test_unknown_route(client: httpx2.AsyncClient, path: str) -> None:
    assert "/docs" in problem(await client.get(path), 404, "unknown-route")["detail"]


@pytest.mark.parametrize("path", ["/ui/%2e%2e/app.py", "/ui/..%2fapp.py", "/ui/%2e%2e%2fapp.py"])
async def test_files_outside_of_the_page_stay_private(
    client: httpx2.AsyncClient, path: str
) -> None:
    problem(await client.get(path), 404, "unknown-route")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/symbols", "GET"),
        ("DELETE", "/v1/portfolio", "GET"),
        ("GET", "/v1/portfolio/positions", "PUT"),
        ("PUT", "/", "GET"),
    ],
)
async def test_wrong_method(
    client: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert f"use {allowed}" in problem(answer, 405, "method-not-allowed")["detail"]
    assert answer.headers["allow"] == allowed


async def test_defect_is_a_problem_that_tells_the_log_and_not_the_client(
    client: httpx2.AsyncClient, fleet: FakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.failures["board"] = ZeroDivisionError("a secret")
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/v1/symbols")
    assert "secret" not in problem(answer, 500, "internal-error")["detail"]
    assert "GET /v1/symbols failed" in caplog.text
    assert "a secret" in caplog.text


async def test_answer_that_breaks_the_contract_is_a_defect(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows[0]["status"] = "splendid"
    problem(await client.get("/v1/symbols"), 500, "internal-error")


async def test_requests_past_the_limit_get_429_and_health_still_answers() -> None:
    class SlowFleet(FakeFleet):
        async def board(self) -> list[dict[str, Any]]:
            arrived.release()
            await gate.wait()
            return await super().board()

    gate, arrived = asyncio.Event(), asyncio.Semaphore(0)
    app = create_app(SlowFleet(), max_requests=2)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://test"
    ) as client:
        waiting = [asyncio.create_task(client.get("/v1/symbols")) for _ in range(2)]
        await arrived.acquire()
        await arrived.acquire()
        refused = await client.get("/v1/fleet")
        assert "2 requests" in problem(refused, 429, "overloaded")["detail"]
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/healthz")).status_code == 200
        gate.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
        assert (await client.get("/v1/symbols")).status_code == 200, "the places are free again"


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/portfolio", "/v1/symbols", "/none", "/ui/app.js", "/healthz"]
)
async def test_security_headers(client: httpx2.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert ("script-src 'self'" in policy) is (path in {"/", "/docs", "/portfolio"})
    assert "unsafe" not in policy
    is_file = path in {"/", "/docs", "/portfolio", "/ui/app.js"}
    assert headers["cache-control"] == ("no-cache" if is_file else "no-store")


async def test_security_headers_are_on_a_defect_too(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.failures["board"] = ZeroDivisionError()
    answer = await client.get("/v1/symbols")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs", "/portfolio"])
async def test_page_loads_its_files_from_here_and_nothing_else(
    client: httpx2.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "://" not in page.text.replace("http://www.w3.org/2000/svg", "")
    assert " style=" not in page.text, "the policy forbids inline styles"
    files = re.findall(r'(?:src|href)="(/ui/[^"]+)"', page.text)
    assert any(name.endswith(".js") for name in files)
    for name in files:
        answer = await client.get(name)
        assert answer.status_code == 200, name
        if path == "/":
            assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
            imports = re.findall(r'from "\./([^"]+)"', answer.text)
            files += [f"/ui/{module}" for module in imports if f"/ui/{module}" not in files]
    if path == "/":
        assert "/ui/symbol.js" in files


async def test_page_has_every_place_that_its_scripts_fill(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/")).text
    places = re.findall(r'id="([^"]+)"', page)
    assert len(places) == len(set(places))
    for script in ("app", "symbols", "symbol", "liquidations"):
        text = (await client.get(f"/ui/{script}.js")).text
        wanted = set(re.findall(r'\$\("([^"]+)"\)', text))
        assert wanted <= set(places), script


async def test_measures_on_the_page_are_those_of_the_library(client: httpx2.AsyncClient) -> None:
    market = Market(BTC, Analyzer(BTC), stale_after_ms=10_000)
    values = views.analyze(market).measures
    text = (await client.get("/ui/symbol.js")).text
    shown = re.findall(r'\b(?:of|balanceOf)\("(\w+)", "(\w+)"', text)
    assert len(shown) > 30
    for measure, name in shown:
        assert name in values[measure], (measure, name)


async def test_documentation_names_every_route_with_problems_and_examples(
    client: httpx2.AsyncClient,
) -> None:
    spec = (await client.get("/openapi.json")).json()
    assert set(spec["paths"]) == {
        "/v1/symbols",
        "/v1/symbols/{symbol}",
        "/v1/symbols/{symbol}/book",
        "/v1/symbols/{symbol}/analysis",
        "/v1/symbols/{symbol}/depth",
        "/v1/symbols/{symbol}/liquidity",
        "/v1/symbols/{symbol}/walls",
        "/v1/symbols/{symbol}/clusters",
        "/v1/symbols/{symbol}/measures/{name}",
        "/v1/symbols/{symbol}/liquidations",
        "/v1/symbols/{symbol}/liquidations/map",
        "/v1/symbols/{symbol}/leverage",
        "/v1/margin/quote",
        "/v1/portfolio",
        "/v1/portfolio/positions",
        "/v1/portfolio/risk",
        "/v1/portfolio/{portfolio_id}/accounts",
        "/v1/portfolio/{portfolio_id}/risk",
        "/v1/portfolio/{portfolio_id}/positions/{symbol}/liquidation",
        "/v1/portfolios",
        "/v1/portfolio/stress",
        "/v1/portfolio/{portfolio_id}/stress",
        "/v1/history",
        "/v1/history/{table}",
        "/v1/history/{table}/bars",
        "/v1/history/{table}/latest",
        "/v1/fleet",
        "/v1/fleet/symbols",
        "/v1/fleet/load",
        "/healthz",
        "/readyz",
    }
    for path, methods in spec["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
            for status, answer in operation["responses"].items():
                done = status in ("200", "202")
                media = "application/json" if done else "application/problem+json"
                bulk = path == "/v1/history/{table}" and status == "200"
                wanted = set(MEDIA_TYPES.values()) if bulk else {media}
                assert set(answer["content"]) == wanted, (path, status)
    schemas = spec["components"]["schemas"]
    assert schemas.pop("JsonValue") == {}, "a value of a measure is whatever JSON can hold"
    for name, schema in schemas.items():
        for field, what in schema["properties"].items():
            assert "description" in what, (name, field)
            structure = "$ref" in str(what) or what.get("type") == "boolean"
            assert "examples" in what or structure or what.get("const"), (name, field)
