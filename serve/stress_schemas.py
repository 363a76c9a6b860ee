"""What a stress run takes over HTTP and gives; alphaplus/portfolio/stress_order.py checks the rest.

Shocks are fractions, values in quote currency; null means unknown, and `missing` says why.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.schemas import Answer, Finite, Freshness


class GridIn(BaseModel):
    """Every shock x depth x correlation is run, at most 125 of them."""

    model_config = ConfigDict(extra="forbid")

    shocks: list[Finite] = Field(
        description="Simple returns of the reference.", examples=[[-0.1, -0.2]], min_length=1
    )
    depths: list[Finite] = Field(
        [1.0], description="Shares of the depth that is left.", examples=[[1.0, 0.3]], min_length=1
    )
    correlations: list[Finite] = Field(
        [1.0], description="Of others with the reference.", examples=[[0.5, 1.0]], min_length=1
    )


class StressIn(BaseModel):
    """Exactly one of scenario, shocks (with or without common) and grid."""

    model_config = ConfigDict(extra="forbid")

    scenario: str | None = Field(
        None, description="A named scenario.", examples=["common_down_20"], max_length=64
    )
    shocks: dict[str, Finite] | None = Field(
        None,
        description="Simple returns by symbol, or by exchange:symbol.",
        examples=[{"BTC-USDT-PERP": -0.1}],
        max_length=1000,
    )
    common: Finite | None = Field(
        None, description="Simple return of all that shocks does not name.", examples=[-0.05]
    )
    grid: GridIn | None = Field(None, description="Many shocks at once.")
    reference: str | None = Field(
        None,
        description="Symbol that others are measured by; BTC-USDT-PERP.",
        max_length=64,
        examples=["BTC-USDT-PERP"],
    )
    depth: Finite | None = Field(
        None, description="Share of the depth that is left, with shocks; 1.", examples=[0.3]
    )
    insurance_fund: Finite | None = Field(
        None, description="Balance of each exchange's fund, quote currency; 0.", examples=[1e8]
    )
    levels: Literal["estimated", "none"] | None = Field(
        None,
        description="Whether estimated liquidation levels of others take part; estimated.",
        examples=["estimated"],
    )


Figures = dict[str, float | None]
Missing = dict[str, list[str]]


class StressedMarket(Answer):
    """One market after the shock."""

    exchange: str = Field(examples=["binance"], description="Where it is traded.")
    symbol: str = Field(examples=["BTC-USDT-PERP"], description="Our name of the instrument.")
    shock: float | None = Field(None, description="Return of the index.", examples=[-0.1])
    price: float | None = Field(None, description="Mark before.", examples=[57246.3])
    final_price: float | None = Field(None, description="After the cascade.", examples=[51120.9])
    total_move: float | None = Field(None, description="Farthest it went.", examples=[0.107])
    amplification: float | None = Field(None, description="Move by shock.", examples=[1.07])
    liquidated_long: float | None = Field(None, description="At the triggers.", examples=[2.1e7])
    liquidated_short: float | None = Field(None, description="At the triggers.", examples=[0.0])
    missing: list[str] = Field(description="Inputs that it lacks.", examples=[[]])


class StressedAccount(Answer):
    """One account of the portfolio after the shock."""

    name: str = Field(description="Its id.", examples=["binance"])
    exchange: str = Field(description="Where it is held.", examples=["binance"])
    state: str = Field(
        description="standing, liquidated, partly_liquidated or unknown.", examples=["standing"]
    )
    equity_before: float | None = Field(None, examples=[10_000.0], description="Quote currency.")
    equity_after: float | None = Field(None, examples=[6_480.0], description="Quote currency.")
    loss: float | None = Field(None, examples=[3_520.0], description="Below 0: a gain.")
    margin_ratio_before: float | None = Field(None, examples=[0.02], description="1: liquidation.")
    margin_ratio_after: float | None = Field(None, examples=[0.03], description="Of what stands.")
    liquidated_notional: float | None = Field(None, examples=[0.0], description="At final marks.")
    deleveraged_notional: float | None = Field(None, examples=[0.0], description="Closed by ADL.")
    missing: list[str] = Field(description="Inputs that it lacks.", examples=[[]])


class StressCell(Answer):
    """One combination of a grid."""

    shock: float = Field(description="Of the reference.", examples=[-0.1])
    depth: float = Field(description="Share of the depth that is left.", examples=[0.3])
    correlation: float = Field(description="Of others with the reference.", examples=[1.0])
    figures: Figures = Field(
        description="As of a single run.", examples=[{"portfolio_loss": 3520.0}]
    )
    missing: Missing = Field(
        description="By figure, the inputs that it lacks.",
        examples=[{"portfolio_loss": ["beta of binance:ETH-USDT-PERP"]}],
    )
    settled: bool = Field(description="Whether the cascade came to rest.")


class StressAnswer(Freshness):
    """A stress run, as fresh as the oldest market in it; of a grid only `cells`."""

    as_of: int = Field(
        description="Time of the inputs, ns since 1970 UTC.", examples=[1723111200125421337]
    )
    reference: str = Field(description="Whom others are measured by.", examples=["BTC-USDT-PERP"])
    portfolio: str = Field(description="Whose accounts it is about.", examples=["main"])
    name: str | None = Field(None, description="Of the shock.", examples=["common_down_20"])
    figures: Figures | None = Field(
        None,
        description="Totals, null where an input is missing.",
        examples=[{"portfolio_loss": 3520.0, "worst_amplification": 1.07}],
    )
    missing: Missing | None = Field(
        None,
        description="By figure, the inputs that it lacks.",
        examples=[{"portfolio_loss": ["beta of binance:ETH-USDT-PERP"]}],
    )
    markets: list[StressedMarket] | None = Field(None, description="One by one.")
    accounts: list[StressedAccount] | None = Field(None, description="One by one.")
    assumptions: dict[str, Any] | None = Field(
        None, description="What was assumed.", examples=[{"levels": "estimated"}]
    )
    settled: bool | None = Field(
        None, description="Whether every cascade came to rest.", examples=[True]
    )
    cells: list[StressCell] | None = Field(
        None, description="Of a grid, in the order of its lists."
    )
