"""Accounts and positions as programs send them, turned into checked ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alphaplus.errors import RiskError
from alphaplus.instruments import Instrument
from alphaplus.portfolio.accounts import Account, CollateralAsset, Holding


class AccountReader:
    """Knows the instruments that are watched, and so what can be valued."""

    def __init__(self, instruments: Iterable[Instrument], *, default_leverage: float) -> None:
        self._by_symbol: dict[str, dict[str, Instrument]] = {}
        self._default_leverage = default_leverage
        self.set_instruments(instruments)

    def set_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Take accounts in these from now on."""
        self._by_symbol = {}
        for item in instruments:
            self._by_symbol.setdefault(item.symbol, {})[item.exchange] = item

    def accounts(self, wanted: Sequence[Mapping[str, Any]]) -> tuple[Account, ...]:
        """Return the accounts of a portfolio, or raise RiskError for the first that is wrong.

        Each has id and exchange, and optionally margin_mode, position_mode, wallet_balance,
        currency, collateral (asset, balance, haircut) and positions as in `positions`.
        """
        found = tuple(self._account(item) for item in wanted)
        ids = [account.id for account in found]
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise RiskError(f"Expected each account id once, was {twice} several times.")
        return found

    def positions(
        self, wanted: Sequence[Mapping[str, Any]], wallet_balance: float | None = None
    ) -> tuple[Account, ...]:
        """Return one cross account per exchange, named for it, with these positions.

        Each position has symbol, quantity, entry_price, and optionally exchange and leverage.
        The wallet is unknown unless it is given, which needs all positions on one exchange.
        """
        by_exchange: dict[str, list[Holding]] = {}
        for item in wanted:
            holding = self.holding(item)
            by_exchange.setdefault(holding.instrument.exchange, []).append(holding)
        if wallet_balance is not None and len(by_exchange) != 1:
            raise RiskError(
                "Expected positions on one exchange beside wallet_balance, "
                f"was {len(by_exchange)}; set accounts, each with a wallet of its own."
            )
        return tuple(
            Account(
                id=exchange,
                exchange=exchange,
                wallet_balance=wallet_balance,
                positions=tuple(holdings),
            )
            for exchange, holdings in by_exchange.items()
        )

    def holding(self, item: Mapping[str, Any], exchange: str | None = None) -> Holding:
        """Return one position, on `exchange` unless it names its own; raises RiskError."""
        leverage, margin = item.get("leverage"), item.get("isolated_margin")
        return Holding(
            instrument=self.instrument(str(item["symbol"]), item.get("exchange") or exchange),
            quantity=float(item["quantity"]),
            entry_price=float(item["entry_price"]),
            leverage=self._default_leverage if leverage is None else float(leverage),
            isolated_margin=None if margin is None else float(margin),
        )

    def instrument(self, symbol: str, exchange: str | None) -> Instrument:
        """Return the instrument of a symbol; raises RiskError if it is not watched there."""
        listed = self._by_symbol.get(symbol, {})
        known = listed if exchange is None else {k: v for k, v in listed.items() if k == exchange}
        if not known:
            where = f" on {exchange}" if exchange else ""
            raise RiskError(
                f"Expected symbol to be one that is watched, was {symbol}{where}; "
                "see /v1/symbols for the list."
            )
        if len(known) > 1:
            raise RiskError(f"Expected exchange with {symbol}, as it trades on {', '.join(known)}.")
        return next(iter(known.values()))

    def _account(self, item: Mapping[str, Any]) -> Account:
        exchange, wallet = str(item["exchange"]), item.get("wallet_balance")
        return Account(
            id=str(item["id"]),
            exchange=exchange,
            margin_mode=item.get("margin_mode") or "cross",
            position_mode=item.get("position_mode") or "one_way",
            wallet_balance=None if wallet is None else float(wallet),
            currency=item.get("currency"),
            collateral=tuple(
                CollateralAsset(
                    asset=str(asset["asset"]),
                    balance=float(asset["balance"]),
                    haircut=None if asset.get("haircut") is None else float(asset["haircut"]),
                )
                for asset in item.get("collateral") or ()
            ),
            positions=tuple(self.holding(p, exchange) for p in item.get("positions") or ()),
        )
