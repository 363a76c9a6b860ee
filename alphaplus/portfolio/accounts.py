"""What a portfolio holds: accounts on venues, their wallets and positions, checked.

A quantity is signed and in the venue's unit (base units, or contracts): above 0 is long.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

from alphaplus.errors import ConfigError, RiskError
from alphaplus.instruments import Instrument
from alphaplus.leverage.account import MarginAccount, MarginPosition, PositionMode, pair_of
from alphaplus.leverage.profiles import MarginMode, profile_of

MAX_LEVERAGE: Final = 125.0
MAIN: Final = "main"
"""The portfolio that positions without accounts belong to."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One position; raises RiskError for a value that is not usable."""

    instrument: Instrument
    quantity: float
    entry_price: float
    leverage: float
    """As set at the venue: initial margin is notional / leverage."""
    isolated_margin: float | None = None
    """Collateral of an isolated position, settlement asset; None: entry notional / leverage."""

    def __post_init__(self) -> None:
        symbol = self.symbol
        if not (math.isfinite(self.quantity) and self.quantity != 0):
            raise RiskError(f"Expected quantity of {symbol} other than 0, was {self.quantity}.")
        if not (math.isfinite(self.entry_price) and self.entry_price > 0):
            raise RiskError(f"Expected entry_price of {symbol} above 0, was {self.entry_price}.")
        if not 1 <= self.leverage <= MAX_LEVERAGE:
            raise RiskError(
                f"Expected leverage of {symbol} from 1 to {MAX_LEVERAGE:g}, was {self.leverage}."
            )
        margin = self.isolated_margin
        if margin is not None and not (math.isfinite(margin) and margin > 0):
            raise RiskError(f"Expected isolated_margin of {symbol} above 0, was {margin}.")

    @property
    def symbol(self) -> str:
        """Our name of the instrument."""
        return self.instrument.symbol

    @property
    def key(self) -> str:
        """The market that values it, `binance:BTC-USDT-PERP`."""
        return self.instrument.key

    @property
    def side(self) -> int:
        """+1 long, -1 short."""
        return 1 if self.quantity > 0 else -1

    @property
    def size(self) -> float:
        """Base units, or face value in quote currency of inverse contracts; above 0."""
        return abs(self.quantity) * self.instrument.contract_size

    def at(self, mark_price: float | None) -> MarginPosition:
        """Return it as the margin engine takes it."""
        return MarginPosition(
            symbol=self.symbol,
            side="long" if self.quantity > 0 else "short",
            quantity=abs(self.quantity),
            entry_price=self.entry_price,
            mark_price=mark_price,
            leverage=self.leverage,
            isolated_margin=self.isolated_margin,
            contract_size=self.instrument.contract_size,
            inverse=self.instrument.inverse,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralAsset:
    """An asset beside the wallet that counts as margin, at a haircut."""

    asset: str
    balance: float
    haircut: float | None = None
    """Share of its value that does not count, in [0, 1); None: unknown, and so is the equity."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.balance):
            raise RiskError(f"Expected balance of {self.asset} as a number, was {self.balance}.")
        if self.haircut is not None and not 0 <= self.haircut < 1:
            raise RiskError(f"Expected haircut of {self.asset} in [0, 1), was {self.haircut}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All positions that one wallet on one exchange backs.

    Raises RiskError where a venue could not hold it so: two positions of one symbol one-way,
    wallets of two currencies, linear and inverse contracts together.
    """

    id: str
    exchange: str
    margin_mode: MarginMode = "cross"
    position_mode: PositionMode = "one_way"
    wallet_balance: float | None = None
    """Settlement asset: deposits and realised profit, isolated margins included; None: unknown."""
    currency: str | None = None
    """Settlement asset; None: as the positions say."""
    collateral: tuple[CollateralAsset, ...] = ()
    positions: tuple[Holding, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise RiskError(
                f"Expected an account id of 1 to 32 letters, digits, '.', '_' or '-', "
                f"was {self.id!r}."
            )
        if self.wallet_balance is not None and not math.isfinite(self.wallet_balance):
            raise RiskError(
                f"Expected wallet_balance of account {self.id} as a number, "
                f"was {self.wallet_balance}."
            )
        assets = [item.asset for item in self.collateral]
        if len(set(assets)) < len(assets):
            raise RiskError(f"Expected each collateral asset of account {self.id} once.")
        for holding in self.positions:
            if holding.instrument.exchange != self.exchange:
                raise RiskError(
                    f"Expected positions of account {self.id} on {self.exchange}, "
                    f"was {holding.key}."
                )
        try:
            profile_of(self.exchange, self.margin_mode)
            self.margin_account(0.0, {})  # the engine's own checks of legs and currencies
        except ConfigError as error:
            raise RiskError(f"{str(error).rstrip('.')} for account {self.id}.") from error
        pair = self._pair()
        if self.currency is not None and pair is not None and self.currency != pair[2]:
            raise RiskError(
                f"Expected currency of account {self.id} to be {pair[2]}, "
                f"as its positions are settled in it, was {self.currency}."
            )

    @property
    def settlement(self) -> str | None:
        """The asset of the wallet and of all margins; None if nothing says so."""
        pair = self._pair()
        return self.currency if pair is None else pair[2]

    @property
    def inverse(self) -> bool:
        """Whether it is settled in a coin that its own contracts are about."""
        return any(item.instrument.inverse for item in self.positions)

    @property
    def quote(self) -> str | None:
        """The currency that its values are reported in: that of its contracts' prices."""
        pair = self._pair()
        return self.currency if pair is None else pair[1] if self.inverse else pair[2]

    def margin_account(
        self, wallet: float, marks: dict[str, float | None], *, accrued: float = 0.0
    ) -> MarginAccount:
        """Return it as the margin engine takes it; `marks` by symbol, None where unknown.

        `wallet` is its whole collateral in the settlement asset.
        """
        return MarginAccount(
            venue=self.exchange,
            margin_mode=self.margin_mode,
            position_mode=self.position_mode,
            wallet_balance=wallet,
            positions=tuple(item.at(marks.get(item.symbol)) for item in self.positions),
            accrued=accrued,
        )

    def _pair(self) -> tuple[str, str, str] | None:
        for item in self.positions:
            pair = pair_of(item.symbol)
            if pair is not None:
                return pair
        return None


def check_portfolio_id(portfolio_id: str) -> str:
    """Return the id, or raise RiskError for one that is no plain name."""
    if not _ID.fullmatch(portfolio_id):
        raise RiskError(
            "Expected a portfolio id of 1 to 32 letters, digits, '.', '_' or '-', "
            f"was {portfolio_id!r:.60}."
        )
    return portfolio_id
