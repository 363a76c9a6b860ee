"""Every error of the API: RFC 9457 problem details, one sentence with the remedy.

=====================  ======  ==============================================
type (after the URN)   status  when
=====================  ======  ==============================================
unknown-route             404  no such path
unknown-symbol            404  no such symbol, or not on that exchange
unknown-measure           404  no such measure, or not one that is taken
unknown-portfolio         404  no portfolio has that id
unknown-position          404  the portfolio holds nothing in that symbol
unknown-table             404  no history is kept under that name
not-acceptable            406  the Accept header names no format there is
method-not-allowed        405  the path exists, the method does not
body-too-large            413  the request body is above the limit
invalid-request           422  a parameter or a field is wrong
fleet-conflict            409  the fleet, as it is now, cannot do what it is told
malformed-body            400  the body cannot be parsed at all
overloaded                429  too many requests at once; Retry-After
stale-book                503  the book is stale, and fresh_only or a fill was asked
unavailable               503  the actor that knows is restarting; Retry-After
not-ready                 503  too few books are fresh
internal-error            500  a defect of ours
=====================  ======  ==============================================
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from alphaplus.errors import AlphaPlusError

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:alphaplus:problem:"
RETRY_AFTER_S: Final = 1
"""Seconds after which a restarting actor, a stale book or a busy server is worth a new try."""

_PHRASES: Final = {
    "missing": "to be given",
    "greater_than_equal": "to be at least {ge:g}",
    "greater_than": "to be above {gt:g}",
    "less_than_equal": "to be at most {le:g}",
    "too_short": "to hold at least {min_length}",
    "too_long": "to hold at most {max_length}",
    "string_too_long": "to have at most {max_length} characters",
    "finite_number": "to be a finite number",
    "float_type": "to be a finite number",
    "float_parsing": "to be a number",
    "int_parsing": "to be a whole number",
    "int_parsing_size": "to be a smaller number",
    "int_from_float": "to be a whole number",
    "bool_parsing": "to be true or false",
    "string_type": "to be a text",
    "list_type": "to be a list",
    "model_attributes_type": "to be an object",
    "model_type": "to be an object",
}
"""What was expected, by pydantic's name of the error."""

_RETRY: Final = {"Retry-After": str(RETRY_AFTER_S)}


class Problem(AlphaPlusError):
    """An answer that is an error. `extra` holds members beyond those of the RFC."""

    def __init__(
        self,
        slug: str,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(slug, status, detail, headers, extra)
        self.slug = slug
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def __str__(self) -> str:
        return self.detail

    def response(self, instance: str) -> Response:
        """Return the answer for the request path `instance`."""
        body = {
            "type": URN + self.slug,
            "title": self.slug.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **self.extra,
        }
        return Response(orjson.dumps(body), self.status, self.headers, MEDIA_TYPE)


def unknown_symbol(symbol: str, closest: str | None) -> Problem:
    """No book of that name on any exchange."""
    hint = f"did you mean {closest}?" if closest else "see /v1/symbols for those that are."
    detail = f"The symbol {shown(symbol)} is not watched; {hint}"
    return Problem("unknown-symbol", 404, detail, extra={"closest": closest})


def not_listed(detail: str) -> Problem:
    """A command names a symbol that the venue does not list, or that is not watched."""
    return Problem("unknown-symbol", 404, detail)


def conflict(detail: str) -> Problem:
    """A command that the fleet, as it is now, cannot follow; nothing was changed."""
    return Problem("fleet-conflict", 409, detail)


def unknown_exchange(symbol: str, exchange: str, listed: Sequence[str]) -> Problem:
    """The symbol is watched, but not there."""
    detail = (
        f"The symbol {symbol} is not watched on {shown(exchange)}; "
        f"use exchange={' or '.join(listed)}, or leave it out."
    )
    return Problem("unknown-symbol", 404, detail, extra={"closest": symbol})


def unknown_measure(name: str, closest: str | None, known: Sequence[str]) -> Problem:
    """No measure of that name is taken."""
    hint = f"did you mean {closest}?" if closest else f"there are {', '.join(known)}."
    return Problem(
        "unknown-measure",
        404,
        f"The measure {shown(name)} is not taken; {hint}",
        extra={"closest": closest, "measures": list(known)},
    )


def unknown_portfolio(portfolio_id: str, closest: str | None, known: Sequence[str]) -> Problem:
    """No portfolio has that id."""
    hint = f"did you mean {closest}?" if closest else f"there are {', '.join(known)}."
    return Problem(
        "unknown-portfolio",
        404,
        f"There is no portfolio {shown(portfolio_id)}; {hint}",
        extra={"closest": closest, "portfolios": list(known)},
    )


def unknown_position(portfolio_id: str, symbol: str, held: Sequence[str]) -> Problem:
    """A portfolio holds nothing in the symbol."""
    listed = f"it holds {', '.join(held)}." if held else "it holds nothing."
    return Problem(
        "unknown-position",
        404,
        f"The portfolio {portfolio_id} has no position in {shown(symbol)}; {listed}",
        extra={"held": list(held)},
    )


def unknown_table(name: str, closest: str | None, known: Sequence[str]) -> Problem:
    """No table of that name is kept."""
    hint = f"did you mean {closest}?" if closest else "see /v1/history for those there are."
    return Problem(
        "unknown-table",
        404,
        f"There is no table {shown(name)}; {hint}",
        extra={"closest": closest, "tables": list(known)},
    )


def not_stored(table: str, symbol: str, closest: str | None) -> Problem:
    """A table has no row of the symbol."""
    hint = f"did you mean {closest}?" if closest else "leave symbol out for all that are."
    detail = f"Nothing of {shown(symbol)} is stored in {table}; {hint}"
    return Problem("unknown-symbol", 404, detail, extra={"closest": closest})


def not_acceptable(accept: str, known: Sequence[str]) -> Problem:
    """None of the media types that the client takes can be given."""
    detail = (
        f"Expected an Accept header with {', '.join(known)}, was {shown(accept)}; "
        "name one of them, or give the query parameter format."
    )
    return Problem("not-acceptable", 406, detail, extra={"media_types": list(known)})


def stale_book(what: str, freshness: Mapping[str, Any]) -> Problem:
    """`fresh_only` was asked of something stale; the freshness goes with the refusal."""
    detail = (
        f"{what} is stale ({freshness.get('stale_reason') or 'not in step with the exchange'}); "
        f"try again in {RETRY_AFTER_S} s, or leave fresh_only out to read it with its age."
    )
    return Problem("stale-book", 503, detail, _RETRY, freshness)


def no_book(what: str, freshness: Mapping[str, Any]) -> Problem:
    """What was asked needs both sides of a book in step with the exchange, now."""
    detail = f"{what} cannot be filled ({freshness['stale_reason']}); "
    return Problem("stale-book", 503, f"{detail}try again in {RETRY_AFTER_S} s.", _RETRY, freshness)


def unavailable(detail: str) -> Problem:
    """The actor that knows the answer cannot give it now."""
    return Problem("unavailable", 503, detail, _RETRY)


def overloaded(limit: int) -> Problem:
    """More requests at once than this replica takes."""
    detail = f"{limit} requests are being answered already; try again in {RETRY_AFTER_S} s."
    return Problem("overloaded", 429, detail, _RETRY)


def too_large(limit: int) -> HTTPException:
    """The body is above `limit` bytes; FastAPI lets only its own kind pass while it reads."""
    return HTTPException(
        413, f"Expected a body of at most {limit} bytes; send the positions alone."
    )


def not_ready(detail: str, readiness: Mapping[str, Any]) -> Problem:
    """Too few books are fresh for the data to be relied upon."""
    return Problem("not-ready", 503, detail, _RETRY, readiness)


def invalid(errors: Sequence[Mapping[str, str]]) -> Problem:
    """Fields are wrong: each error has `field` and `detail`, a sentence with the fix."""
    rest = f" ({len(errors) - 1} more in errors)" if len(errors) > 1 else ""
    detail = errors[0]["detail"] + rest
    return Problem("invalid-request", 422, detail, extra={"errors": errors})


def internal() -> Problem:
    """A defect of ours: the client learns nothing of it but where to look."""
    detail = "The request failed by a defect of the server; its log says which, please report it."
    return Problem("internal-error", 500, detail)


def shown(value: Any) -> str:
    """Return an input as it is quoted back: short, and one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def install(app: FastAPI) -> None:
    """Make an app answer all its errors as problems."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response(request.url.path)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _from_http(error, request).response(request.url.path)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid([explain(item) for item in error.errors()]).response(request.url.path)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)


def _from_http(error: HTTPException, request: Request) -> Problem:
    headers = dict(error.headers or {})
    path = shown(request.url.path)
    if error.status_code == 404:
        detail = f"There is nothing at {path}; /docs lists the routes."
        return Problem("unknown-route", 404, detail, headers)
    if error.status_code == 405:
        allowed = headers.get("Allow", "another method")
        detail = f"{path} does not take {request.method}; use {allowed}."
        return Problem("method-not-allowed", 405, detail, headers)
    if error.status_code == 400:
        detail = "The request body cannot be parsed; send valid JSON in UTF-8."
        return Problem("malformed-body", 400, detail, headers)
    slug = "body-too-large" if error.status_code == 413 else "error"
    return Problem(slug, error.status_code, str(error.detail), headers)


def explain(error: Mapping[str, Any]) -> dict[str, str]:
    """Turn one error of pydantic into the field's name and a sentence that names the fix."""
    place, *path = error["loc"]
    field = _dotted(path)
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "json_invalid":
        where = f"position {path[0]}" if path else "its start"
        return {
            "field": "body",
            "detail": f"Expected a JSON body, was broken at {where}: {context.get('error')}.",
        }
    if place == "body" and not path:
        detail = "Expected a JSON object as the body, of Content-Type application/json"
        return {"field": "body", "detail": f"{detail}, was {_given(kind, given)}."}
    named = f"query parameter {field}" if place == "query" else f"field {field}"
    if kind == "extra_forbidden":
        return {"field": field, "detail": f"There is no {named}; leave it out or see /docs."}
    if kind == "value_error":
        return {"field": field, "detail": f"{context.get('error', error['msg'])}"}
    return {
        "field": field,
        "detail": f"Expected {named} {_wanted(error)}, was {_given(kind, given)}.",
    }


def _wanted(error: Mapping[str, Any]) -> str:
    """Say what would have been right."""
    phrase = _PHRASES.get(error["type"])
    return phrase.format(**error.get("ctx", {})) if phrase else f"to be right ({error['msg']})"


def _given(kind: str, given: Any) -> str:
    if kind == "missing":
        return "missing"
    if kind in ("too_long", "too_short") and isinstance(given, list):
        return f"{len(given)}"
    return "nothing" if given is None else shown(given)


def _dotted(path: Sequence[Any]) -> str:
    """Write `positions[3].quantity` for ("positions", 3, "quantity")."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".")
