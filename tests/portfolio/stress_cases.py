"""Markets and accounts to stress, with numbers that can be checked by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from alphaplus.analysis.market_risk import BINS, blank_market_risk
from alphaplus.leverage.account import MarginAccount, MarginPosition
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from alphaplus.portfolio.stress_inputs import StressAccount, StressHoldings, StressInputs
from alphaplus.portfolio.stress_markets import StressMarkets

NOW = 1_700_000_000_000_000_000
BTC, ETH = "BTC-USDT-PERP", "ETH-USDT-PERP"
RATE = 0.005


def row(symbol: str = BTC, exchange: str = "binance", **changes: Any) -> np.void:
    """A deep market at 100 without any liquidation level."""
    made = blank_market_risk()
    made["exchange"], made["symbol"] = exchange, symbol
    made["ts_recv"] = NOW
    made["mid"] = made["mark_price"] = 100.0
    made["sigma_per_sqrt_hour"], made["volume_24h"] = 0.01, 1e6
    made["bid_quantity"] = made["ask_quantity"] = np.full(BINS, 1e4)
    made["long_level_quantity"] = made["short_level_quantity"] = np.zeros(BINS)
    for name, value in changes.items():
        made[name] = value
    found: np.void = made[0]
    return found


def levels(*at: tuple[int, float]) -> Any:
    """Quantities of levels: (bin, base units) each."""
    found = np.zeros(BINS)
    for place, quantity in at:
        found[place] = quantity
    return found


def tier_book(*symbols: str) -> TierBook:
    """One tier of half a per cent for each symbol."""
    tier = LeverageTier(
        min_notional=0.0, max_notional=1e12, maintenance_margin_rate=RATE, max_leverage=100.0
    )
    return TierBook([TierTable.of(symbol, [tier]) for symbol in symbols or (BTC, ETH)])


TIERS = {"binance": tier_book(BTC, ETH, "BTC-USDC-PERP"), "bybit": tier_book()}


def markets(*rows: np.void, **options: Any) -> StressMarkets:
    return StressMarkets.of_rows(rows or (row(), row(ETH)), TIERS, **options)


def position(
    symbol: str = BTC, quantity: float = 10.0, leverage: float = 10.0, **changes: Any
) -> MarginPosition:
    """A position entered at 100; a quantity below 0 is short."""
    values: dict[str, Any] = {
        "symbol": symbol,
        "side": "long" if quantity > 0 else "short",
        "quantity": abs(quantity),
        "entry_price": 100.0,
        "mark_price": None,
        "leverage": leverage,
    }
    return MarginPosition(**{**values, **changes})


def account(
    *positions: MarginPosition,
    name: str = "main",
    exchange: str = "binance",
    mode: Any = "cross",
    wallet: float = 1000.0,
    venue: str | None = None,
) -> StressAccount:
    return StressAccount(
        name=name,
        exchange=exchange,
        account=MarginAccount(
            venue=venue or exchange,
            margin_mode=mode,
            position_mode="hedge",
            wallet_balance=wallet,
            positions=tuple(positions),
        ),
    )


OWN = account(position(BTC), position(ETH, 5.0))


def stress_inputs(**changes: Any) -> StressInputs:
    """What a desk gives for one account at two markets."""
    values: dict[str, Any] = {
        "rows": (row(), row(ETH)),
        "tiers": TIERS,
        "betas": {},
        "funding_rates": {},
        "holdings": StressHoldings(accounts=(OWN,)),
    }
    return StressInputs(**{**values, **changes})


def figures_of(found: Sequence[Any], name: str) -> list[Any]:
    """One field of every record."""
    return [getattr(item, name) for item in found]
