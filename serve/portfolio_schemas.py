"""Portfolios and their accounts as the API takes and gives them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.schemas import Answer, Finite, Freshness, Missing, OpenPosition, Position

MarginMode = Literal["cross", "isolated"]
PositionMode = Literal["one_way", "hedge"]


class HoldingIn(OpenPosition):
    """One position of an account as it is set."""

    isolated_margin: Finite | None = Field(
        None,
        description="Collateral of an isolated position, settlement asset; unset: entry "
        "notional / leverage.",
        examples=[500],
        gt=0,
        le=1e15,
    )


class CollateralIn(BaseModel):
    """An asset beside the wallet that counts as margin."""

    model_config = ConfigDict(extra="forbid")

    asset: str = Field(description="Its code.", examples=["BTC"], min_length=1, max_length=16)
    balance: Finite = Field(description="Units of the asset.", examples=[0.5], ge=-1e15, le=1e15)
    haircut: Finite | None = Field(
        None,
        description="Share of its value that does not count; unset: equity is unknown.",
        examples=[0.05],
        ge=0,
        lt=1,
    )


class AccountIn(BaseModel):
    """One wallet on one exchange, and all positions that it backs."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="Its name.", examples=["main"], min_length=1, max_length=32)
    exchange: str = Field(description="Where it is.", examples=["binance"], max_length=64)
    margin_mode: MarginMode = Field(
        "cross", description="What backs a position.", examples=["cross"]
    )
    position_mode: PositionMode = Field(
        "one_way", description="One or two legs a symbol.", examples=["one_way"]
    )
    wallet_balance: Finite | None = Field(
        None,
        description="Settlement asset, isolated margins included; unset: unknown, and with it "
        "equity and cross liquidation prices.",
        examples=[20000],
        ge=-1e15,
        le=1e15,
    )
    currency: str | None = Field(
        None,
        description="Settlement asset; unset: as the positions say.",
        examples=["USDT"],
        max_length=16,
    )
    collateral: list[CollateralIn] = Field(
        default_factory=list, description="Assets beside the wallet, at most 20.", max_length=20
    )
    positions: list[HoldingIn] = Field(
        default_factory=list, description="At most 1000.", max_length=1000
    )


class AccountsIn(BaseModel):
    """All accounts of a portfolio: what is not listed is gone; none at all ends it."""

    model_config = ConfigDict(extra="forbid")

    accounts: list[AccountIn] = Field(description="At most 50.", max_length=50)


class CollateralAsset(Answer):
    """An asset beside the wallet."""

    asset: str = Field(description="Its code.", examples=["BTC"])
    balance: float = Field(description="Units of the asset.", examples=[0.5])
    haircut: float | None = Field(
        None, description="Share of its value that does not count.", examples=[0.05]
    )


class AccountSummary(Answer):
    """One account without its positions."""

    id: str = Field(description="Name of the account.", examples=["binance"])
    exchange: str = Field(description="Where it is.", examples=["binance"])
    margin_mode: MarginMode = Field(description="cross or isolated.", examples=["cross"])
    position_mode: PositionMode = Field(description="one_way or hedge.", examples=["one_way"])
    wallet_balance: float | None = Field(
        None, description="Settlement asset; null: unknown.", examples=[20000.0]
    )
    currency: str | None = Field(None, description="Settlement asset.", examples=["USDT"])
    collateral: list[CollateralAsset] = Field(
        default_factory=list,
        description="Assets beside the wallet.",
        examples=[[{"asset": "BTC", "balance": 0.5, "haircut": 0.05}]],
    )


class PortfolioAccounts(Freshness):
    """A portfolio with its accounts; totals are null across currencies that are told apart."""

    portfolio: str = Field(description="Name of the portfolio.", examples=["main"])
    saved: bool = Field(
        False,
        description="Whether it is in the database as it is now, and so survives a restart.",
        examples=[True],
    )
    currency: str | None = Field(None, description="Settlement asset.", examples=["USDT"])
    at_par: list[str] = Field(
        default_factory=list,
        description="Currencies that were counted as one.",
        examples=[["USDC", "USDT"]],
    )
    accounts: list[AccountSummary] = Field(default_factory=list, description="Wallets.")
    positions: list[Position] = Field(default_factory=list, description="In order of the accounts.")
    gross_notional: float | None = Field(
        None, description="Sum of absolute notionals.", examples=[28623.2]
    )
    net_notional: float | None = Field(
        None, description="Sum of signed notionals.", examples=[-28623.2]
    )
    unrealized_pnl: float | None = Field(None, description="Gain since entry.", examples=[-72.9])
    margin_used: float | None = Field(
        None, description="Notional over leverage.", examples=[2862.32]
    )
    missing: Missing


class PortfolioList(Freshness):
    """Every portfolio; `main` is always there."""

    count: int = Field(description="How many follow.", examples=[1])
    portfolios: list[PortfolioAccounts] = Field(description="`main` first.")
