"""What the API gives of liquidations. What was realised and what is estimated never mix."""

from typing import Any, Literal

from pydantic import Field

from serve.schemas import Answer, OfMarket, Price

Side = Literal["long", "short"]
Status = Literal["ok", "stale"]


class RealisedLiquidation(Answer):
    """One liquidation that the exchange reported."""

    ts_event: int = Field(
        description="Exchange's clock, ns since 1970 UTC.", examples=[1723111200123000000]
    )
    side: Side = Field(description="Of the position that was closed.", examples=["long"])
    price: float = Field(
        description="Limit of the order that closed it, quote currency.", examples=[57102.4]
    )
    quantity: float = Field(description="Base units.", examples=[0.418])
    usd: float = Field(description="Price times quantity, quote currency.", examples=[23868.8])
    sampled: bool = Field(
        description="The source reports at most one liquidation per symbol and second.",
        examples=[True],
    )


class SideTotal(Answer):
    """What was reported of one side within a window."""

    count: int = Field(description="Reports.", examples=[12])
    quantity: float = Field(description="Base units.", examples=[3.71])
    usd: float = Field(description="Quote currency.", examples=[211902.5])


class WindowTotal(Answer):
    """What was reported within the last so many seconds."""

    window_s: float = Field(description="Length of the window, seconds.", examples=[3600.0])
    long: SideTotal = Field(description="Longs that were closed.")
    short: SideTotal = Field(description="Shorts that were closed.")
    at_least: bool = Field(description="The truth may be more.", examples=[True])
    reason: str | None = Field(
        None,
        description="Why it may be more.",
        examples=["the source reports at most one order per second"],
    )


class Realised(Answer):
    """Liquidations that the exchange reported."""

    newest: list[RealisedLiquidation] = Field(description="Newest first.")
    totals: list[WindowTotal] = Field(description="By window, shortest first.")
    reported: int = Field(description="Reports since the start.", examples=[148])
    rejected: int = Field(
        description="Reports without a price, a quantity or a side, left out.", examples=[0]
    )


class EstimatedLevel(Answer):
    """A price at which positions are presumed to be liquidated."""

    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    exchange: str = Field(description="Where the positions are presumed.", examples=["binance"])
    price_level: float = Field(description="Quote currency.", examples=[54817.9])
    side: Side = Field(description="Of the positions.", examples=["long"])
    quantity: float = Field(description="Base units.", examples=[18.2])
    timestamp: int = Field(
        description="Newest sample in it, ns since 1970 UTC.", examples=[1723111200000000000]
    )
    risk_score: float = Field(
        description="Share of the whole map's value, 0 to 1.", examples=[0.041]
    )
    distance_from_price: float = Field(
        description="Level over mark price, less 1; below 0 for longs.", examples=[-0.0424]
    )


class RealisedHits(Answer):
    """How well the map placed the liquidations that were then reported."""

    scored: int = Field(description="Reports that were held against the map.", examples=[31])
    unscored: int = Field(
        description="Reports while the map was stale or empty, or out of its band.", examples=[4]
    )
    hits: int = Field(description="Scored ones with levels at their price.", examples=[22])
    hit_rate: float | None = Field(None, description="Hits over scored, 0 to 1.", examples=[0.71])
    lift: float | None = Field(
        None,
        description="Value at their prices over that of shuffled levels; 1 is chance.",
        examples=[1.8],
    )
    baseline: str = Field(
        description="What the lift compares with.",
        examples=["levels shuffled over the bins of the band"],
    )
    band: float = Field(
        description="Part of the price around the mark that is compared.", examples=[0.05]
    )
    tolerance_bins: int = Field(description="Bins beside the price that count.", examples=[1])


class Estimated(Answer):
    """Levels at which others may be liquidated: an estimate, see docs/liquidations.md."""

    status: Status = Field(description="Levels are withheld while stale.", examples=["ok"])
    reason: str | None = Field(
        None, description="Why they are withheld.", examples=["no leverage tiers yet"]
    )
    mark_price: Price = Field(None, examples=[57246.31])
    levels: list[EstimatedLevel] | None = Field(
        None, description="The largest ones, nearest first; null while stale."
    )
    assumptions_id: int | None = Field(
        None, description="What they assume, see the map.", examples=[4611686018427387904]
    )
    realised_hits: RealisedHits | None = Field(
        None, description="How good the map has been; null without one."
    )


class Liquidations(OfMarket):
    """What was liquidated and, apart from it, what may be nearest."""

    realised: Realised = Field(description="Reported by the exchange.")
    estimated: Estimated = Field(description="Estimated by us.")


class LiquidationMap(OfMarket):
    """The estimated map over the last bars; null fields are withheld, not empty."""

    status: Status = Field(description="The map is withheld while stale.", examples=["ok"])
    reason: str | None = Field(
        None, description="Why it is withheld.", examples=["unknown: open_interest"]
    )
    estimate: Literal[True] = Field(description="It is never more than that.")
    mark_price: Price = Field(None, examples=[57246.31])
    x_axis: list[int] | None = Field(
        None, description="End of each bar, ns since 1970 UTC.", examples=[[1723111200000000000]]
    )
    y_axis: list[float] | None = Field(
        None, description="Prices, ascending, quote currency.", examples=[[54817.9, 54872.7]]
    )
    cells: list[tuple[int, int, float]] | None = Field(
        None,
        description="[place on x_axis, place on y_axis, value in quote currency]. Below the "
        "candle's close stand longs, above it shorts.",
        examples=[[[0, 1, 998310.2]]],
    )
    candles: list[tuple[int, float, float, float, float]] | None = Field(
        None,
        description="[end of the bar, open, high, low, close] of the mark price.",
        examples=[[[1723111200000000000, 57201.0, 57260.3, 57188.1, 57246.3]]],
    )
    shown: list[float] | None = Field(
        None, description="Share of each bar's value that its cells show.", examples=[[1.0]]
    )
    consumed_usd: dict[str, float] | None = Field(
        None,
        description="Value of levels that the mark has reached, by side, quote currency.",
        examples=[{"long": 120331.0, "short": 0.0}],
    )
    cohorts: dict[str, dict[str, float]] | None = Field(
        None,
        description="Quantity that stands, by side and leverage, in the unit of the open interest "
        "(base units, or quote currency for inverse contracts).",
        examples=[{"long": {"10.0": 41.2}, "short": {"10.0": 30.1}}],
    )
    assumptions: dict[str, Any] | None = Field(
        None,
        description="All that the map assumes: leverage prior, split rule, typical size, tiers, "
        "bins, decay, window, coverage; null only without leverage tiers.",
        examples=[{"prior": [[10.0, 0.3]], "tier_source": "binance", "coverage": {"long": 0.2}}],
    )
    confidence: float | None = Field(
        None,
        description="Share of the open interest that is mapped, of the lesser side, 0 to 1.",
        examples=[0.18],
    )
    realised_hits: RealisedHits | None = Field(
        None, description="How good the map has been; null without one."
    )
