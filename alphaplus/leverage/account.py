"""Margin accounts: what a user holds on a venue, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from alphaplus.errors import RiskError, UnknownSymbol
from alphaplus.instruments import symbol_to_ccxt
from alphaplus.leverage.profiles import MarginMode, MarginProfile, profile_of

PositionMode = Literal["one_way", "hedge"]
Side = Literal["long", "short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginPosition:
    """One position; a given maintenance rate or amount overrides the tiers."""

    symbol: str
    side: Side
    quantity: float
    """Contracts: base coin is quantity x contract_size; for inverse ones that is USD."""
    entry_price: float
    mark_price: float | None
    leverage: float
    isolated_margin: float | None = None
    """Collateral of an isolated position, added margin included; None: notional / leverage."""
    contract_size: float = 1.0
    inverse: bool | None = None
    """None: as the symbol says (settled in its base coin), else as the profile says."""
    maintenance_margin_rate: float | None = None
    maintenance_amount: float | None = None
    taker_fee: float | None = None
    """Per notional; None: the venue's."""

    def __post_init__(self) -> None:
        for name in ("quantity", "entry_price", "leverage", "contract_size"):
            value = getattr(self, name)
            if not (math.isfinite(value) and (value > 0 or (name == "quantity" and value == 0))):
                raise RiskError(f"Expected {name} of {self.symbol} above 0, was {value}.")
        if self.mark_price is not None and not (
            math.isfinite(self.mark_price) and self.mark_price > 0
        ):
            raise RiskError(
                f"Expected mark_price of {self.symbol} above 0 or null, was {self.mark_price}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginAccount:
    """All positions that one wallet backs on one venue; settled in one currency."""

    venue: str
    margin_mode: MarginMode
    position_mode: PositionMode
    wallet_balance: float
    """Settlement asset; deposits and realised profit, isolated margins included."""
    positions: tuple[MarginPosition, ...]
    open_interest: Mapping[str, float] = field(default_factory=dict)
    """By symbol, quote currency; only dYdX's initial margin needs it."""
    accrued: float = 0.0
    """Funding and fees owed but not yet booked, settlement asset."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.wallet_balance) and math.isfinite(self.accrued)):
            raise RiskError(f"Expected wallet_balance as a number, was {self.wallet_balance}.")
        _check_legs(self)
        _settlement(self)

    @property
    def profile(self) -> MarginProfile:
        """The rules of its venue and margin mode."""
        return profile_of(self.venue, self.margin_mode)


def isolated_margin(position: MarginPosition, profile: MarginProfile) -> float:
    """Return the collateral of an isolated position: as stated, else notional / leverage."""
    if position.isolated_margin is not None:
        return position.isolated_margin
    size = position.quantity * position.contract_size
    entry = position.entry_price
    value = size / entry if is_inverse(position, profile) else size * entry
    return value / position.leverage


def is_inverse(position: MarginPosition, profile: MarginProfile) -> bool:
    """Whether a position is inverse: as stated, as its symbol says, else as the venue's are."""
    if position.inverse is not None:
        return position.inverse
    parts = pair_of(position.symbol)
    return profile.inverse if parts is None else parts[0] == parts[2]


def pair_of(symbol: str) -> tuple[str, str, str] | None:
    """Return base, quote and settlement currency of a contract's symbol, ours or ccxt's.

    None for spot and for a name that is neither.

    >>> pair_of("BTC-USD-BTC-PERP")
    ('BTC', 'USD', 'BTC')
    """
    try:
        name = symbol_to_ccxt(symbol)
    except UnknownSymbol:
        name = symbol
    pair, colon, settle = name.partition(":")
    base, slash, quote = pair.partition("/")
    if not (colon and slash and base and quote and settle):
        return None
    return base, quote, settle.partition("-")[0]


def _check_legs(account: MarginAccount) -> None:
    seen: dict[str, MarginPosition] = {}
    for position in account.positions:
        other = seen.setdefault(position.symbol, position)
        if other is position:
            continue
        if account.position_mode == "one_way":
            raise RiskError(f"Expected one position in {position.symbol} one-way, were several.")
        if other.side == position.side:
            raise RiskError(f"Expected one {position.side} leg in {position.symbol}, were several.")
        if other.mark_price != position.mark_price:
            raise RiskError(f"Expected one mark_price of {position.symbol}, were several.")


def _settlement(account: MarginAccount) -> None:
    """Refuse what cannot share a wallet: coin- and quote-settled, or two currencies."""
    pairs = [pair_of(position.symbol) for position in account.positions]
    currencies = sorted({pair[2] for pair in pairs if pair is not None})
    kinds = {is_inverse(position, account.profile) for position in account.positions}
    if len(currencies) > 1:
        raise RiskError(
            f"Expected positions settled in one currency, were {' and '.join(currencies)}."
        )
    if len(kinds) > 1:
        raise RiskError("Expected linear or inverse positions in one account, were both.")
