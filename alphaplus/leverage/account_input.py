"""An account as people write it down in JSON (docs/margin.md), and what the engine says of it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from alphaplus.leverage.tiers import TierBook

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AtLeastOne = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Fee = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Symbol = Annotated[str, Field(min_length=1)]


class PositionInput(BaseModel):
    """One position, as in docs/margin.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    symbol: Symbol = Field(
        description="Ours, ccxt's or the venue's name.", examples=["BTC/USDT:USDT"]
    )
    side: Literal["long", "short"] = Field(description="Side of the position.", examples=["long"])
    quantity: AtLeastZero = Field(
        description="Contracts; base coin is quantity x contract_size.", examples=[0.1]
    )
    entry_price: Positive = Field(description="Quote currency.", examples=[60000])
    mark_price: Positive | None = Field(
        None, description="Quote currency; unset: unknown.", examples=[61000]
    )
    leverage: AtLeastOne = Field(description="As set at the venue.", examples=[10])
    isolated_margin: Number | None = Field(
        None, description="Unset: entry notional / leverage.", examples=[600]
    )
    contract_size: Positive = Field(
        1.0, description="Base coin, or USD of inverse ones.", examples=[1]
    )
    inverse: bool | None = Field(None, description="Unset: as the symbol says.", examples=[False])
    maintenance_margin_rate: Share | None = Field(
        None, description="Overrides the tiers.", examples=[0.005]
    )
    maintenance_amount: AtLeastZero | None = Field(
        None, description="Overrides the tiers.", examples=[50]
    )
    taker_fee: Fee | None = Field(
        None, description="Per notional; unset: the venue's lowest tier.", examples=[0.0005]
    )


class AccountInput(BaseModel):
    """One account, as in docs/margin.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    margin_mode: Literal["cross", "isolated"] = Field(
        description="What backs a position.", examples=["cross"]
    )
    position_mode: Literal["one_way", "hedge"] = Field(
        "one_way", description="One or two legs a symbol.", examples=["one_way"]
    )
    wallet_balance: Number = Field(
        description="Settlement asset, isolated margins in it.", examples=[1000]
    )
    open_interest: dict[str, AtLeastZero] = Field(
        default_factory=dict,
        description="By symbol, quote currency; dYdX alone needs it.",
        examples=[{"BTC-USD": 12000000}],
    )
    positions: list[PositionInput] = Field(description="What is held.")


def quote(wanted: AccountInput, venue: str, book: "TierBook | None") -> dict[str, Any]:
    """Return the margins of the account as plain values; raises RiskError or ConfigError."""
    from alphaplus.leverage.account import MarginAccount, MarginPosition  # these load the kernels
    from alphaplus.leverage.account_margin import evaluate_account

    account = MarginAccount(
        venue=venue,
        margin_mode=wanted.margin_mode,
        position_mode=wanted.position_mode,
        wallet_balance=wanted.wallet_balance,
        open_interest=wanted.open_interest,
        positions=tuple(MarginPosition(**item.model_dump()) for item in wanted.positions),
    )
    found = evaluate_account(account, book)
    return asdict(found) | {"tiers_hash": None if book is None else book.hash}
