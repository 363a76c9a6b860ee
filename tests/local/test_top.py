"""`alphaplus top` against an API that answers over a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from alphaplus.cli import app
from alphaplus.errors import AlphaPlusError, ConfigError
from alphaplus.local.top import SORTS, fetch, ordered, screen, top, with_rates


def market(symbol: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "exchange": "binance",
        "stale": False,
        "p50_ms": 0.61,
        "p99_ms": 4.8,
        "messages_per_s": 95.2,
        "batch_events": 68.0,
        "gaps": 0,
        "dropped_events": 0,
        "dropped_rows": 0,
        "backlog_events": 3,
        "cpu": 0.0123,
        "memory_bytes": 95_000_000,
        **changes,
    }


def unknown(symbol: str) -> dict[str, Any]:
    names = ("p50_ms", "p99_ms", "messages_per_s", "batch_events", "dropped_events")
    more = ("backlog_events", "cpu", "memory_bytes")
    return market(symbol, **dict.fromkeys((*names, *more)))


def role(name: str, **changes: Any) -> dict[str, Any]:
    return {"role": name, "actors": 1, "cpu": None, "cpu_s": 5.0, "memory_bytes": None, **changes}


LOAD = {
    "ts": 10**18,
    "markets": [market("ETH-USDT-PERP", stale=True), market("BTC-USDT-PERP", dropped_rows=7)],
    "roles": [role("symbols", cpu=0.5, memory_bytes=190_000_000), role("store")],
    "nodes": [{"cpus": 0.0}, {"cpus": 4.0}],
}


class Answer(BaseHTTPRequestHandler):
    status, body = 200, json.dumps(LOAD)

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/v1/fleet/load" else 404)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[tuple[str, type[Answer]]]:
    class Own(Answer):
        """What this test answers."""

    server = HTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Own
    server.shutdown()
    thread.join()
    server.server_close()


def drawn(load: dict[str, Any], **options: Any) -> str:
    console = Console(width=140, record=True, file=None, force_terminal=False)
    with console.capture() as caught:
        console.print(screen(load, **options))
    return caught.get()


def test_once_as_json_is_what_the_api_says(api: tuple[str, type[Answer]]) -> None:
    done = CliRunner().invoke(app, ["top", "--url", api[0] + "/", "--once", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == LOAD


def test_once_draws_every_market_and_role(api: tuple[str, type[Answer]]) -> None:
    done = CliRunner().invoke(app, ["top", "--url", api[0], "--once"], env={"COLUMNS": "140"})
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert (
        lines[0].strip()
        == "2 markets, 1 stale, 190 messages/s, worst p99 4.8 ms, nodes: 2 with 4 cores"
    )
    (btc,) = [line.split() for line in lines if line.startswith("binance:BTC")]
    assert btc[1:] == ["0.6", "4.8", "95", "68", "0", "7", "3", "1.2", "95"]
    (symbols,) = [line.split() for line in lines if line.startswith("symbols")]
    assert symbols == ["symbols", "1", "0.50", "190"]


def test_unknown_is_a_dash_and_never_zero() -> None:
    text = drawn({**LOAD, "markets": [unknown("BTC-USDT-PERP")]})
    (row,) = [line.split() for line in text.splitlines() if line.startswith("binance")]
    assert row[1:] == ["-", "-", "-", "-", "0", "-", "-", "-", "-"]


def test_what_does_not_fit_is_counted() -> None:
    many = [market(f"C{at:03}-USDT-PERP") for at in range(100)]
    text = drawn({**LOAD, "markets": many}, rows=10)
    assert text.count("binance:") == 10
    assert "and 90 more" in text


def test_the_largest_come_first_and_unknown_ones_last() -> None:
    rows = [market("A", cpu=0.1), unknown("B"), market("C", cpu=0.3)]
    assert [row["symbol"] for row in ordered(rows, "cpu")] == ["C", "A", "B"]
    for sort in SORTS:
        assert len(ordered(rows, sort)) == 3
    assert [row["symbol"] for row in ordered(rows[::-1], "symbol")] == ["A", "B", "C"]


def test_cpu_of_a_role_that_tells_seconds_alone() -> None:
    later = {**LOAD, "ts": LOAD["ts"] + 2 * 10**9, "roles": [role("store", cpu_s=5.5)]}
    assert with_rates(later, LOAD)[0]["cpu"] == 0.25
    again = {**later, "roles": [role("store", cpu_s=0.1)]}
    assert with_rates(again, LOAD)[0]["cpu"] is None, "it started again"
    told = {**later, "roles": [role("symbols", cpu=0.7)]}
    assert with_rates(told, LOAD)[0]["cpu"] == 0.7
    assert with_rates(LOAD, LOAD)[1]["cpu"] is None


def test_a_fleet_that_is_not_there_is_said_in_the_apis_words(api: tuple[str, type[Answer]]) -> None:
    url, answer = api
    answer.status, answer.body = 503, json.dumps({"detail": "The fleet is not running."})
    with pytest.raises(AlphaPlusError, match=r"^The fleet is not running\.$"):
        fetch(url)
    answer.body = "<html>"
    with pytest.raises(AlphaPlusError, match="HTTP 503"):
        fetch(url)


def test_nobody_at_the_address_is_one_sentence(api: tuple[str, type[Answer]]) -> None:
    with pytest.raises(AlphaPlusError, match="alphaplus up"):
        fetch("http://127.0.0.1:9")
    with pytest.raises(AlphaPlusError, match="--url"):
        fetch("nonsense")
    api[1].body = "not json"
    with pytest.raises(AlphaPlusError, match="Expected the API"):
        fetch(api[0])


def test_an_unknown_order_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match="one of symbol, p99"):
        top("http://127.0.0.1:9", once=True, as_json=False, sort="cp", interval_s=1)
