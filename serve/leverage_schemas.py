"""What the API advises on leverage: gross notional over equity (docs/leverage.md)."""

from pydantic import Field

from serve.schemas import Answer, Missing, OfMarket


class Caps(Answer):
    """Each cap's leverage; null is unknown, or does not bind at all if `unbounded` names it."""

    volatility_target: float | None = Field(
        None, description="By the volatility that is aimed at.", examples=[1.4]
    )
    margin_survival: float | None = Field(
        None, description="By an adverse day and the exit after it.", examples=[11.3]
    )
    liquidity: float | None = Field(
        None, description="By what can be left at once.", examples=[46.4]
    )
    portfolio: float | None = Field(
        None, description="By the budget of expected shortfall.", examples=[3.1]
    )
    venue_maximum: float | None = Field(None, description="By the tiers.", examples=[50.0])


class AdviceInputs(Answer):
    """What the caps were computed from."""

    equity: float | None = Field(None, description="Quote currency.", examples=[20145.2])
    equity_source: str = Field(description="given, portfolio or reference.", examples=["portfolio"])
    drawdown: float | None = Field(None, description="Fraction of the peak.", examples=[0.02])
    sigma_per_sqrt_hour: float | None = Field(
        None, description="Volatility per square root of an hour.", examples=[0.006]
    )
    es_975_1d: float | None = Field(
        None,
        description="ES 97.5 % of a day, adverse side, fraction of the price.",
        examples=[0.08],
    )
    daily_volume: float | None = Field(None, description="Quote currency.", examples=[1.2e9])
    liquidity_score: float | None = Field(
        None, description="Of the side that an exit takes.", examples=[0.8]
    )
    book_notional: float | None = Field(
        None, description="Of that side, quote currency.", examples=[4.1e7]
    )
    funding_1d: float | None = Field(
        None, description="Fraction of notional; above 0: paid.", examples=[0.0003]
    )
    taker_fee: float = Field(description="Fraction of notional.", examples=[0.0005])
    maximum_leverage: float | None = Field(
        None, description="Of the venue's first tier.", examples=[125.0]
    )
    tiers_hash: str | None = Field(
        None, description="Names the tiers that were used.", examples=["0f3a9c2b1d4e5f60"]
    )
    no_tiers: str | None = Field(
        None,
        description="Why there are no tiers.",
        examples=["Expected tiers of binance, were none."],
    )


class Advice(Answer):
    """How much leverage is allowed now, by what, and what is held of it after the steps."""

    leverage: float | None = Field(
        None, description="Gross notional over equity; null if missing says why.", examples=[1.4]
    )
    binding: str | None = Field(
        None, description="The least cap, or drawdown.", examples=["liquidity"]
    )
    caps: Caps = Field(description="Each of them.")
    unbounded: list[str] = Field(
        default_factory=list, description="Caps that do not bind at all.", examples=[["portfolio"]]
    )
    throttle: float | None = Field(
        None, description="What the drawdown leaves, 0 to 1.", examples=[1.0]
    )
    missing: Missing
    held: float | None = Field(None, description="After hysteresis and step limit.", examples=[1.4])
    action: str = Field(
        description="started, held, raised, cut, cooling or unknown.", examples=["held"]
    )
    cut_ns: int | None = Field(
        None, description="Last cut, ns UTC.", examples=[1723111200000000000]
    )
    raised_ns: int | None = Field(
        None, description="Last raise, ns UTC.", examples=[1723111200000000000]
    )
    inputs: AdviceInputs | None = Field(None, description="What the caps were computed from.")


class LeverageOfSymbol(OfMarket):
    """Leverage advice for one symbol, either way."""

    portfolio: str = Field(description="Name of the portfolio.", examples=["main"])
    mark_price: float | None = Field(None, description="Quote currency.", examples=[57246.31])
    model: str = Field(description="Model of the scenarios.", examples=["fhs"])
    history_as_of: int | None = Field(
        None, description="End of the price history, ns UTC.", examples=[1723107600000000000]
    )
    long: Advice = Field(description="For a long.")
    short: Advice = Field(description="For a short.")
