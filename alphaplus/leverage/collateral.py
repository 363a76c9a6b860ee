"""Collateral in several assets: what a wallet is worth as margin."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """The value of a wallet in the settlement asset; None while a price is missing."""

    value: float | None
    missing: tuple[str, ...]


def collateral_value(
    balances: Mapping[str, float],
    prices: Mapping[str, float | None],
    haircuts: Mapping[str, float],
) -> Collateral:
    """Return the sum of balance x price x (1 - haircut), prices in the settlement asset.

    A balance of 0 needs no price; a debt (below 0) has no haircut. An asset without a haircut
    is unknown too: to count it in full would be a guess.

    >>> collateral_value({"USDT": 100.0, "BTC": 0.01}, {"USDT": 1.0, "BTC": 60_000.0},
    ...                  {"USDT": 0.0, "BTC": 0.05}).value
    670.0
    """
    total, missing = 0.0, []
    for asset, balance in balances.items():
        price, haircut = prices.get(asset), haircuts.get(asset)
        if balance == 0:
            continue
        if price is None:
            missing.append(f"price of {asset}")
        elif haircut is None:
            missing.append(f"haircut of {asset}")
        else:
            total += balance * price * (1.0 - haircut if balance > 0 else 1.0)
    return Collateral(value=None if missing else total, missing=tuple(missing))
