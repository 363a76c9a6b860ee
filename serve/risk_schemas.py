"""What the API says of the risk of a portfolio. Units are in docs/portfolio-risk.md.

Every null value has its reason in the `missing` beside it.
"""

from pydantic import Field

from serve.leverage_schemas import Advice
from serve.portfolio_schemas import CollateralAsset
from serve.schemas import Answer, Freshness, Missing


class Figure(Answer):
    """One number with its origin; level and horizon are in its name."""

    value: float | None = Field(None, description="Null where unknown.", examples=[1250.4])
    method: str = Field(description="How it was computed.", examples=["fhs"])
    n_obs: int = Field(description="Past observations behind it.", examples=[8760])
    as_of: int | None = Field(
        None, description="ns since 1970 UTC.", examples=[1723111200000000000]
    )
    scaling: str = Field("none", description="none, bootstrap or sqrt_time.", examples=["none"])
    missing: Missing
    flags: list[str] = Field(
        default_factory=list,
        description="What is known but no number.",
        examples=[["insufficient_tail"]],
    )


class Series(Answer):
    """One metric of many; `names` says of which symbols, positions or scenarios, in order."""

    by: str = Field(description="symbol, position or scenario.", examples=["symbol"])
    names: list[str] = Field(
        default_factory=list,
        description="Whose values, in order.",
        examples=[["binance:BTC-USDT-PERP"]],
    )
    values: list[float | None] | None = Field(
        None, description="Null where one is unknown.", examples=[[1250.4]]
    )
    method: str = Field(description="How it was computed.", examples=["fhs"])
    n_obs: int = Field(description="Past observations behind it.", examples=[8760])
    missing: Missing


class PositionScore(Answer):
    """Liquidation-risk score, 0 to 100, and what it is made of (docs/liquidations.md)."""

    score: float | None = Field(None, description="0 to 100.", examples=[12.5])
    band: str | None = Field(None, description="low, elevated, high or critical.", examples=["low"])
    state: str | None = Field(
        None,
        description="liquidatable_now, no_liquidation_price or null.",
        examples=["no_liquidation_price"],
    )
    hit_probability: float | None = Field(
        None, description="Chance that the mark touches the liquidation price.", examples=[0.031]
    )
    simulated_hit_probability: float | None = Field(
        None, description="The same by simulated paths.", examples=[0.034]
    )
    thinness: float | None = Field(
        None, description="Of the book at the level, 0 to 1.", examples=[0.4]
    )
    distance: float | None = Field(
        None, description="|mark - liquidation price| / mark.", examples=[0.18]
    )
    distance_sigmas: float | None = Field(
        None, description="In standard deviations of the horizon.", examples=[4.2]
    )
    distance_alarm: str | None = Field(
        None, description="none, warn or critical.", examples=["none"]
    )
    sigma_per_sqrt_hour: float | None = Field(
        None, description="Volatility per square root of an hour.", examples=[0.006]
    )
    sigma_source: str | None = Field(
        None, description="live or history, the larger.", examples=["history"]
    )
    horizon_h: float = Field(description="Hours.", examples=[24.0])
    quantity_at_level: float | None = Field(
        None, description="Base units to be closed there.", examples=[2.0]
    )
    depth_at_level: float | None = Field(
        None, description="Base units that stand there.", examples=[40.0]
    )
    missing: Missing
    notes: list[str] = Field(
        default_factory=list,
        description="What the score could not see.",
        examples=[["the book is not known as far as the liquidation price"]],
    )


class PositionMargins(Answer):
    """What the margin engine says of one position, settlement asset."""

    state: str = Field(description="See docs/margin.md.", examples=["safe"])
    notional: float | None = Field(
        None, description="At the mark, settlement asset.", examples=[114492.6]
    )
    unrealized_pnl: float | None = Field(None, description="Gain since entry.", examples=[-72.9])
    initial_margin: float | None = Field(None, description="Settlement asset.", examples=[11449.3])
    maintenance_margin: float | None = Field(
        None, description="Settlement asset.", examples=[500.2]
    )
    margin_ratio: float | None = Field(
        None, description="Maintenance margin over equity; 1 is liquidation.", examples=[0.03]
    )
    liquidation_price: float | None = Field(
        None, description="The nearer; null with its state if there is none.", examples=[46120.5]
    )
    liquidation_price_down: float | None = Field(
        None, description="Below the mark.", examples=[46120.5]
    )
    liquidation_price_up: float | None = Field(
        None, description="Above the mark.", examples=[71000.0]
    )
    distance_to_liquidation: float | None = Field(
        None, description="Fraction of the mark.", examples=[0.19]
    )
    bankruptcy_price: float | None = Field(
        None, description="Where nothing is left.", examples=[45900.0]
    )
    adl_rank: float | None = Field(
        None, description="The venue's score; the highest is deleveraged first.", examples=[0.2]
    )
    tier: int | None = Field(None, description="Leverage tier at the mark, from 1.", examples=[2])
    above_max_notional: bool = Field(False, description="Beyond the last tier.")


class PositionRisk(Freshness, PositionMargins):
    """One position: margins by the engine, liquidation price, score and advice."""

    account: str = Field(description="Account that holds it.", examples=["binance"])
    exchange: str = Field(description="Where it is.", examples=["binance"])
    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    side: str = Field(description="long or short.", examples=["long"])
    quantity: float = Field(description="Exchange's unit; below 0 is short.", examples=[2.0])
    entry_price: float = Field(description="Quote currency.", examples=[57100.5])
    leverage: float = Field(description="As set at the venue.", examples=[10.0])
    margin_mode: str = Field(description="cross or isolated.", examples=["cross"])
    mark_price: float | None = Field(None, description="Quote currency.", examples=[57246.31])
    mark_source: str = Field(
        description="venue, or mid where the venue tells no mark.", examples=["venue"]
    )
    score: PositionScore = Field(description="Liquidation risk.")
    advice: Advice | None = Field(None, description="Leverage that is allowed.")
    missing: Missing


class AccountScore(Answer):
    """The score of an account by the smallest common shock that liquidates it."""

    score: float | None = Field(None, description="0 to 100.", examples=[12.5])
    band: str | None = Field(None, description="low, elevated, high or critical.", examples=["low"])
    sigma_per_sqrt_hour: float | None = Field(
        None, description="Volatility per square root of an hour.", examples=[0.006]
    )
    thinness: float | None = Field(
        None, description="Of the book at the level, 0 to 1.", examples=[0.4]
    )
    missing: Missing


class AccountMargins(Answer):
    """What the margin engine says of one account, settlement asset."""

    state: str = Field(description="See docs/margin.md.", examples=["safe"])
    equity: float | None = Field(
        None, description="Wallet, collateral and profit.", examples=[20145.2]
    )
    initial_margin: float | None = Field(None, description="Settlement asset.", examples=[11449.3])
    maintenance_margin: float | None = Field(
        None, description="Settlement asset.", examples=[500.2]
    )
    margin_ratio: float | None = Field(
        None, description="Maintenance margin over equity; 1 is liquidation.", examples=[0.03]
    )
    margin_level: float | None = Field(
        None, description="The inverse of the ratio.", examples=[33.3]
    )
    margin_utilisation: float | None = Field(
        None, description="Initial margin over equity.", examples=[0.6]
    )
    available_margin: float | None = Field(
        None, description="Equity less initial margin, at least 0.", examples=[8000.0]
    )
    liquidatable: bool | None = Field(None, description="Equity at or below MM.", examples=[False])


class AccountRisk(AccountMargins):
    """One account's margins; amounts are in its settlement currency."""

    id: str = Field(description="Name of the account.", examples=["binance"])
    exchange: str = Field(description="Where it is.", examples=["binance"])
    margin_mode: str = Field(description="cross or isolated.", examples=["cross"])
    position_mode: str = Field(description="one_way or hedge.", examples=["one_way"])
    currency: str | None = Field(None, description="Settlement asset.", examples=["USDT"])
    wallet_balance: float | None = Field(
        None, description="Settlement asset; null: unknown.", examples=[20000.0]
    )
    collateral: list[CollateralAsset] = Field(
        default_factory=list,
        description="Assets beside the wallet.",
        examples=[[{"asset": "BTC", "balance": 0.5, "haircut": 0.05}]],
    )
    joint_distance_down: float | None = Field(
        None, description="Common fall that reaches the margin, -1 to 0.", examples=[-0.21]
    )
    joint_distance_up: float | None = Field(
        None, description="Common rise that does.", examples=[0.34]
    )
    score: AccountScore = Field(description="Liquidation risk.")
    missing: Missing


class PortfolioRisk(Freshness):
    """Everything that is known of a portfolio's risk, as fresh as its oldest mark."""

    portfolio: str = Field(description="Name of the portfolio.", examples=["main"])
    currency: str | None = Field(None, description="Settlement asset.", examples=["USDT"])
    at_par: list[str] = Field(
        default_factory=list,
        description="Currencies that were counted as one.",
        examples=[["USDC", "USDT"]],
    )
    model: str = Field(description="Model of the scenarios.", examples=["fhs"])
    history_as_of: int | None = Field(
        None, description="End of the price history, ns UTC.", examples=[1723107600000000000]
    )
    as_of: int = Field(description="ns since 1970 UTC.", examples=[1723111200000000000])
    figures: dict[str, Figure] = Field(description="Metrics by name, docs/portfolio-risk.md.")
    series: dict[str, Series] = Field(description="Metrics of many by name.")
    stress_left_out: list[str] = Field(
        default_factory=list,
        description="Scenarios that lack inputs.",
        examples=[["btc_*: beta of binance:ETH-USDT-PERP"]],
    )
    accounts: list[AccountRisk] = Field(description="One per wallet.")
    positions: list[PositionRisk] = Field(description="In order of the accounts.")
    advice: Advice | None = Field(None, description="Leverage that is allowed.")


class PositionLiquidation(Freshness):
    """Where a position would be liquidated, and how likely that is; one item per account."""

    portfolio: str = Field(description="Name of the portfolio.", examples=["main"])
    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    count: int = Field(description="How many follow.", examples=[1])
    positions: list[PositionRisk] = Field(description="In order of the accounts.")


class QuotedPosition(PositionMargins):
    """What the engine says of one position that nobody has."""

    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    side: str = Field(description="long or short.", examples=["long"])
    missing: Missing


class MarginQuote(Freshness, AccountMargins):
    """The margins of an account that nobody has, by the tiers in force."""

    exchange: str = Field(description="Where it is.", examples=["binance"])
    venue: str = Field(description="Whose margin rules.", examples=["binance"])
    as_of: int = Field(description="ns since 1970 UTC.", examples=[1723111200000000000])
    positions: list[QuotedPosition] = Field(description="In order of the accounts.")
    live_marks: list[str] = Field(
        default_factory=list,
        description="Symbols whose mark was the live one.",
        examples=[["BTC-USDT-PERP"]],
    )
    tiers_hash: str | None = Field(
        None, description="Names the tiers that were used.", examples=["0f3a9c2b1d4e5f60"]
    )
    missing: Missing
