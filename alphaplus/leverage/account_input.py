"""An account as people write it down in JSON (docs/margin.md), and what the engine says of it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from alphaplus.leverage.tiers import TierBook

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Symbol = Annotated[str, Field(min_length=1)]


class PositionInput(BaseModel):
    """One position, as in docs/margin.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    symbol: Symbol
    side: Literal["long", "short"]
    quantity: AtLeastZero
    entry_price: Positive
    mark_price: Positive | None = None
    leverage: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    isolated_margin: Number | None = None
    contract_size: Positive = 1.0
    inverse: bool | None = None
    maintenance_margin_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    maintenance_amount: AtLeastZero | None = None
    taker_fee: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None


class AccountInput(BaseModel):
    """One account, as in docs/margin.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    margin_mode: Literal["cross", "isolated"]
    position_mode: Literal["one_way", "hedge"] = "one_way"
    wallet_balance: Number
    open_interest: dict[str, AtLeastZero] = Field(default_factory=dict)
    positions: list[PositionInput]


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
