"""What every error of the API has in common."""

from typing import Any

import httpx2


def problem(answer: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that an answer is a problem of this kind, and return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:alphaplus:problem:{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["instance"] == answer.request.url.path
    assert body["detail"].endswith((".", "?", ")"))
    assert "\n" not in body["detail"]
    return body
