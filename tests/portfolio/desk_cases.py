"""Markets, accounts and tiers that tests of the desk share; prices are round numbers."""

from decimal import Decimal
from typing import Any

import numpy as np

from alphaplus.analysis.market_risk import BINS, DISTANCES, MARKET_RISK, blank_market_risk
from alphaplus.analysis.state import blank_state
from alphaplus.events import FeedStatus
from alphaplus.instruments import Instrument
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from alphaplus.portfolio.desk import RiskDesk
from alphaplus.portfolio.desk_settings import DeskSettings
from alphaplus.portfolio.histories import HistorySet
from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.history_files import CandleHistory

NOW = 1_723_111_200_000_000_000
STALE_AFTER_MS = 10_000.0
BTC, ETH, INVERSE = "BTC-USDT-PERP", "ETH-USDT-PERP", "BTC-USD-BTC-PERP"
PRICES = {BTC: 50_000.0, ETH: 2_000.0, INVERSE: 50_000.0, "SOL-USDC-PERP": 100.0}
TIERS = ((0.0, 1e5, 0.004, 125.0), (1e5, 1e6, 0.005, 100.0), (1e6, 1e9, 0.01, 50.0))


def instrument(symbol: str, exchange: str = "binance") -> Instrument:
    inverse = symbol == INVERSE
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        venue_symbol=symbol.replace("-", ""),
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        contract_size=100.0 if inverse else 1.0,
        inverse=inverse,
    )


def instruments() -> list[Instrument]:
    found = [instrument(symbol) for symbol in PRICES]
    return [*found, instrument(BTC, "bybit"), instrument(ETH, "okx")]


def tier_book(symbols: tuple[str, ...] = tuple(PRICES)) -> TierBook:
    tables = []
    for symbol in symbols:
        scale = 1.0 / PRICES[symbol] if symbol == INVERSE else 1.0
        rows = [
            LeverageTier(
                min_notional=low * scale,
                max_notional=high * scale,
                maintenance_margin_rate=rate,
                max_leverage=most,
            )
            for low, high, rate, most in TIERS
        ]
        tables.append(TierTable.of(instrument(symbol).ccxt_symbol, rows))
    return TierBook(tables, venue="binance")


def state(symbol: str, exchange: str = "binance", **changes: Any) -> np.void:
    row = blank_state()
    price = PRICES[symbol]
    values = {
        "exchange": exchange,
        "symbol": symbol,
        "status": FeedStatus.SYNCED,
        "ts_event": NOW - 20_000_000,
        "ts_recv": NOW - 10_000_000,
        "ts_publish": NOW - 5_000_000,
        "mark_price": price,
        "mid": price,
        "funding_rate": 0.0001,
        "volume_24h": 1e9 / price,
        "turnover_24h": 1e9,
    }
    for name, value in (values | changes).items():
        row[name] = value
    found: np.void = row[0]
    return found


def risk_row(symbol: str, exchange: str = "binance", **changes: Any) -> np.void:
    """A market with 100 million a side within 10 %, growing with the distance."""
    row = blank_market_risk()
    assert row.dtype == MARKET_RISK
    price = PRICES[symbol]
    each = np.diff(1e9 * DISTANCES, prepend=0.0) / price
    values = {
        "exchange": exchange,
        "symbol": symbol,
        "ts_event": NOW - 20_000_000,
        "ts_recv": NOW - 10_000_000,
        "ts_publish": NOW - 5_000_000,
        "mid": price,
        "mark_price": price,
        "sigma_per_sqrt_hour": 0.006,
        "sigma_half_life_s": 600.0,
        "liquidity_score": 0.8,
        "liquidity_score_bid": 0.8,
        "liquidity_score_ask": 0.8,
        "volume_24h": 1e9 / price,
        "turnover_24h": 1e9,
        "bid_reach": 0.1,
        "ask_reach": 0.1,
        "bid_quantity": each,
        "ask_quantity": each,
        "long_level_quantity": np.zeros(BINS),
        "short_level_quantity": np.zeros(BINS),
    }
    for name, value in (values | changes).items():
        row[name] = value
    found: np.void = row[0]
    return found


def desk(*, tiers: bool = True, **options: Any) -> RiskDesk:
    """A desk on which every market has spoken and nothing is missing but histories."""
    made = RiskDesk(instruments(), stale_after_ms=STALE_AFTER_MS, settings=DeskSettings(**options))
    for item in made.board.instruments.values():
        made.take_state(state(item.symbol, item.exchange))
        made.take_risk(risk_row(item.symbol, item.exchange))
        if tiers:
            made.set_tiers(item.exchange, tier_book())
    return made


def move(made: RiskDesk, symbol: str, factor: float, exchange: str = "binance") -> None:
    """Move the mark and the mid of a market."""
    price = PRICES[symbol] * factor
    made.take_state(state(symbol, exchange, mark_price=price, mid=price))
    made.take_risk(risk_row(symbol, exchange, mark_price=price, mid=price))


def position(symbol: str = BTC, **changes: Any) -> dict[str, Any]:
    return {"symbol": symbol, "quantity": 2.0, "entry_price": PRICES[symbol]} | changes


def account(*positions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "exchange": "binance",
        "wallet_balance": 20_000.0,
        "positions": list(positions),
    } | changes


def candles(symbol: str, hours: int = 1200, seed: int = 1, scale: float = 0.006) -> CandleHistory:
    """Hourly candles that end at the price of the tests, an hour before `NOW`."""
    source = np.random.default_rng(seed)
    common = np.random.default_rng(0).standard_t(5, hours)
    returns = scale * (0.8 * common + 0.6 * source.standard_t(5, hours))
    close = np.exp(np.cumsum(returns))
    close *= PRICES[symbol] / close[-1]
    opens = np.concatenate([[close[0]], close[:-1]])
    wick = np.abs(source.normal(0, scale / 2, (2, hours)))
    last = NOW // HOUR_NS * HOUR_NS - HOUR_NS
    return CandleHistory(
        times=last - HOUR_NS * np.arange(hours - 1, -1, -1, dtype=np.int64),
        open=opens,
        high=np.maximum(opens, close) * (1 + wick[0]),
        low=np.minimum(opens, close) * (1 - wick[1]),
        close=close,
        volume=np.full(hours, 1e3),
    )


def history(*keys: str, hours: int = 1200) -> HistorySet:
    wanted = keys or tuple(item.key for item in instruments())
    return HistorySet(
        candles={
            key: candles(key.partition(":")[2], hours, seed=at + 1) for at, key in enumerate(wanted)
        }
    )


def modelled(**options: Any) -> RiskDesk:
    """A desk on which nothing at all is missing."""
    made = desk(**options)
    made.set_history(history())
    return made
