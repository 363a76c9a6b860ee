"""The HTTP API from Python, and from the command line; it needs nothing that is not in Python.

    from alphaplus.client import Client
    client = Client("http://127.0.0.1:8000")
    client.add_symbols(["DOGE-USDT-PERP"])
    [item.symbol for item in client.watched_symbols() if item.state == "running"]

Whatever the API refuses is raised as AlphaPlusError with its own sentence.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from alphaplus.config import Serve
from alphaplus.errors import AlphaPlusError

TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 40.0
"""The fleet asks the exchange and the database before it answers a command."""


SYMBOLS: Final = "/v1/fleet/symbols"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSymbol:
    """Where a symbol of the fleet stands; docs/operations.md lists the states."""

    symbol: str
    exchange: str
    state: str
    detail: str
    """Why it does not run; empty if nothing is in the way."""
    actor: str | None
    """The actor that keeps it, maybe with others."""
    feed: str | None


class Client:
    """Asks the API at one address; every call is one request."""

    def __init__(self, url: str = "http://127.0.0.1:8000") -> None:
        self._url = url.rstrip("/")

    def watched_symbols(self) -> list[WatchedSymbol]:
        """Return every symbol that is to be watched, and those that leave."""
        return _watched(call(self._url, SYMBOLS))

    def add_symbols(self, symbols: Sequence[str]) -> list[WatchedSymbol]:
        """Watch more symbols; returns where they stand once it is certain to happen."""
        body = {"symbols": list(symbols)}
        return _watched(
            call(self._url, SYMBOLS, method="PUT", body=body, timeout_s=COMMAND_TIMEOUT_S)
        )

    def remove_symbols(self, symbols: Sequence[str]) -> list[WatchedSymbol]:
        """Watch symbols no longer, all of them or none; returns as `add_symbols`."""
        path = f"{SYMBOLS}?symbols={quote(','.join(symbols), safe=',')}"
        return _watched(call(self._url, path, method="DELETE", timeout_s=COMMAND_TIMEOUT_S))


def address(serve: Serve, url: str | None) -> str:
    """Return the address of the API: what was given, else that of the settings."""
    return (url or f"http://{serve.host}:{serve.port}").rstrip("/")


def call(
    url: str,
    path: str,
    *,
    method: str = "GET",
    body: Mapping[str, Any] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """Call the API at `url` and return its answer; raises AlphaPlusError with what to do."""
    try:
        request = urllib.request.Request(
            f"{url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise AlphaPlusError(_problem(url, path, error)) from error
    except (OSError, ValueError) as error:
        found = getattr(error, "reason", error)  # urllib's own text is made for programmers
        raise AlphaPlusError(
            f"Expected the API at {url}, was: {found}. Start it with 'alphaplus up', "
            "or name another with --url."
        ) from error


def _watched(answer: Mapping[str, Any]) -> list[WatchedSymbol]:
    names = WatchedSymbol.__dataclass_fields__
    return [WatchedSymbol(**{name: item[name] for name in names}) for item in answer["symbols"]]


def _problem(url: str, path: str, error: urllib.error.HTTPError) -> str:
    """Return the API's own sentence if it gave one."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"Expected an answer to {path} from {url}, was HTTP {error.code}; is this AlphaPlus?"
