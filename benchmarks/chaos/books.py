"""The fleet's books and depth measures beside the venue's own, of one moment."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.instruments import Instrument

TOLERANCE: Final = 1e-9
"""Relative; sums of sizes may be taken in another order."""
ARRIVAL_S: Final = 20.0
"""What the venue has sent before its pause has arrived by then."""
_OF_TIME: Final = frozenset({"age_ms", "ts_event", "ts_recv", "timestamp", "stale", "stale_reason"})
_WITH_MEMORY: Final = frozenset({"resiliency", "liquidity_score"})
"""What also rests on the past, or on the volume of a day."""
_BEFORE_SNAPSHOT: Final = 1


def compare_books(
    instruments: Mapping[str, Instrument],
    venue: Callable[..., Mapping[str, Any]],
    actor: Callable[..., Any],
) -> dict[str, Any]:
    """Compare every book and its depth measures with the venue's, which pauses meanwhile.

    `venue` takes a path, and a body to post; `actor` a symbol, the method to ask, and arguments.
    """
    equal, apart, wrong_measures = 0, [], {}
    venue("/control/pause", {})
    for symbol, instrument in instruments.items():
        truth = venue(f"/control/book?symbol={instrument.venue_symbol}")
        book = actor(symbol, "book", None, 10**6)
        give_up = time.monotonic() + ARRIVAL_S
        while book["sequence"] != truth["lastUpdateId"] and time.monotonic() < give_up:
            time.sleep(0.1)
            book = actor(symbol, "book", None, 10**6)
        low, high = book["known_range"]
        same = book["sequence"] == truth["lastUpdateId"] and (
            levels_hash(book, low, high) == levels_hash(truth, low, high)
        )
        equal += same
        if not same:
            apart.append(symbol)
        market = true_market(instrument, truth, book)
        different = measures_apart(actor(symbol, "depth", None), market)
        if different:
            wrong_measures[symbol] = different
    venue("/control/resume", {})
    return {
        "books": len(instruments),
        "books_equal": equal,
        "books_apart": apart,
        "measures_apart": wrong_measures,
    }


def levels_hash(book: Mapping[str, Any], low: float, high: float) -> str:
    """Return a hash of a book's levels within a range of prices, both bounds in it."""
    digest = hashlib.sha256()
    for side in ("bids", "asks"):
        for level in book[side]:
            price, size = float(level[0]), float(level[1])
            if low <= price <= high:
                digest.update(f"{side}{price!r}:{size!r};".encode())
    return digest.hexdigest()


def true_market(
    instrument: Instrument, truth: Mapping[str, Any], book: Mapping[str, Any]
) -> Market:
    """Return a market that has seen nothing but the venue's book, as far as `book` knows it.

    It knows the same range of prices (levels at its bounds, which are there no more, come and
    go), and beyond it the levels that `book` has heard of, which are not all that there are.
    """
    low, high = book["known_range"]
    now = time.time_ns()
    last = truth["lastUpdateId"]
    sides = {
        side: [level for level in truth[side] if low <= float(level[0]) <= high]
        for side in ("bids", "asks")
    }
    changes: dict[str, list[list[str]]] = {}
    for side, bound in (("bids", low), ("asks", high)):
        changes[side] = [
            [repr(price), repr(size)] for price, size in book[side] if not low <= price <= high
        ]
        if not any(float(level[0]) == bound for level in truth[side]):
            sides[side] = [*sides[side], [repr(bound), "1"]]
            changes[side].append([repr(bound), "0"])
    event = {
        "e": "depthUpdate", "E": now // 10**6, "T": now // 10**6, "s": instrument.venue_symbol,
        "U": last, "u": last, "pu": last - _BEFORE_SNAPSHOT,
        "b": changes["bids"], "a": changes["asks"],
    }  # fmt: skip
    feed = MarketFeed([instrument])
    market = Market(instrument, Analyzer(instrument), stale_after_ms=10_000.0)
    snapshot = {"lastUpdateId": last, "E": now // 10**6, "T": now // 10**6, **sides}
    outputs = (
        feed.on_frames([orjson.dumps(event)], [now]),
        feed.on_snapshot(0, orjson.dumps(snapshot), now),
    )
    for output in outputs:
        for batch in output.batches:
            market.apply(batch.events)
    return market


def measures_apart(told: Mapping[str, Any], market: Market) -> list[str]:
    """Return the names of the depth measures that are not what the market's book gives."""
    expected = dict(flat(views.depth(market, time.time_ns())))
    found = dict(flat(told))
    return sorted(
        name
        for name in expected.keys() | found.keys()
        if not _alike(expected.get(name), found.get(name))
    )


def flat(values: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Yield every number of a nested answer under its path; what only tells time is left out."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key not in _OF_TIME | _WITH_MEMORY:
                yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list | tuple):
        for at, value in enumerate(values):
            yield from flat(value, f"{name}[{at}]")
    elif not isinstance(values, str):
        yield name, values


def _alike(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12)
