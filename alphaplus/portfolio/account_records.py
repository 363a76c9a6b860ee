"""Accounts as plain values, the inverse of `AccountReader.accounts`."""

from typing import Any

from alphaplus.portfolio.accounts import Account, Holding


def account_records(accounts: tuple[Account, ...]) -> list[dict[str, Any]]:
    """Return accounts ready for JSON; `AccountReader.accounts` reads the same ones from it."""
    return [_account(account) for account in accounts]


def _account(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "exchange": account.exchange,
        "margin_mode": account.margin_mode,
        "position_mode": account.position_mode,
        "wallet_balance": account.wallet_balance,
        "currency": account.currency,
        "collateral": [
            {"asset": item.asset, "balance": item.balance, "haircut": item.haircut}
            for item in account.collateral
        ],
        "positions": [_position(item) for item in account.positions],
    }


def _position(item: Holding) -> dict[str, Any]:
    return {
        "symbol": item.symbol,
        "quantity": item.quantity,
        "entry_price": item.entry_price,
        "leverage": item.leverage,
        "isolated_margin": item.isolated_margin,
    }
