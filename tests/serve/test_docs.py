"""docs/api.md names what there is, and its examples are answered."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import BaseModel

from alphaplus.analysis.state import stale_reason
from alphaplus.events import FeedStatus
from serve import (
    leverage_schemas,
    liquidation_schemas,
    measure_schemas,
    portfolio_schemas,
    problems,
    risk_schemas,
    schemas,
    stress_schemas,
)
from serve.app import MAX_REQUESTS
from tests.portfolio.desk_cases import position
from tests.serve.fakes import FakeFleet

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


async def test_every_route_is_listed(client: httpx2.AsyncClient) -> None:
    spec = (await client.get("/openapi.json")).json()
    routes = {
        f"{method.upper()} {path}" for path, found in spec["paths"].items() for method in found
    }
    assert set(re.findall(r"^\| `((?:GET|PUT|POST|DELETE) [^`]+)`", PAGE, re.MULTILINE)) == routes


def test_every_problem_is_listed() -> None:
    known = set(re.findall(r"^([a-z-]+) +\d{3}  ", problems.__doc__ or "", re.MULTILINE))
    assert set(re.findall(r"^\| `([a-z-]+)` \| \d{3} \|", PAGE, re.MULTILINE)) == known
    assert f"more than {MAX_REQUESTS} requests at once" in PAGE


def test_examples_of_answers_name_real_fields() -> None:
    known = {
        name
        for module in (
            schemas,
            measure_schemas,
            liquidation_schemas,
            stress_schemas,
            leverage_schemas,
            portfolio_schemas,
            risk_schemas,
        )
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name in model.model_fields
    }
    for example in re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL):
        assert json.loads(example).keys() <= known | {"closest"}


CURLS = [
    shlex.split(line) for line in PAGE.replace("\\\n", "").splitlines() if line.startswith("curl ")
]


@pytest.mark.parametrize("words", CURLS, ids=lambda words: words[-1])
async def test_example_is_answered(
    client: httpx2.AsyncClient, fleet: FakeFleet, words: list[str]
) -> None:
    url = next(word for word in words if word.startswith("http"))
    parts = urlsplit(url)
    path = parts._replace(scheme="", netloc="").geturl()
    if "/liquidation" in path and "/portfolio/" in path:
        fleet.desk.set_positions([position(exchange="binance")])
    if "-X" in words:
        body = words[words.index("-d") + 1] if "-d" in words else None
        method = words[words.index("-X") + 1]
        headers = {"Content-Type": "application/json"}
        answer = await client.request(method, path, content=body, headers=headers)
    else:
        answer = await client.get(path)
    expected = 202 if "-X" in words and "/fleet/" in path else 200
    assert answer.status_code == (404 if path.endswith("BTCUSDT") else expected)


WRONG = re.findall(r"^\| `(/[^`]+)` \| (\d{3}): (.+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("path", "status", "detail"), WRONG, ids=lambda text: text)
async def test_wrong_input_is_answered_as_written(
    client: httpx2.AsyncClient, path: str, status: str, detail: str
) -> None:
    answer = await client.get(f"/v1/symbols/BTC-USDT-PERP{path}")
    assert (str(answer.status_code), answer.json()["detail"]) == (status, detail)


def test_every_reason_to_be_stale_is_listed() -> None:
    synced: dict[str, Any] = {"status": FeedStatus.SYNCED, "hole": False, "crossed": False}
    told = [
        {**synced, "status": FeedStatus.RESYNC},
        {**synced, "hole": True},
        {**synced, "crossed": True},
        {**synced, "age_ms": None},
        {**synced, "age_ms": 12_300.0},
    ]
    for case in told:
        reason = stale_reason(**{"age_ms": 1.0, "stale_after_ms": 10_000.0, **case})
        assert f"| `{reason}`" in PAGE
