"""Frames with something wrong in them: pure functions of a good one, bytes to bytes."""

import re
from typing import Any, Final

import orjson

_FACTOR: Final = 10
_AHEAD: Final = 10**9
"""Ids that a market reaches in no time that matters."""
_VARIANTS: Final = ((0, 0, 1), (0, _AHEAD, 0), (-_AHEAD, -_AHEAD, -_AHEAD))
"""What is added to U, u and pu, in turn."""
_STAMPS: Final = re.compile(rb'"(E|T|serverTime|time)":(\d{13})\b')
_EVENT_STAMP: Final = re.compile(rb'"(E)":(\d{13})\b')


def wrong_price(depth: bytes) -> bytes:
    """Return a depth frame whose bids stand far above and whose asks far below the market.

    Prices keep their decimals, and a level that was to go stands with a size of 1, so that
    nothing but the book's own sense gives the frame away.
    """
    event = orjson.loads(depth)
    event["b"] = [[_moved(p, _FACTOR, 1), _standing(q)] for p, q in event["b"]]
    event["a"] = [[_moved(p, 1, _FACTOR), _standing(q)] for p, q in event["a"]]
    return orjson.dumps(event)


def wrong_size(depth: bytes) -> bytes:
    """Return a depth frame whose sizes are negative."""
    event = orjson.loads(depth)
    for side in ("b", "a"):
        event[side] = [[price, f"-{_standing(size)}"] for price, size in event[side]]
    return orjson.dumps(event)


def wrong_sequence(depth: bytes, turn: int) -> bytes:
    """Return a depth frame whose ids are wrong in one of three ways, one after the other."""
    event: dict[str, Any] = orjson.loads(depth)
    for name, added in zip(("U", "u", "pu"), _VARIANTS[turn % len(_VARIANTS)], strict=True):
        if name in event:  # spot has no pu
            event[name] += added
    return orjson.dumps(event)


def restamped(payload: bytes, skew_s: float, *, all_stamps: bool = True) -> bytes:
    """Return a message or an answer as of a clock that is `skew_s` ahead.

    `all_stamps`: False where `T` is no time of the message, as in mark prices.

    >>> restamped(b'{"E":1700000000000}', -1.5)
    b'{"E":1699999998500}'
    """
    skew_ms = round(skew_s * 1000)

    def later(match: re.Match[bytes]) -> bytes:
        return b'"%s":%d' % (match[1], int(match[2]) + skew_ms)

    return (_STAMPS if all_stamps else _EVENT_STAMP).sub(later, payload)


def _moved(price: str, times: int, by: int) -> str:
    """Return a price multiplied and divided, on the grid of its own decimals, never 0."""
    whole, _, part = price.partition(".")
    ticks = max(int(whole + part) * times // by, 1)
    if not part:
        return str(ticks)
    digits = str(ticks).rjust(len(part) + 1, "0")
    return f"{digits[: -len(part)]}.{digits[-len(part) :]}"


def _standing(size: str) -> str:
    return size if float(size) else "1"
