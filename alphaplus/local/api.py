"""The HTTP API as the command line asks it: one call, and its own sentence where it refuses."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from alphaplus.config import Serve
from alphaplus.errors import AlphaPlusError

TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 40.0
"""The fleet asks the exchange and the database before it answers a command."""


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
        raise AlphaPlusError(
            f"Expected the API at {url}, was: {error}. Start it with 'alphaplus up', "
            "or name another with --url."
        ) from error


def _problem(url: str, path: str, error: urllib.error.HTTPError) -> str:
    """Return the API's own sentence if it gave one."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"Expected an answer to {path} from {url}, was HTTP {error.code}; is this AlphaPlus?"
