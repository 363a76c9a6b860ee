"""The routes of liquidations, and that what the symbol's actor says fits their schemas."""

import math
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from alphaplus.events import Kind, Side
from serve import liquidation_schemas as schemas
from tests.fleet.test_venue_risk import Fed, at, mapped
from tests.serve.fakes import LEVEL, REALISED, FakeFleet

BTC = "/v1/symbols/BTC-USDT-PERP/liquidations"


async def test_realised_and_estimated_stand_apart(client: httpx2.AsyncClient) -> None:
    body = (await client.get(BTC)).json()
    assert body["realised"]["newest"][0] == REALISED
    assert body["realised"]["totals"][0]["at_least"] is True
    assert body["estimated"]["levels"][0] == LEVEL
    assert body["stale"] is False
    assert "levels" not in body["realised"]


async def test_numbers_of_both_are_as_asked_for(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    body = (await client.get(f"{BTC}?limit=1&levels=2&exchange=binance")).json()
    assert len(body["realised"]["newest"]) == 1
    assert len(body["estimated"]["levels"]) == 2
    await client.get(BTC)
    assert fleet.asked == [
        ("liquidations", "BTC-USDT-PERP", "binance", 1, 2),
        ("liquidations", "BTC-USDT-PERP", None, 100, 50),
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "levels=0", "levels=201", "depth=5"])
async def test_what_no_answer_has_is_refused(client: httpx2.AsyncClient, query: str) -> None:
    assert (await client.get(f"{BTC}?{query}")).status_code == 422


async def test_map_that_is_stale_says_why_and_is_refused_to_those_who_want_it_fresh(
    client: httpx2.AsyncClient,
) -> None:
    body = (await client.get(f"{BTC}/map")).json()
    assert body["stale"] is True
    assert body["stale_reason"] == body["reason"] == "no leverage tiers yet"
    assert body["cells"] is None
    answer = await client.get(f"{BTC}/map?fresh_only=true")
    assert answer.status_code == 503
    assert "no leverage tiers yet" in answer.text


async def test_unknown_symbol_is_named(client: httpx2.AsyncClient) -> None:
    for path in ("", "/map"):
        answer = await client.get(f"/v1/symbols/BTCUSDT/liquidations{path}")
        assert answer.status_code == 404
        assert answer.json()["closest"] == "BTC-USDT-PERP"


def fits(answer: dict[str, Any], schema: type[BaseModel]) -> dict[str, Any]:
    """Check that every field of an answer is in its schema, at all depths; return it plain."""
    shown = schema.model_validate(answer).model_dump(mode="json")
    assert_same(answer, shown, schema.__name__)
    return shown


def assert_same(answer: Any, shown: Any, where: str) -> None:
    if isinstance(answer, dict):
        assert answer.keys() <= shown.keys(), where
        for key, value in answer.items():
            assert_same(value, shown[key], f"{where}.{key}")
    elif isinstance(answer, list | tuple):
        assert len(answer) == len(shown), where
        for k, value in enumerate(answer):
            assert_same(value, shown[k], f"{where}[{k}]")
    else:
        assert answer == shown, where
        assert not (isinstance(shown, float) and math.isnan(shown)), where


def test_answers_of_a_mapped_market_fit() -> None:
    fed, now = mapped()
    fed.take(at(185, Kind.LIQUIDATION, 3.0, side=Side.ASK, price_tick=984))
    fits(fed.risk.liquidations(10, 10, now), schemas.Liquidations)
    shown = fits(fed.risk.liquidation_map(now), schemas.LiquidationMap)
    assert shown["cells"]
    assert shown["assumptions"]["tier_source"] == "made up"
    assert shown["realised_hits"]["scored"] == 1


def test_answers_of_a_market_without_a_map_fit() -> None:
    fed = Fed()
    fits(fed.risk.liquidations(10, 10, 1), schemas.Liquidations)
    fits(fed.risk.liquidation_map(1), schemas.LiquidationMap)


LEVEL_FIELDS = "symbol exchange price_level side quantity timestamp risk_score distance_from_price"


def test_levels_have_the_fields_of_the_domain() -> None:
    assert list(schemas.EstimatedLevel.model_fields) == LEVEL_FIELDS.split()
