"""`alphaplus symbols` against an API that answers over a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from alphaplus.cli import app
from alphaplus.client import Client, WatchedSymbol
from alphaplus.errors import AlphaPlusError
from alphaplus.local.symbols import await_states

BTC, DOGE = "BTC-USDT-PERP", "DOGE-USDT-PERP"


def place(symbol: str, state: str, detail: str = "") -> dict[str, Any]:
    feed = "feed:binance:0" if state == "running" else None
    where = {"symbol": symbol, "exchange": "binance", "actor": f"symbol:{symbol}"}
    return {**where, "state": state, "detail": detail, "feed": feed}


class Api(BaseHTTPRequestHandler):
    """Remembers what it was asked, and gives its answers in order, the last one for ever."""

    asked: ClassVar[list[tuple[str, str, Any]]] = []
    answers: ClassVar[list[tuple[int, dict[str, Any]]]] = []

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.asked.append((self.command, self.path, body))
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_PUT = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[str]:
    Api.asked.clear()
    Api.answers[:] = [(200, {"count": 1, "symbols": [place(BTC, "running")]})]
    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["symbols", *arguments])


def test_list_shows_state_and_reason(api: str) -> None:
    pending = place(DOGE, "pending", "no node with 0.05 CPU and 130 MB free")
    Api.answers[:] = [(200, {"count": 2, "symbols": [place(BTC, "running"), pending]})]
    shown = run("list", "--url", api).output
    assert f"{BTC}" in shown
    assert "feed:binance:0" in shown
    assert "no node with" in shown
    assert json.loads(run("list", "--url", api, "--json").output)["symbols"][1] == pending


def test_add_and_remove_say_what_is_wanted(api: str) -> None:
    assert run("add", BTC, DOGE, "--url", api).exit_code == 0
    assert run("remove", BTC, DOGE, "--url", f"{api}/").exit_code == 0
    assert Api.asked == [
        ("PUT", "/v1/fleet/symbols", {"symbols": [BTC, DOGE]}),
        ("DELETE", f"/v1/fleet/symbols?symbols={BTC},{DOGE}", None),
    ]


def test_wait_asks_until_it_is_done(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alphaplus.local.symbols.LOOK_EVERY_S", 0.0)
    steps = ("pending", "starting", "running")
    Api.answers[:] = [(202, {"count": 1, "symbols": [place(DOGE, step)]}) for step in steps]
    done = json.loads(run("add", DOGE, "--wait", "30", "--json", "--url", api).output)
    assert done["symbols"] == [place(DOGE, "running")]
    Api.answers[:] = [
        (202, {"count": 1, "symbols": [place(DOGE, "leaving")]}),
        (200, {"count": 2, "symbols": [place(BTC, "running"), place(DOGE, "leaving")]}),
        (200, {"count": 1, "symbols": [place(BTC, "running")]}),
    ]
    gone = json.loads(run("remove", DOGE, "--wait", "30", "--json", "--url", api).output)
    assert gone == {"count": 0, "symbols": []}


def test_waiting_in_vain_says_for_what() -> None:
    pending = WatchedSymbol(**place(DOGE, "pending", "no node with room"))
    with pytest.raises(AlphaPlusError, match=r"DOGE-USDT-PERP is pending \(no node with room\)"):
        await_states(lambda: [pending], [DOGE], lambda _: False, 0.0)


def test_the_client_gives_records_and_raises_what_is_refused(api: str) -> None:
    client = Client(f"{api}/")
    assert client.watched_symbols() == [WatchedSymbol(**place(BTC, "running"))]
    assert client.add_symbols((DOGE,))[0].symbol == BTC, "whatever the API says"
    assert client.remove_symbols([BTC])[0].feed == "feed:binance:0"
    Api.answers[:] = [(404, {"detail": "binance does not list X."})]
    with pytest.raises(AlphaPlusError, match="does not list X"):
        client.add_symbols(["X"])
    with pytest.raises(AlphaPlusError, match="Start it with 'alphaplus up'"):
        Client("http://127.0.0.1:9").watched_symbols()


def test_a_refusal_is_the_apis_own_sentence(api: str) -> None:
    Api.answers[:] = [(409, {"detail": "Expected at most 500 symbols, would be 501."})]
    refused = run("add", DOGE, "--url", api)
    assert isinstance(refused.exception, AlphaPlusError)
    assert str(refused.exception) == "Expected at most 500 symbols, would be 501."
