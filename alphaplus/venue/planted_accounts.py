"""Leveraged accounts that somebody planted, and the watch that liquidates them.

The venue knows no liquidation price. At every change of its own mark price it values each
account anew, and when equity is at or below the maintenance margin of its brackets it closes
everything the account holds by market orders. That is what makes it a test of a margin engine
that solves for the price beforehand.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from alphaplus.errors import ConfigError
from alphaplus.venue.brackets import BRACKETS, bracket_of, maintenance_margin

MOST_ACCOUNTS: Final = 10_000

MarginMode = Literal["isolated", "cross"]
MARGIN_MODES: Final[tuple[MarginMode, ...]] = ("isolated", "cross")
SIDES: Final = {"long": 1, "short": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantOrder:
    """A position to be planted; either leverage or wallet_balance says what backs it."""

    account: str | None
    """Its name; a cross account of that name takes the position in. None: a new name."""
    symbol: str
    side: int
    """+1 long, -1 short."""
    quantity: float
    """Base units."""
    entry_price: float
    margin_mode: MarginMode
    leverage: float | None
    """Chosen leverage: what backs the position is its value at entry divided by this."""
    wallet_balance: float | None
    """What backs it, quote currency."""


@dataclass(slots=True, kw_only=True)
class Position:
    """What an account holds of a symbol; quantity in base units, prices in quote currency."""

    side: int
    quantity: float
    entry_price: float
    mark_price: float
    open_quantity: float = 0.0
    """Falls to 0 as the position is closed."""
    proceeds: float = 0.0
    """Quantity closed so far times its prices."""

    def profit(self) -> float:
        """Return what is gained on it, closed and open, quote currency."""
        held = self.open_quantity * (self.mark_price - self.entry_price)
        closed = self.quantity - self.open_quantity
        return self.side * (held + self.proceeds - closed * self.entry_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """The moment at which an account ran out of margin."""

    time_ms: int
    symbol: str
    """Whose mark did it."""
    mark_price_before: float
    """The mark of the evaluation before, at which the account was safe."""
    mark_price: float
    equity: float
    maintenance_margin: float


@dataclass(slots=True, kw_only=True)
class Account:
    """One planted account: a wallet and what it backs."""

    name: str
    margin_mode: MarginMode
    wallet_balance: float
    positions: dict[str, Position] = field(default_factory=dict)
    trigger: Trigger | None = None

    @property
    def equity(self) -> float:
        """Wallet and profits, quote currency."""
        return self.wallet_balance + sum(item.profit() for item in self.positions.values())

    @property
    def maintenance_margin(self) -> float:
        """What the brackets ask for at the marks, quote currency."""
        return sum(
            maintenance_margin(item.open_quantity * item.mark_price)
            for item in self.positions.values()
            if item.open_quantity > 0
        )

    @property
    def is_open(self) -> bool:
        """Whether it still holds anything."""
        return any(item.open_quantity > 0 for item in self.positions.values())

    @property
    def state(self) -> str:
        """open, liquidating (a part is not filled yet), or liquidated."""
        if self.trigger is None:
            return "open"
        return "liquidating" if self.is_open else "liquidated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedOrder:
    """A market order that closes a position; `quantity` in base units."""

    account: str
    symbol: str
    side: int
    """Of the position: +1 is closed by selling."""
    quantity: float
    bankruptcy_price: float
    """At which nothing would be left of the account, the marks of its other symbols as they are."""


class PlantedAccounts:
    """All planted accounts of a venue. It reads no clock; marks and times are handed in."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.insurance_fund = 0.0
        """Sum of what liquidated accounts had left, or owed: quote currency, from 0."""
        self._holders: defaultdict[str, list[Account]] = defaultdict(list)

    def plant(self, order: PlantOrder, mark_price: float) -> Account:
        """Open a position at an entry price; raises ConfigError for what the venue refuses."""
        name = order.account or f"planted-{len(self.accounts) + 1}"
        known = self.accounts.get(name)
        value = order.quantity * order.entry_price
        self._check(order, known, name)
        _check_notional(order, max(value, order.quantity * mark_price))
        wallet = order.wallet_balance
        if wallet is None:
            assert order.leverage is not None
            wallet = value / order.leverage
        position = Position(
            side=order.side,
            quantity=order.quantity,
            entry_price=order.entry_price,
            mark_price=mark_price,
            open_quantity=order.quantity,
        )
        trial = Account(
            name=name,
            margin_mode=order.margin_mode,
            wallet_balance=wallet + (known.wallet_balance if known else 0.0),
            positions={**(known.positions if known else {}), order.symbol: position},
        )
        if trial.equity <= trial.maintenance_margin:
            raise ConfigError(
                f"Expected equity above the maintenance margin at the mark {mark_price:g}, was "
                f"{trial.equity:.2f} against {trial.maintenance_margin:.2f}; plant less, or give "
                "it a larger wallet_balance or a better entry_price."
            )
        self.accounts[name] = trial
        if known is not None:
            for holders in self._holders.values():
                holders[:] = [trial if item is known else item for item in holders]
        self._holders[order.symbol].append(trial)
        return trial

    def due(self, symbol: str, mark_price: float, now_ms: int) -> list[ForcedOrder]:
        """Value everyone who holds `symbol` at its new mark; return what is to be closed in it."""
        orders = []
        for account in self._holders[symbol]:
            position = account.positions[symbol]
            before, position.mark_price = position.mark_price, mark_price
            if account.trigger is None:
                equity, margin = account.equity, account.maintenance_margin
                if equity > margin:
                    continue
                account.trigger = Trigger(
                    time_ms=now_ms,
                    symbol=symbol,
                    mark_price_before=before,
                    mark_price=mark_price,
                    equity=equity,
                    maintenance_margin=margin,
                )
            if position.open_quantity > 0:
                orders.append(_order(account, symbol, position))
        return orders

    def filled(self, order: ForcedOrder, quantity: float, proceeds: float) -> None:
        """Take note of what the book gave for an order: base units, and units times prices."""
        account = self.accounts[order.account]
        position = account.positions[order.symbol]
        position.open_quantity -= quantity
        position.proceeds += proceeds
        if position.open_quantity < 1e-9 * position.quantity:
            position.open_quantity = 0.0
            self._holders[order.symbol].remove(account)
        if not account.is_open:
            self.insurance_fund += account.equity

    def open_interest(self, symbol: str) -> float:
        """Return what is held of a symbol, base units."""
        return sum(item.positions[symbol].open_quantity for item in self._holders[symbol])

    def view(self) -> dict[str, Any]:
        """Return every account, in the order in which they were planted."""
        return {
            "insurance_fund": self.insurance_fund,
            "accounts": [account_view(account) for account in self.accounts.values()],
        }

    def _check(self, order: PlantOrder, known: Account | None, name: str) -> None:
        if len(self.accounts) >= MOST_ACCOUNTS and known is None:
            raise ConfigError(f"Expected at most {MOST_ACCOUNTS} planted accounts, were as many.")
        if known is None:
            return
        if known.margin_mode != "cross" or order.margin_mode != "cross":
            raise ConfigError(
                f"Expected a new account for an isolated position, was {name!r}; only cross "
                "positions share one."
            )
        if known.trigger is not None:
            raise ConfigError(f"Expected an open account, was {name!r}, which is {known.state}.")
        if order.symbol in known.positions:
            raise ConfigError(
                f"Expected one position of {order.symbol} in {name!r}, was there already."
            )


def account_view(account: Account) -> dict[str, Any]:
    """Return what GET /control/accounts says of one account; amounts in quote currency."""
    trigger = account.trigger
    return {
        "account": account.name,
        "margin_mode": account.margin_mode,
        "state": account.state,
        "wallet_balance": account.wallet_balance,
        "equity": account.equity,
        "maintenance_margin": account.maintenance_margin,
        "liquidated_at": None
        if trigger is None
        else {name: getattr(trigger, name) for name in Trigger.__slots__},
        "positions": [_position_view(*item) for item in account.positions.items()],
    }


def _position_view(symbol: str, position: Position) -> dict[str, Any]:
    closed = position.quantity - position.open_quantity
    return {
        "symbol": symbol,
        "side": "long" if position.side > 0 else "short",
        "quantity": position.quantity,
        "open_quantity": position.open_quantity,
        "entry_price": position.entry_price,
        "mark_price": position.mark_price,
        "profit": position.profit(),
        "fill_price": position.proceeds / closed if closed > 0 else None,
    }


def _order(account: Account, symbol: str, position: Position) -> ForcedOrder:
    per_unit = account.equity / position.open_quantity
    return ForcedOrder(
        account=account.name,
        symbol=symbol,
        side=position.side,
        quantity=position.open_quantity,
        bankruptcy_price=max(position.mark_price - position.side * per_unit, 0.0),
    )


def _check_notional(order: PlantOrder, notional: float) -> None:
    """Refuse what the brackets do not allow; `notional` at the dearer of entry and mark."""
    if notional > BRACKETS[-1].cap:
        raise ConfigError(
            f"Expected a notional of at most {BRACKETS[-1].cap}, was {notional:.0f}; plant less."
        )
    most = bracket_of(notional).leverage
    if order.leverage is not None and order.leverage > most:
        raise ConfigError(
            f"Expected leverage of at most {most} at a notional of {notional:.0f}, "
            f"was {order.leverage:g}."
        )
