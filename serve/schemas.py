"""What the API takes and gives. Units are in every description; null means unknown.

Times are nanoseconds since 1970 UTC, prices and notionals are in quote currency, quantities
in the exchange's own unit (base units, or contracts). NaN never leaves: it becomes null.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Price = Annotated[float | None, Field(description="Quote currency per base unit.")]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Missing = Annotated[
    list[str],
    Field(
        default_factory=list,
        description="What null values lack.",
        examples=[["mark price of binance:BTC-USDT-PERP"]],
    ),
]


class Answer(BaseModel):
    """Whatever the actors add beyond these fields is left out."""

    model_config = ConfigDict(extra="ignore")


class Freshness(Answer):
    """How old an answer is. Lists carry it per item, and of their oldest item at the top."""

    ts_event: int | None = Field(
        None,
        description="Exchange's clock at the newest update, ns since 1970 UTC.",
        examples=[1723111200123000000],
    )
    ts_recv: int | None = Field(
        None,
        description="Our clock when it was received, ns since 1970 UTC.",
        examples=[1723111200125421337],
    )
    age_ms: float | None = Field(
        None, description="Milliseconds from ts_recv to this answer.", examples=[12.481]
    )
    stale: bool = Field(
        description="True if the book is not known to be in step with the exchange.",
        examples=[False],
    )
    stale_reason: str | None = Field(
        None, description="Why it is stale, in words.", examples=["no update for 12.3 s"]
    )


class Summary(Freshness):
    """Where one symbol on one exchange stands."""

    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    exchange: str = Field(description="Where it is traded.", examples=["binance"])
    status: Literal["connecting", "buffering", "synced", "resync", "disconnected"] = Field(
        description="State of its feed; a book is exact only while synced.", examples=["synced"]
    )
    sequence: int | None = Field(
        None, description="Exchange's id of the last update applied.", examples=[5061243786412]
    )
    tick_size: float | None = Field(None, description="Smallest step of a price.", examples=[0.1])
    best_bid: Price = Field(None, examples=[57245.1])
    best_bid_quantity: float | None = Field(
        None, description="Quantity at the best bid.", examples=[3.211]
    )
    best_ask: Price = Field(None, examples=[57245.2])
    best_ask_quantity: float | None = Field(
        None, description="Quantity at the best ask.", examples=[1.874]
    )
    spread: float | None = Field(
        None, description="Best ask less best bid, quote currency.", examples=[0.1]
    )
    spread_bps: float | None = Field(
        None, description="Spread over mid, basis points.", examples=[0.0175]
    )
    mid: float | None = Field(
        None, description="Mean of best bid and best ask, quote currency.", examples=[57245.15]
    )
    weighted_mid: float | None = Field(
        None,
        description="Mid weighted by the quantity on the other side, quote currency.",
        examples=[57245.163],
    )
    imbalance_1: float | None = Field(
        None, description="Queue imbalance at the best level, -1 to 1.", examples=[0.263]
    )
    imbalance_5: float | None = Field(
        None, description="Queue imbalance over 5 levels a side, -1 to 1.", examples=[-0.041]
    )
    imbalance_20: float | None = Field(
        None, description="Queue imbalance over 20 levels a side, -1 to 1.", examples=[0.118]
    )
    last_price: Price = Field(None, examples=[57245.2])
    mark_price: Price = Field(None, examples=[57246.31])
    index_price: Price = Field(None, examples=[57271.08])
    funding_rate: float | None = Field(
        None, description="Rate of the coming funding, per interval.", examples=[0.0001]
    )
    next_funding_ts: int | None = Field(
        None, description="When it is paid, ns since 1970 UTC.", examples=[1723132800000000000]
    )
    open_interest: float | None = Field(
        None, description="Open interest, base units or contracts.", examples=[78123.4]
    )
    volume_24h: float | None = Field(
        None,
        description="Traded in the last 24 hours as the exchange states it, base units.",
        examples=[312044.7],
    )
    turnover_24h: float | None = Field(
        None, description="The same in quote currency.", examples=[17861438000.0]
    )
    messages: int | None = Field(None, description="Messages applied.", examples=[18231])
    level_updates: int | None = Field(None, description="Levels set or removed.", examples=[912345])
    trades: int | None = Field(None, description="Trades received.", examples=[4021])
    gaps: int | None = Field(None, description="Sequence gaps found.", examples=[0])
    resyncs: int | None = Field(
        None, description="Times the book was rebuilt from a snapshot.", examples=[0]
    )
    dropped: int | None = Field(None, description="Events dropped under load.", examples=[0])
    audit_equal: int | None = Field(
        None, description="Times our top of book equalled the exchange's own.", examples=[6547]
    )
    audit_different: int | None = Field(
        None, description="Times it differed: anything but 0 is a defect.", examples=[0]
    )


class SymbolList(Freshness):
    """All symbols, with the freshness of the oldest at the top."""

    count: int = Field(description="How many items follow.", examples=[10])
    symbols: list[Summary] = Field(description="One per exchange and symbol, by name.")


class OfMarket(Freshness):
    """Whose answer it is."""

    symbol: str = Field(examples=["BTC-USDT-PERP"], description="Our name of the instrument.")
    exchange: str = Field(examples=["binance"], description="Where it is traded.")


class OfBook(OfMarket):
    """Whose book it is, and as of which update."""

    sequence: int | None = Field(
        None, description="Exchange's id of the last update applied.", examples=[5061243786412]
    )


class Book(OfBook):
    """Levels of one book, best first."""

    bids: list[tuple[float, float]] = Field(
        description="[price, quantity], highest price first.",
        examples=[[[57245.1, 3.211], [57245.0, 0.042]]],
    )
    asks: list[tuple[float, float]] = Field(
        description="[price, quantity], lowest price first.",
        examples=[[[57245.2, 1.874], [57245.3, 0.5]]],
    )
    known_range: tuple[float, float] | None = Field(
        None,
        description="Prices between which the book is complete, as its snapshot revealed; "
        "null where it is complete everywhere or the range is unknown.",
        examples=[[57011.4, 57480.2]],
    )
    book_hash: str | None = Field(
        None,
        description="Hash over all levels; equal books have equal hashes.",
        examples=["b1946ac92492d234"],
    )


class OpenPosition(BaseModel):
    """What every position that is set says of itself."""

    model_config = ConfigDict(extra="forbid")

    symbol: str = Field(
        description="A symbol of /v1/symbols.", examples=["BTC-USDT-PERP"], max_length=64
    )
    quantity: Finite = Field(
        description="Exchange's unit (base units, or contracts); below 0 is short.",
        examples=[-0.5],
        ge=-1e15,
        le=1e15,
    )
    entry_price: Finite = Field(
        description="Average price paid, quote currency.", examples=[57100.5], gt=0, le=1e15
    )
    leverage: Finite | None = Field(
        None,
        description="1 to 125; unset: the default of the settings.",
        examples=[10],
        ge=1,
        le=125,
    )


class PositionIn(OpenPosition):
    """One position as it is set."""

    exchange: str | None = Field(
        None,
        description="Needed only where several exchanges list the symbol.",
        examples=["binance"],
        max_length=64,
    )


class PositionsIn(BaseModel):
    """All positions: what is not listed is closed."""

    model_config = ConfigDict(extra="forbid")

    positions: list[PositionIn] = Field(description="At most 1000.", max_length=1000)
    wallet_balance: Finite | None = Field(
        None,
        description="Wallet of the one account that holds them, settlement asset; unset: unknown.",
        examples=[20000],
        ge=-1e15,
        le=1e15,
    )


class Position(Freshness):
    """One position, valued at its book."""

    account: str | None = Field(None, description="The account.", examples=["binance"])
    symbol: str = Field(examples=["BTC-USDT-PERP"], description="Our name of the instrument.")
    exchange: str = Field(examples=["binance"], description="Where it is held.")
    quantity: float = Field(description="Below 0 is short.", examples=[-0.5])
    entry_price: float = Field(description="Quote currency per base unit.", examples=[57100.5])
    leverage: float | None = Field(None, description="Leverage in use.", examples=[10.0])
    mark_price: Price = Field(None, examples=[57246.31])
    notional: float | None = Field(
        None, description="Signed value at the mark, quote currency.", examples=[-28623.2]
    )
    unrealized_pnl: float | None = Field(
        None, description="Gain since entry, quote currency.", examples=[-72.9]
    )
    margin_used: float | None = Field(
        None, description="Notional over leverage, quote currency.", examples=[2862.32]
    )
    missing: Missing


class Portfolio(Freshness):
    """All positions and their totals, in quote currency; null where a price is unknown."""

    count: int = Field(description="How many positions follow.", examples=[1])
    positions: list[Position] = Field(description="Ordered as they were set.")
    gross_notional: float | None = Field(
        None, description="Sum of absolute notionals.", examples=[28623.2]
    )
    net_notional: float | None = Field(
        None, description="Sum of signed notionals.", examples=[-28623.2]
    )
    unrealized_pnl: float | None = Field(
        None, description="Sum of gains since entry.", examples=[-72.9]
    )
    margin_used: float | None = Field(None, description="Sum of margins.", examples=[2862.32])
    portfolio: str | None = Field(None, description="Its id.", examples=["main"])
    saved: bool = Field(
        False,
        description="Whether it is in the database as it is now, and so survives a restart.",
        examples=[True],
    )
    at_par: list[str] = Field(
        default_factory=list,
        description="Currencies that were counted as one.",
        examples=[["USDC", "USDT"]],
    )
    currency: str | None = Field(
        None, description="Of the totals; null if they would add up several.", examples=["USDT"]
    )
    missing: Missing


class StoreHealth(Answer):
    """How far the database is behind, all writers together."""

    state: Literal["ok", "behind", "degraded"] = Field(
        description="behind: rows come faster than the database takes them; degraded: it is "
        "away, or the spool is full.",
        examples=["ok"],
    )
    reason: str = Field(
        description="What is wrong, and what to do; empty if nothing.", examples=[""]
    )
    behind_s: float = Field(
        description="How long the oldest row waits for the database, s.", examples=[0.4]
    )
    rows_pending: int = Field(description="Rows that wait, safe in the spool.", examples=[12000])
    spool_bytes: int = Field(description="Size of the spool on disk.", examples=[8388608])
    spool_limit_bytes: int = Field(
        description="Its bound; full, no more rows are taken.", examples=[10240000000]
    )


class FleetStats(Freshness):
    """Counters of the whole fleet since its start; freshness is that of its oldest book."""

    model_config = ConfigDict(extra="allow")

    symbols: int | None = Field(None, description="Books watched.", examples=[10])
    stale_symbols: int | None = Field(None, description="Of these, not fresh.", examples=[0])
    messages: int | None = Field(None, description="Messages applied.", examples=[182310])
    level_updates: int | None = Field(
        None, description="Levels set or removed.", examples=[9123456]
    )
    trades: int | None = Field(None, description="Trades received.", examples=[40210])
    gaps: int | None = Field(None, description="Sequence gaps found.", examples=[0])
    resyncs: int | None = Field(None, description="Books rebuilt from a snapshot.", examples=[0])
    dropped: int | None = Field(None, description="Events dropped under load.", examples=[0])
    rows_written: int | None = Field(
        None, description="Rows accepted by the database.", examples=[512340]
    )
    store: StoreHealth | None = Field(
        None, description="How the store does; null until it has told."
    )
    p50_ms: float | None = Field(
        None, description="Median, socket to published analysis, ms.", examples=[0.6]
    )
    p99_ms: float | None = Field(
        None, description="99th percentile of the same, ms.", examples=[4.8]
    )


class Health(Answer):
    """The process answers."""

    status: Literal["alive"] = Field("alive", description="Always alive, or no answer comes.")


class Readiness(Freshness):
    """Whether the data may be relied upon."""

    ready: bool = Field(description="Enough books are fresh.", examples=[True])
    books: int = Field(description="Books watched.", examples=[10])
    fresh: int = Field(description="Books that are fresh.", examples=[10])
    required_share: float = Field(description="Share that has to be fresh.", examples=[0.95])
    not_fresh: list[str] = Field(
        description="The others, as exchange:symbol.", examples=[["binance:BTC-USDT-PERP"]]
    )


class ProblemDetails(BaseModel):
    """RFC 9457; members beyond these depend on the type."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Name of the problem.", examples=["urn:alphaplus:problem:unknown-symbol"]
    )
    title: str = Field(description="The same in words.", examples=["Unknown symbol"])
    status: int = Field(description="HTTP status.", examples=[404])
    detail: str = Field(
        description="One sentence with the remedy.",
        examples=["The symbol 'BTCUSDT' is not watched; did you mean BTC-USDT-PERP?"],
    )
    instance: str = Field(description="Path of the request.", examples=["/v1/symbols/BTCUSDT"])


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for the documentation."""
    meaning = {
        404: "Unknown symbol, measure, portfolio, position or table",
        406: "No format of the Accept header can be given",
        409: "The fleet, as it is now, cannot do what it is told",
        413: "Body too large",
        422: "Invalid request",
        429: "Too many requests; see Retry-After",
        503: "Stale, restarting or not ready; see Retry-After",
    }
    content = {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}}
    return {
        status: {"description": meaning[status], "content": content}
        for status in sorted({*statuses, 429, 503})
    }
