"""The routes of the measures; what they share with other symbol routes is in test_symbols."""

from typing import Any

import httpx2
import pytest

from tests.serve.fakes import CLUSTER, WALL, FakeFleet, unknown_summary
from tests.serve.problem import problem

BTC = "/v1/symbols/BTC-USDT-PERP"


async def test_analysis_has_text_keys_and_nulls(client: httpx2.AsyncClient) -> None:
    body = (await client.get("/v1/symbols/BTC-USDT-PERP/analysis")).json()
    assert body["imbalance"] == {"1": 0.263, "5": None, "20": None}
    assert body["depth"]["1"]["ask_truncated"] is True
    assert body["cost"]["10000"]["buy"]["vwap"] == 57245.3
    assert body["cost"]["10000"]["sell"]["slippage_bps"] is None
    assert body["weighted_mid"] is None


async def test_analysis_of_an_unseen_book_is_an_answer(
    client: httpx2.AsyncClient, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_yet(symbol: str, exchange: str | None) -> dict[str, Any]:
        return {"symbol": symbol, "exchange": "binance", "ts_recv": None, "stale": True}

    monkeypatch.setattr(fleet, "analysis", nothing_yet)
    body = (await client.get("/v1/symbols/BTC-USDT-PERP/analysis")).json()
    assert body["stale"] is True
    assert body["mid"] is None
    assert body["imbalance"] == body["depth"] == body["cost"] == {}


async def test_analysis_carries_every_measure_and_what_it_still_needs(
    client: httpx2.AsyncClient,
) -> None:
    text = (await client.get(f"{BTC}/analysis")).text
    assert "NaN" not in text
    assert "Infinity" not in text
    body = (await client.get(f"{BTC}/analysis")).json()
    assert body["measures"]["vpin"] == {
        "vpin": None,
        "full_buckets": 12,
        "fill_ratio": 0.24,
        "open_bucket_ratio": None,
    }
    assert body["missing"]["vpin"] == {"vpin": "12 of 50 volume buckets"}


async def test_depth(client: httpx2.AsyncClient) -> None:
    body = (await client.get(f"{BTC}/depth")).json()
    assert body["known_range"] == [57011.4, 57480.2]
    assert body["notional_within_slippage"]["5"]["buy"] == 1e6
    assert body["notional_within_slippage"]["5"]["sell"] is None
    assert body["distance_weighted_imbalance"] == {"length_5_bps": None}
    assert body["resiliency"] == {"bid_half_life_s": None, "bid_sweeps": 3}


async def test_liquidity_is_of_the_size_that_is_asked_for(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    assert (await client.get(f"{BTC}/liquidity")).json()["notional"] == 100_000
    answer = await client.get(f"{BTC}/liquidity?notional=1e12&exchange=binance")
    assert answer.json()["notional"] == 1e12
    assert answer.json()["sell"]["vwap"] is None
    assert fleet.asked == [
        ("liquidity", "BTC-USDT-PERP", None, 100_000.0),
        ("liquidity", "BTC-USDT-PERP", "binance", 1e12),
    ]


@pytest.mark.parametrize(
    ("notional", "says"),
    [
        ("0", "to be above 0, was '0'"),
        ("-5", "to be above 0"),
        ("1.1e12", "to be at most 1e+12"),
        ("NaN", "to be a finite number"),
        ("inf", "to be a finite number"),
        ("1e400", "to be a finite number"),
        ("much", "to be a number, was 'much'"),
        ("", "to be a number"),
    ],
)
async def test_size_that_no_order_has_is_refused(
    client: httpx2.AsyncClient, fleet: FakeFleet, notional: str, says: str
) -> None:
    answer = await client.get(f"{BTC}/liquidity", params={"notional": notional})
    body = problem(answer, 422, "invalid-request")
    assert body["errors"][0]["field"] == "notional"
    assert says in body["detail"]
    assert fleet.asked == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stale": True, "stale_reason": "the book is crossed"}, "the book is crossed"),
        ({}, "it lacks a side, or is being rebuilt"),
    ],
)
async def test_fill_without_two_sides_is_refused_as_stale(
    client: httpx2.AsyncClient, fleet: FakeFleet, changes: dict[str, Any], reason: str
) -> None:
    fleet.rows[0] |= {"mid": None, **changes}
    answer = await client.get(f"{BTC}/liquidity")
    body = problem(answer, 503, "stale-book")
    assert answer.headers["retry-after"] == "1"
    assert body["stale"] is True
    assert body["stale_reason"] == reason
    assert reason in body["detail"]
    assert body["age_ms"] == 12.5


async def test_fill_of_an_unseen_book_is_refused_as_stale(
    client: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rows[0] = unknown_summary("BTC-USDT-PERP")
    body = problem(await client.get(f"{BTC}/liquidity"), 503, "stale-book")
    assert body["stale_reason"] == "no update has been received yet"


async def test_walls_and_clusters_stand_at_the_top(client: httpx2.AsyncClient) -> None:
    walls = (await client.get(f"{BTC}/walls")).json()
    assert walls["walls"] == [WALL]
    assert walls["missing"] == {"pulled_rate": "3 of 10 removed walls"}
    clusters = (await client.get(f"{BTC}/clusters")).json()
    assert clusters["clusters"] == [CLUSTER]
    assert clusters["ask_truncated"] is True


async def test_one_measure_alone(client: httpx2.AsyncClient, fleet: FakeFleet) -> None:
    body = (await client.get(f"{BTC}/measures/vpin?exchange=binance")).json()
    assert body["measure"] == "vpin"
    assert body["values"]["full_buckets"] == 12
    assert body["missing"] == {"vpin": "12 of 50 volume buckets"}
    assert fleet.asked == [("measure", "BTC-USDT-PERP", "binance", "vpin")]


@pytest.mark.parametrize(
    ("given", "closest"),
    [
        ("vpinn", "vpin"),
        ("VPIN", "vpin"),
        ("wall", "walls"),
        ("%C3%A4%00", None),
        ("q" * 999, None),
    ],
)
async def test_unknown_measure_names_the_closest(
    client: httpx2.AsyncClient, given: str, closest: str | None
) -> None:
    body = problem(await client.get(f"{BTC}/measures/{given}"), 404, "unknown-measure")
    assert body["closest"] == closest
    assert body["measures"] == ["vpin", "walls", "clusters"]
    hint = f"did you mean {closest}?" if closest else "there are vpin, walls, clusters."
    assert body["detail"].endswith(hint)
    assert len(body["detail"]) < 200
