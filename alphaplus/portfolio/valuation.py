"""What positions are worth and how much margin they use, at the marks of a moment.

Values are in the quote currency of each instrument. A value that needs an unknown mark is None,
and so is every total that would have to leave it out, or to add up different currencies.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from alphaplus.portfolio.accounts import Account, Holding
from alphaplus.portfolio.board import Mark, MarketBoard
from alphaplus.portfolio.currencies import common_currency


def value_accounts(
    accounts: Sequence[Account], board: MarketBoard, now_ns: int, at_par: tuple[str, ...]
) -> dict[str, Any]:
    """Return every position and the totals, as plain values."""
    rows = [
        value_position(account, item, board.mark(item.key, now_ns))
        for account in accounts
        for item in account.positions
    ]
    common = common_currency((a.quote for a in accounts if a.positions), at_par)
    one = common.currency is not None or not rows
    missing = [*(() if one else common.missing), *(r for row in rows for r in row["missing"])]

    def total(name: str, *, absolute: bool = False) -> float | None:
        values = (row[name] for row in rows)
        return _sum(abs(v) if absolute and v is not None else v for v in values) if one else None

    return {
        "positions": rows,
        "currency": common.currency,
        "at_par": list(common.at_par),
        "gross_notional": total("notional", absolute=True),
        "net_notional": total("notional"),
        "unrealized_pnl": total("unrealized_pnl"),
        "margin_used": total("margin_used"),
        "missing": list(dict.fromkeys(missing)),
    }


def value_position(account: Account, item: Holding, mark: Mark) -> dict[str, Any]:
    """Return one position at a mark; the profit of an inverse contract is converted at it."""
    notional = pnl = margin = None
    price, size = mark.price, item.side * item.size
    if price is not None:
        if item.instrument.inverse:
            notional, pnl = size, size * (price / item.entry_price - 1)
        else:
            notional, pnl = size * price, size * (price - item.entry_price)
        margin = abs(notional) / item.leverage
    return {
        "account": account.id,
        "symbol": item.symbol,
        "exchange": account.exchange,
        "quantity": item.quantity,
        "entry_price": item.entry_price,
        "leverage": item.leverage,
        "mark_price": price,
        "notional": notional,
        "unrealized_pnl": pnl,
        "margin_used": margin,
        "missing": list(mark.missing),
    }


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else math.fsum(v for v in known if v is not None)
