"""What the measures of a market answer, under the names that the library gives them.

Formulas, units and ranges are in docs/measures.md.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue

from serve.schemas import Answer, OfBook, OfMarket, Price

MISSING_EXAMPLE = "12 of 50 volume buckets"

BidTruncated = Annotated[
    bool | None,
    Field(
        description="The known bids end within the range, so figures are lower bounds.",
        examples=[False],
    ),
]
AskTruncated = Annotated[
    bool | None,
    Field(
        description="The known asks end within the range, so figures are lower bounds.",
        examples=[False],
    ),
]


def _text_keys(value: Any) -> Any:
    """JSON has only text keys: 10000.0 becomes "10000", 2.5 stays "2.5"."""
    if not isinstance(value, dict):
        return value
    return {
        str(int(key)) if isinstance(key, float) and key.is_integer() else str(key): item
        for key, item in value.items()
    }


TextKeys = BeforeValidator(_text_keys)


class Depth(Answer):
    """Resting notional within a distance from mid."""

    bid: float | None = Field(
        None, description="Notional of bids, quote currency.", examples=[1840211.5]
    )
    ask: float | None = Field(
        None, description="Notional of asks, quote currency.", examples=[1622094.2]
    )
    bid_truncated: BidTruncated = None
    ask_truncated: AskTruncated = None


class FillCost(Answer):
    """What a market order would pay; prices are null unless the known book fills it whole."""

    vwap: Price = Field(None, examples=[57245.31])
    slippage_bps: float | None = Field(
        None, description="Cost against mid, basis points.", examples=[0.0279]
    )
    worst_price: Price = Field(None, examples=[57246.0])
    levels: int | None = Field(None, description="Levels it would touch.", examples=[4])
    fill_ratio: float | None = Field(
        None, description="Share that the known book can fill, 0 to 1.", examples=[1.0]
    )
    truncated: bool | None = Field(
        None, description="It reaches beyond the range that is known.", examples=[False]
    )


class RoundTrip(Answer):
    """The cost of both sides at one size."""

    buy: FillCost = Field(description="Taking asks.")
    sell: FillCost = Field(description="Taking bids.")
    round_trip_bps: float | None = Field(
        None,
        description="Buying and selling at once, basis points of mid; null unless both fill.",
        examples=[0.0558],
    )
    truncated: bool | None = Field(
        None, description="One of both reaches beyond the range that is known.", examples=[False]
    )


class NotionalWithin(Answer):
    """The largest order that stays within a slippage."""

    buy: float | None = Field(
        None, description="Notional bought, quote currency.", examples=[1204551.9]
    )
    sell: float | None = Field(
        None, description="Notional sold, quote currency.", examples=[1410207.3]
    )
    buy_truncated: AskTruncated = None
    sell_truncated: BidTruncated = None


class ScoreComponents(Answer):
    """The parts of a liquidity score, each 0 to 1; one half equals the reference."""

    volume: float | None = Field(
        None, description="Volume of 24 hours; null while unknown.", examples=[0.98]
    )
    spread: float | None = Field(None, description="Quoted spread.", examples=[0.983])
    depth: float | None = Field(
        None, description="The smaller depth within 10 bps.", examples=[0.619]
    )
    cost_small: float | None = Field(
        None, description="Round trip of 100,000 quote currency.", examples=[0.947]
    )
    cost_large: float | None = Field(
        None, description="Round trip of 1,000,000 quote currency.", examples=[0.871]
    )


class SideScore(Answer):
    """A liquidity score and its parts."""

    score: float | None = Field(
        None, description="0 to 1, with the volume of 24 hours.", examples=[0.86]
    )
    score_book: float | None = Field(
        None, description="0 to 1, of the book alone.", examples=[0.83]
    )
    components: ScoreComponents | None = Field(None, description="Its parts; null without a book.")


class LiquidityScore(SideScore):
    """How easily a market takes an order, 0 to 1, and the same of each side."""

    bid: SideScore | None = Field(None, description="What a seller meets.")
    ask: SideScore | None = Field(None, description="What a buyer meets.")
    truncated: bool | None = Field(
        None,
        description="An input reaches beyond the range that is known: a lower bound.",
        examples=[False],
    )


class BookSlope(Answer):
    """How fast quantity builds up away from the best prices."""

    quoted_slope: float | None = Field(
        None, description="Spread over log quantities, quote currency.", examples=[0.0061]
    )
    bid_slope: float | None = Field(
        None, description="Of the best 10 bids, a plain number.", examples=[812345.6]
    )
    ask_slope: float | None = Field(
        None, description="Of the best 10 asks, a plain number.", examples=[798110.2]
    )
    book_slope: float | None = Field(None, description="Mean of both sides.", examples=[805227.9])
    bid_elasticity: float | None = Field(
        None, description="Bids within 25 bps, quote currency per bp.", examples=[182340.1]
    )
    ask_elasticity: float | None = Field(
        None, description="Asks within 25 bps, quote currency per bp.", examples=[176422.8]
    )
    truncated: bool | None = Field(
        None,
        description="The elasticity reaches beyond the range that is known: a lower bound.",
        examples=[False],
    )


DepthBands = Annotated[
    dict[str, Depth],
    TextKeys,
    Field(description="Resting notional by distance from mid, basis points."),
]
CostCurve = Annotated[
    dict[str, RoundTrip], TextKeys, Field(description="Cost to fill by size, quote currency.")
]
SpreadBps = Annotated[
    float | None, Field(description="Spread over mid, basis points.", examples=[0.0175])
]
Mid = Annotated[
    float | None,
    Field(description="Mean of best bid and best ask, quote currency.", examples=[57245.15]),
]
Values = dict[str, JsonValue]


class Analysis(OfBook):
    """All measures of one market."""

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
    spread_bps: SpreadBps = None
    mid: Mid = None
    weighted_mid: float | None = Field(
        None,
        description="Mid weighted by the quantity on the other side, quote currency.",
        examples=[57245.163],
    )
    crossed: bool | None = Field(
        None, description="Best bid at or above best ask.", examples=[False]
    )
    imbalance: Annotated[dict[str, float | None], TextKeys] = Field(
        {},
        description="Queue imbalance, -1 to 1, by the number of levels a side.",
        examples=[{"1": 0.263, "5": -0.041, "20": 0.118}],
    )
    depth: DepthBands = Field({})
    cost: CostCurve = Field({})
    measures: dict[str, Values] = Field(
        {},
        description="Every value by measure; units are in the names, else in docs/measures.md.",
        examples=[{"vpin": {"vpin": None, "full_buckets": 12, "fill_ratio": 0.24}}],
    )
    missing: dict[str, dict[str, str]] = Field(
        {},
        description="What a value that is null still needs, by measure and value.",
        examples=[{"vpin": {"vpin": MISSING_EXAMPLE}}],
    )


class MarketDepth(OfBook):
    """How much stands where in a book, and what taking it costs."""

    timestamp: int | None = Field(
        None,
        description="Exchange's clock at the newest update, ns since 1970 UTC.",
        examples=[1723111200123000000],
    )
    mid: Mid = None
    spread_bps: SpreadBps = None
    known_range: tuple[float, float] | None = Field(
        None,
        description="Prices between which the book is complete, quote currency.",
        examples=[[57011.4, 57480.2]],
    )
    depth: DepthBands = Field({})
    cost: CostCurve = Field({})
    notional_within_slippage: Annotated[dict[str, NotionalWithin], TextKeys] = Field(
        {}, description="The largest order by its slippage, basis points."
    )
    book_slope: BookSlope = Field(description="How fast quantity builds up.")
    static_pressure: float | None = Field(
        None,
        description="Bids over asks within 5, 10 and 25 bps, -1 to 1.",
        examples=[0.063],
    )
    distance_weighted_imbalance: dict[str, float | None] = Field(
        {},
        description="Bids over asks, weighted by nearness to mid, -1 to 1, by decay length.",
        examples=[{"length_5_bps": 0.081}],
    )
    liquidity_score: LiquidityScore = Field(description="How easily the market takes an order.")
    resiliency: Values = Field(
        {},
        description="How fast depth comes back after trades took it; units are in the names.",
        examples=[{"bid_half_life_s": 4.2, "ask_half_life_s": None}],
    )


class Liquidity(OfBook):
    """What an order of one size meets in a book."""

    notional: float = Field(
        description="The size that was asked for, quote currency.", examples=[100000.0]
    )
    mid: Mid = None
    spread_bps: SpreadBps = None
    round_trip_bps: float | None = Field(
        None,
        description="Buying and selling at once, basis points of mid; null unless both fill.",
        examples=[0.0558],
    )
    truncated: bool | None = Field(
        None, description="A fill reaches beyond the range that is known.", examples=[False]
    )
    buy: FillCost = Field(description="Taking asks.")
    sell: FillCost = Field(description="Taking bids.")
    depth: DepthBands = Field({})
    liquidity_score: LiquidityScore = Field(description="How easily the book takes an order.")


class Wall(Answer):
    """A price bucket that stands out of its side of the book, and stays."""

    side: Literal["bid", "ask"] = Field(description="Side of the book.", examples=["bid"])
    price: Price = Field(description="Of its largest level, quote currency.", examples=[57200.0])
    low: Price = Field(description="Lowest price of its bucket.", examples=[57198.2])
    high: Price = Field(description="Highest price of its bucket.", examples=[57203.8])
    notional: float = Field(description="What rests there, quote currency.", examples=[2450110.0])
    share: float = Field(
        description="Of its side's notional within 50 bps, 0 to 1.", examples=[0.21]
    )
    z_score: float | None = Field(
        None, description="Robust z-score of its log notional.", examples=[4.1]
    )
    age_s: float = Field(description="How long it has held, or had, seconds.", examples=[41.3])
    persistence: float = Field(
        description="Share of the last 10 s in which it held, 0 to 1.", examples=[0.97]
    )
    distance_bps: float = Field(description="From mid to its price, basis points.", examples=[7.9])
    strength: float = Field(
        description="Share, persistence and nearness together, 0 to 1.", examples=[0.148]
    )
    times_tested: int = Field(
        description="How often the best price came within 1 bp.", examples=[2]
    )
    traded_notional: float = Field(
        description="Traded there since it held, quote currency.", examples=[51200.0]
    )
    traded_through: bool = Field(description="A trade went beyond it.", examples=[False])
    outcome: Literal["standing", "consumed", "pulled", "faded", "left"] = Field(
        description="How it ended: traded away, taken away, outgrown, or out of range.",
        examples=["standing"],
    )
    pulled: bool = Field(description="It was taken away, not traded away.", examples=[False])


class WallList(OfMarket):
    """The walls that stand, and how those before them ended."""

    walls: list[Wall] | None = Field(
        None, description="Standing now, strongest first; null before a first look.", examples=[[]]
    )
    ended: list[Wall] = Field([], description="The last ten that ended, newest first.")
    bid_truncated: BidTruncated = None
    ask_truncated: AskTruncated = None
    removed_walls: int = Field(
        0, description="Consumed or pulled, of the last 256 that ended.", examples=[14]
    )
    pulled_rate: float | None = Field(
        None, description="Share of these that were pulled, 0 to 1.", examples=[0.64]
    )
    cancel_before_touch_rate: float | None = Field(
        None, description="Share pulled before prices came near, 0 to 1.", examples=[0.36]
    )
    lifetime_q25_s: float | None = Field(
        None, description="A quarter of them lived no longer, seconds.", examples=[6.2]
    )
    lifetime_median_s: float | None = Field(
        None, description="Half of them lived no longer, seconds.", examples=[14.8]
    )
    lifetime_q75_s: float | None = Field(
        None, description="Three quarters lived no longer, seconds.", examples=[52.0]
    )
    missing: dict[str, str] = Field(
        {},
        description="What a value that is null still needs.",
        examples=[{"pulled_rate": "3 of 10 removed walls"}],
    )


class Cluster(Answer):
    """A stretch of price in which large levels lie close together."""

    side: Literal["bid", "ask"] = Field(description="Side of the book.", examples=["ask"])
    price: Price = Field(description="Centre of mass, quote currency.", examples=[57310.4])
    low: Price = Field(description="Its lowest price, quote currency.", examples=[57300.0])
    high: Price = Field(description="Its highest price, quote currency.", examples=[57322.1])
    notional: float = Field(description="What rests there, quote currency.", examples=[1980442.0])
    levels: int = Field(description="Levels in it.", examples=[18])
    share: float = Field(
        description="Of its side's notional within 50 bps, 0 to 1.", examples=[0.17]
    )
    distance_bps: float = Field(
        description="From mid to its centre, basis points.", examples=[11.4]
    )
    round_number: bool = Field(
        description="Its largest level lies on a round price.", examples=[True]
    )


class ClusterList(OfMarket):
    """The clusters of both sides."""

    clusters: list[Cluster] | None = Field(
        None,
        description="Bids then asks, from mid outward; null before a first look.",
        examples=[[]],
    )
    bid_truncated: BidTruncated = None
    ask_truncated: AskTruncated = None
    missing: dict[str, str] = Field(
        {},
        description="What a value that is null still needs.",
        examples=[{"clusters": "a first look at the book"}],
    )


class MeasureValues(OfMarket):
    """One measure alone."""

    measure: str = Field(description="Its name.", examples=["vpin"])
    values: Values = Field(
        description="What it knows; units are in the names, else in docs/measures.md.",
        examples=[{"vpin": None, "full_buckets": 12, "fill_ratio": 0.24}],
    )
    missing: dict[str, str] = Field(
        {},
        description="What a value that is null still needs.",
        examples=[{"vpin": MISSING_EXAMPLE}],
    )
