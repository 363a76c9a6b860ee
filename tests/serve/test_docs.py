"""docs/api.md names what there is, and its examples are answered."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from serve import problems, schemas
from serve.app import MAX_REQUESTS
from tests.serve.fakes import FakeFleet

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


async def test_every_route_is_listed(client: httpx2.AsyncClient) -> None:
    spec = (await client.get("/openapi.json")).json()
    routes = {
        f"{method.upper()} {path}" for path, found in spec["paths"].items() for method in found
    }
    assert set(re.findall(r"^\| `((?:GET|PUT) [^`]+)`", PAGE, re.MULTILINE)) == routes


def test_every_problem_is_listed() -> None:
    known = set(re.findall(r"^([a-z-]+) +\d{3}  ", problems.__doc__ or "", re.MULTILINE))
    assert set(re.findall(r"^\| `([a-z-]+)` \| \d{3} \|", PAGE, re.MULTILINE)) == known
    assert f"more than {MAX_REQUESTS} requests at once" in PAGE


def test_examples_of_answers_name_real_fields() -> None:
    known = {
        name
        for model in (schemas.Summary, schemas.Book, schemas.Analysis, schemas.ProblemDetails)
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
    if "-X" in words:
        body = words[words.index("-d") + 1]
        answer = await client.put(path, content=body, headers={"Content-Type": "application/json"})
    else:
        answer = await client.get(path)
    assert answer.status_code == (404 if path.endswith("BTCUSDT") else 200)
