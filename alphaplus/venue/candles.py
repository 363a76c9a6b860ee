"""Candles of the venue: minutes as rows, joined to longer steps, as Binance states them.

Format of /fapi/v1/klines and markPriceKlines:
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api.
"""

from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.venue.protocol import Listing, decimal

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
STEPS_MS: Final = {
    "1m": MINUTE_MS, "3m": 3 * MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS, "1h": HOUR_MS, "2h": 2 * HOUR_MS, "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS, "8h": 8 * HOUR_MS, "12h": 12 * HOUR_MS, "1d": 24 * HOUR_MS,
}  # fmt: skip
"""The intervals that the venue has, in ms; all are parts of a day, which begins at midnight UTC."""

CANDLE: Final = np.dtype(
    [
        ("time_ms", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"),
        ("volume", "f8"), ("quote_volume", "f8"), ("trades", "i8"),
    ]
)  # fmt: skip
"""One candle: when it opens, prices in quote currency, volumes in base and quote, trades."""

CandleArray = npt.NDArray[np.void]

KEPT_MINUTES: Final = 30 * 1440
"""How long a market's own minutes are kept."""


def joined(minutes: CandleArray, step_ms: int) -> CandleArray:
    """Join candles in a row to candles of a longer step; the first and last may be incomplete."""
    if not len(minutes):
        return minutes
    opens = minutes["time_ms"] // step_ms * step_ms
    begins = np.concatenate(([0], np.flatnonzero(np.diff(opens)) + 1))
    ends = np.append(begins[1:], len(minutes)) - 1
    found = np.zeros(len(begins), dtype=CANDLE)
    found["time_ms"] = opens[begins]
    found["open"], found["close"] = minutes["open"][begins], minutes["close"][ends]
    found["high"] = np.maximum.reduceat(minutes["high"], begins)
    found["low"] = np.minimum.reduceat(minutes["low"], begins)
    for name in ("volume", "quote_volume", "trades"):
        found[name] = np.add.reduceat(minutes[name], begins)
    return found


def of_ticks(
    times_ms: npt.NDArray[np.int64],
    prices: npt.NDArray[np.float64],
    quantities: npt.NDArray[np.float64],
) -> CandleArray:
    """Return a candle for each price, to be joined; `quantities` are 0 where nothing traded."""
    found = np.zeros(len(times_ms), dtype=CANDLE)
    found["time_ms"] = times_ms
    for name in ("open", "high", "low", "close"):
        found[name] = prices
    found["volume"], found["quote_volume"] = quantities, quantities * prices
    found["trades"] = quantities > 0
    return found


class MinuteBars:
    """Minutes of one running price, beginning with the first word of it.

    A minute without a trade is flat at the last price. Times are ms UTC and never go back.
    """

    def __init__(self) -> None:
        self.began_ms: int | None = None
        """Opening of the first minute; None while nothing has begun."""
        self._closed: deque[tuple[float, ...]] = deque(maxlen=KEPT_MINUTES)
        self._bar: list[float] = []  # time, open, high, low, close, volume, quote volume, trades
        self._is_empty = True  # the bar has no price of its own yet

    def add(self, now_ms: int, price: float, quantity: float = 0.0, trades: int = 0) -> None:
        """Take in a price, and what was traded at it (base units)."""
        minute = now_ms - now_ms % MINUTE_MS
        if not self._bar:
            self.began_ms = minute
        elif minute > self._bar[0]:
            self._close_until(minute)
        if self._is_empty:
            self._bar, self._is_empty = _flat(minute, price), False
        bar = self._bar
        bar[2], bar[3], bar[4] = max(bar[2], price), min(bar[3], price), price
        bar[5] += quantity
        bar[6] += quantity * price
        bar[7] += trades

    def rows(self, now_ms: int) -> CandleArray:
        """Return every minute kept, oldest first; the last is the one of `now_ms`."""
        if not self._bar:
            return np.zeros(0, dtype=CANDLE)
        self._close_until(now_ms - now_ms % MINUTE_MS)
        return np.array([*self._closed, tuple(self._bar)], dtype=CANDLE)

    def _close_until(self, minute: int) -> None:
        """Close the bar and what passed since without a price."""
        passed = int(minute - self._bar[0]) // MINUTE_MS
        if passed <= 0:
            return
        self._closed.append(tuple(self._bar))
        last = self._bar[4]
        for ago in range(min(passed - 1, KEPT_MINUTES), 0, -1):
            self._closed.append(tuple(_flat(minute - ago * MINUTE_MS, last)))
        self._bar, self._is_empty = _flat(minute, last), True


def kline(candle: Any, listing: Listing, step_ms: int, *, mark: bool) -> list[Any]:
    """Return one candle as Binance's list; mark candles carry zeros for what is traded."""
    p, q = (8, 8) if mark else (listing.price_decimals, listing.lot_decimals)
    prices = [decimal(float(candle[name]), p) for name in ("open", "high", "low", "close")]
    time_ms = int(candle["time_ms"])
    volume, quote = float(candle["volume"]), float(candle["quote_volume"])
    # half of what is traded is taken by buyers: the venue's flow is symmetric
    traded = ["0"] * 2 if mark else [decimal(volume, q), decimal(quote, 2)]
    bought = ["0"] * 2 if mark else [decimal(volume / 2, q), decimal(quote / 2, 2)]
    count = step_ms // 1000 if mark else int(candle["trades"])
    return [time_ms, *prices, traded[0], time_ms + step_ms - 1, traded[1], count, *bought, "0"]


def _flat(minute: float, price: float) -> list[float]:
    return [minute, price, price, price, price, 0.0, 0.0, 0]
