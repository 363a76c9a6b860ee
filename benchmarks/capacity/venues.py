"""What venues allow one address of ours, as their pages say, and what books of a venue need."""

import math
from dataclasses import dataclass
from typing import Any, Final

MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """Limits of one IP address; None: the page names none."""

    name: str
    page: str
    url: str
    streams_per_connection: int | None
    connections: int | None
    """Open at once."""
    new_connections: int | None
    """That may be opened within `new_within_s`."""
    new_within_s: float = 1.0
    requests: float | None = None
    """REST weight, or requests, a minute."""
    snapshot_weight: float = 1.0
    """Of a book of 1,000 levels; 0 where the stream brings it."""
    interest_weight: float = 1.0
    """Of one market's open interest; 0 where a stream brings it."""


VENUES: Final = (
    Venue(
        name="Binance USD-M",
        page="Websocket Market Streams; General Info (limits); Order Book (weights)",
        url="https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams",
        streams_per_connection=1024,
        connections=None,
        new_connections=None,
        requests=2400.0,
        snapshot_weight=20.0,
        interest_weight=1.0,
    ),
    Venue(
        name="Bybit v5 linear",
        page="Rate Limit (HTTP IP limit, Websocket IP limit)",
        url="https://bybit-exchange.github.io/docs/v5/rate-limit",
        streams_per_connection=None,
        connections=1000,
        new_connections=500,
        new_within_s=300.0,
        requests=7200.0,  # 600 within 5 s
        snapshot_weight=0.0,
        interest_weight=0.0,
    ),
    Venue(
        name="OKX v5",
        page="Overview, WebSocket, Connect: 3 connections/s, 480 subscriptions/h a connection",
        url="https://www.okx.com/docs-v5/en/#overview-websocket-connect",
        streams_per_connection=480,
        connections=None,
        new_connections=3,
        new_within_s=1.0,
        snapshot_weight=0.0,
        interest_weight=0.0,
    ),
    Venue(
        name="WOO X",
        page="Websocket Introduction",
        url="https://developer.woox.io/api-reference/websocket_introduction",
        streams_per_connection=100,
        connections=100,
        new_connections=100,
        new_within_s=300.0,
        snapshot_weight=1.0,
        interest_weight=1.0,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What we want of a venue."""

    books: int
    streams: int
    """Of each book: depth, book ticker, trades, mark price, liquidations."""
    interest_every_s: float
    share_for_history: float = 0.25
    """Of the REST budget, left for candles, funding and tiers."""


def needs(venue: Venue, wanted: Wanted) -> dict[str, Any]:
    """Return connections, seconds and addresses that the books of a venue take.

    `addresses` is how many IP addresses its limits ask for: by open connections, and by the
    weight of asking for open interest again and again.
    """
    streams = wanted.books * wanted.streams
    each = venue.streams_per_connection
    connections = 1 if each is None else math.ceil(streams / each)
    budget = None if venue.requests is None else venue.requests * (1 - wanted.share_for_history)
    polls = wanted.books * venue.interest_weight * MINUTE_S / wanted.interest_every_s
    by_connections = 1 if venue.connections is None else math.ceil(connections / venue.connections)
    by_weight = 1 if budget is None else max(1, math.ceil(polls / budget))
    return {
        "venue": venue.name,
        "streams": streams,
        "connections": connections,
        "connect_s": _seconds(connections, venue.new_connections, venue.new_within_s),
        "snapshots_min": None
        if budget is None
        else round(wanted.books * venue.snapshot_weight / budget, 2),
        "interest_weight_per_min": round(polls, 1),
        "weight_per_min": budget,
        "addresses": max(by_connections, by_weight),
        "page": venue.page,
        "url": venue.url,
    }


def _seconds(connections: int, at_once: int | None, within_s: float) -> float | None:
    """Return how long opening takes: so many at once, the next after the span."""
    return None if at_once is None else (math.ceil(connections / at_once) - 1) * within_s
