"""A market of invented symbols: seedable, endless, and it knows its own truth."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.venue.candles import MINUTE_MS, CandleArray, joined
from alphaplus.venue.generated_market import (
    SymbolMarket,
    SymbolProfile,
    hourly_volatility,
    minute_turnover,
)
from alphaplus.venue.planted_accounts import PlantedAccounts
from alphaplus.venue.price_history import BEGINS_MS, PriceHistory
from alphaplus.venue.price_moves import PriceMove
from alphaplus.venue.protocol import Channel, Listing, Ticker, depth_snapshot
from alphaplus.venue.source import Publish, listed_names

STEP_NS: Final = 100_000_000
"""Market time between two depth messages of a symbol."""
MAX_LATE_STEPS: Final = 20
"""A symbol that is later than this (a machine that slept) skips ahead."""
MAX_MINUTES: Final = 90_000
"""So many minutes of history are made at once: a few dozen milliseconds."""

_PROFILES: Final = {
    # price, its decimals, quantity's decimals, book notional per basis point, volatility a year
    "BTC": SymbolProfile(61_800.0, 1, 3, 1_500_000.0, 0.55),
    "ETH": SymbolProfile(2_680.0, 2, 3, 1_000_000.0, 0.7),
    "SOL": SymbolProfile(155.0, 2, 1, 400_000.0, 0.9),
    "BNB": SymbolProfile(512.0, 2, 2, 200_000.0, 0.6),
    "XRP": SymbolProfile(0.612, 4, 1, 250_000.0, 0.8),
    "DOGE": SymbolProfile(0.1035, 5, 0, 200_000.0, 1.0),
    "ADA": SymbolProfile(0.348, 4, 0, 100_000.0, 0.85),
    "AVAX": SymbolProfile(22.4, 3, 0, 90_000.0, 1.0),
    "LINK": SymbolProfile(10.35, 3, 2, 90_000.0, 0.95),
    "LTC": SymbolProfile(59.8, 2, 3, 90_000.0, 0.75),
}


class GeneratedSource:
    """Independent symbols, each of its own random stream; a symbol begins with its first listener.

    The content depends on the seed, on the number of steps, and on what was planted and moved at
    which of them; never on a clock. What a symbol was before it began does: see `price_history`.
    """

    has_mark_price = False
    has_aggregate_trades = False

    def __init__(self, symbol_count: int, seed: int) -> None:
        self._seed = seed
        self.listings: list[Listing] = []
        self.planted = PlantedAccounts()
        self._markets: list[SymbolMarket] = []
        self._histories: list[PriceHistory] = []
        for index, name in enumerate(listed_names(symbol_count)):
            rng = np.random.default_rng([seed, index])
            profile = _PROFILES.get(name.removesuffix("USDT")) or _invented(rng)
            self._markets.append(SymbolMarket(name, profile, rng, self.planted))
            self.listings.append(self._markets[-1].listing)
            self._histories.append(
                PriceHistory(
                    seed=seed,
                    index=index,
                    price=self._markets[-1].index_price,
                    volatility=hourly_volatility(profile),
                    turnover=minute_turnover(profile),
                    open_interest=self._markets[-1].open_interest,
                )
            )
        self._due_ns: list[int | None] = [None] * symbol_count
        self.skipped_steps = [0] * symbol_count

    def start(self, index: int, channel: Channel, market_ns: int) -> None:
        """Begin a symbol; symbols are spread over the step so that they do not beat together."""
        if self._due_ns[index] is None:
            self._due_ns[index] = market_ns + STEP_NS * index // len(self._markets)

    def advance(self, market_ns: int, wall_ns: int, publish: Publish) -> int:
        """Step every symbol that is due."""
        soonest = market_ns + STEP_NS
        for index, market in enumerate(self._markets):
            due_ns = self._due_ns[index]
            if due_ns is None:
                continue
            if market_ns - due_ns > MAX_LATE_STEPS * STEP_NS:
                late = (market_ns - due_ns) // STEP_NS
                self.skipped_steps[index] += late
                due_ns += late * STEP_NS
            while due_ns <= market_ns:
                for channel, payload in market.step(STEP_NS / 1e9, wall_ns // 1_000_000):
                    publish(index, channel, payload)
                due_ns += STEP_NS
            self._due_ns[index] = due_ns
            soonest = min(soonest, due_ns)
        return soonest

    def catch_up(self, index: int) -> bool:
        """Nothing to catch up with: the book is always of this moment."""
        return True

    def snapshot(self, index: int, limit: int, wall_ns: int, held: bool) -> bytes:
        """Return the REST book of this moment."""
        market = self._markets[index]
        bids, asks = market.levels(limit)
        return depth_snapshot(market.sequence, wall_ns // 1_000_000, bids, asks)

    def book(self, index: int) -> dict[str, Any]:
        """Return the whole book."""
        bids, asks = self._markets[index].levels()
        return {"lastUpdateId": self._markets[index].sequence, "bids": bids, "asks": asks}

    def ticker(self, index: int, wall_ns: int) -> Ticker:
        """Return prices since the symbol began, and volumes of 24 hours."""
        return self._markets[index].ticker(wall_ns // 1_000_000)

    def trades(self, index: int, limit: int) -> list[dict[str, Any]]:
        """Return the latest trades."""
        return self._markets[index].latest_trades(limit)

    def funding_rate(self, index: int, period: int) -> float:
        """Return a past funding rate, scattered about the base rate."""
        rng = np.random.default_rng([self._seed, index, period])
        return float(np.clip(rng.normal(1e-4, 6e-5), -3e-3, 3e-3))

    def candles(
        self, index: int, *, mark: bool, step_ms: int, start_ms: int, end_ms: int, wall_ns: int
    ) -> CandleArray:
        """Return candles from before the market began, and of what it has done since."""
        now_ms = wall_ns // 1_000_000
        market, history = self._markets[index], self._histories[index]
        market.begin(now_ms)
        bars = market.mark_bars if mark else market.trade_bars
        own = bars.rows(now_ms)
        began = int(own["time_ms"][0]) if bars.began_ms is None else bars.began_ms
        first_ms = max(start_ms, BEGINS_MS)
        stop_ms = min(end_ms, now_ms) // step_ms * step_ms + step_ms
        window_ms = max(step_ms, MAX_MINUTES * MINUTE_MS // step_ms * step_ms)
        found = [own[:0]]
        for start in range(first_ms + -first_ms % step_ms, stop_ms, window_ms):
            end = min(start + window_ms, stop_ms)
            lived = own[(own["time_ms"] >= start) & (own["time_ms"] < end)]
            past = history.minutes(start, end, began)
            found.append(joined(np.concatenate([past, lived]), step_ms))
        return np.concatenate(found)

    def open_interest_at(
        self, index: int, times_ms: npt.NDArray[np.int64], wall_ns: int
    ) -> npt.NDArray[np.float64]:
        """Return the open interest at times, nan where it is not known."""
        now_ms = wall_ns // 1_000_000
        market, history = self._markets[index], self._histories[index]
        market.begin(now_ms)
        own = market.interest_bars.rows(now_ms)
        began = int(own["time_ms"][0])
        at = np.searchsorted(own["time_ms"], times_ms, "right") - 1
        lived = own["open"][np.maximum(at, 0)]
        return np.where(at < 0, history.open_interest_at(times_ms, began), lived)

    def move(self, index: int, move: PriceMove) -> dict[str, Any]:
        """Begin to move a symbol's price; raises ConfigError where its quotes cannot follow."""
        market = self._markets[index]
        moves = market.move(move, STEP_NS / 1e9)
        symbol, mark = market.listing.symbol, market.mark_price
        return {"symbol": symbol, "mark_price": mark, "moves": moves}

    def state(self, index: int) -> dict[str, Any]:
        """Return counts of what was sent."""
        return {
            "started": self._due_ns[index] is not None,
            "ended": False,
            "skipped_steps": self.skipped_steps[index],
            **self._markets[index].state(),
        }


def _invented(rng: np.random.Generator) -> SymbolProfile:
    """Return a plausible altcoin: five significant digits of price, a book of 20-100k per bp."""
    exponent = float(rng.uniform(-1.5, 2.0))
    return SymbolProfile(
        price=10.0**exponent,
        price_decimals=4 - int(np.floor(exponent)),
        lot_decimals=max(0, int(np.floor(exponent))),
        notional_per_bp=float(rng.uniform(20_000.0, 100_000.0)),
        volatility=float(rng.uniform(0.8, 1.4)),
    )
