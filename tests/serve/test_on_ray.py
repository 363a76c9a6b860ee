"""The API on a real cluster of one machine: proxy, replica, actors by name, and their loss."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import ray
from ray import serve

from actors import names
from alphaplus.errors import StaleBook, UnknownSymbol
from serve.app import build
from tests.serve.fakes import FakeFleet, Record, summary
from tests.serve.problem import problem

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # Ray's own, on start
]

SYMBOL = "BTC-USDT-PERP"
KEEPER = names.host_name(3)


class Board(FakeFleet):
    """Answers as the portfolio's actor does, with the time of the machine."""

    async def board(self) -> list[Record]:
        for row in self.rows:
            row |= {"ts_event": time.time_ns(), "ts_recv": time.time_ns()}
        return await super().board()


class Books(FakeFleet):
    """Answers as an actor does that keeps symbols."""

    async def ask(self, symbol: str, method: str, *arguments: Any) -> Any:
        return await getattr(self, method)(symbol, *arguments)

    async def liquidity(self, symbol: str, exchange: str | None, notional: float) -> Record:
        if notional > 1e9:
            raise StaleBook("Expected a book with both sides, was none yet.")
        return await super().liquidity(symbol, exchange, notional)


class Places(FakeFleet):
    """Says, as the supervisor does, which actor keeps a symbol."""

    async def actor_of(self, symbol: str) -> str:
        if symbol == SYMBOL:
            return KEEPER
        raise UnknownSymbol(f"Expected a symbol that is watched, was {symbol}.")


def start(actor: type[FakeFleet], name: str) -> Any:
    remote: Any = ray.remote(actor)
    handle = remote.options(name=name, namespace=names.NAMESPACE, num_cpus=0.05).remote(
        [summary(SYMBOL)]
    )
    ray.get(handle.stats.remote())
    return handle


@pytest.fixture
def api(cluster: None) -> Iterator[str]:
    """A portfolio and one symbol on the run's cluster; the address of their API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # An actor ends with the last handle to it, so these are held.
    actors = [
        start(Board, names.PORTFOLIO),
        start(Books, KEEPER),
        start(Places, names.SUPERVISOR),
    ]
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(build(stale_after_ms=10_000), name="api", route_prefix="/")
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        actors.clear()


def test_api_answers_from_actors_and_outlives_them(api: str) -> None:
    with httpx2.Client(base_url=api, timeout=30) as client:
        listed = client.get("/v1/symbols").json()
        assert listed["symbols"][0]["symbol"] == SYMBOL
        assert listed["stale"] is False
        assert client.get("/readyz").json()["ready"] is True
        assert len(client.get(f"/v1/symbols/{SYMBOL}/book?depth=7").json()["bids"]) == 7
        assert client.get(f"/v1/symbols/{SYMBOL}/analysis").json()["crossed"] is False
        assert client.get(f"/v1/symbols/{SYMBOL}/depth").json()["static_pressure"] == 0.063
        of_size = f"/v1/symbols/{SYMBOL}/liquidity?notional="
        assert client.get(f"{of_size}2e6").json()["notional"] == 2e6
        problem(client.get(f"{of_size}2e9"), 503, "stale-book")
        assert len(client.get(f"/v1/symbols/{SYMBOL}/walls").json()["walls"]) == 1
        assert len(client.get(f"/v1/symbols/{SYMBOL}/clusters").json()["clusters"]) == 1
        vpin = client.get(f"/v1/symbols/{SYMBOL}/measures/vpin").json()
        assert vpin["missing"] == {"vpin": "12 of 50 volume buckets"}
        unknown = client.get(f"/v1/symbols/{SYMBOL}/measures/vpinn")
        assert problem(unknown, 404, "unknown-measure")["closest"] == "vpin"
        assert "AlphaPlus" in client.get("/").text
        problem(client.get("/v1/symbols/XXX/book"), 404, "unknown-symbol")
        position = {"symbol": SYMBOL, "quantity": 1, "entry_price": 57000}
        answer = client.put("/v1/portfolio/positions", json={"positions": [position]})
        assert answer.json()["positions"][0]["exchange"] == "binance"

        ray.kill(names.symbol(SYMBOL).actor)
        answer = client.get(f"/v1/symbols/{SYMBOL}/book")
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        problem(client.get(f"/v1/symbols/{SYMBOL}/walls"), 503, "unavailable")
        assert client.get(f"/v1/symbols/{SYMBOL}").status_code == 200

        ray.kill(names.portfolio())
        problem(client.get("/v1/symbols"), 503, "unavailable")
        assert client.get("/healthz").status_code == 200
