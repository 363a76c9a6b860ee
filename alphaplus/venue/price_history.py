"""What a generated market was before it began: prices of years, invented on demand.

Every number is a function of the seed, the symbol and the calendar alone, so any part can be
asked for at any time and always says the same. Hours have

- a volatility that clusters: its logarithm is an autoregression, shared in part by all symbols;
- a season of the week: busy from 13 to 17 UTC, quiet at night and at weekends;
- fat tails: Student's t of 4 degrees of freedom, correlated between symbols;
- a slow pull back to the level at which the market begins.

Minutes are a bridge between the hours. The last two days are bent so that the path ends at the
market's first price in the minute in which it begins.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.venue.candles import CANDLE, HOUR_MS, MINUTE_MS, CandleArray

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BEGINS_MS: Final = 1_672_531_200_000
"""2023-01-01 UTC: the venue has no prices before."""

_VOL_MEMORY: Final = 0.98
"""Autocorrelation of log volatility from hour to hour."""
_VOL_SPREAD: Final = 0.4
"""Standard deviation of log volatility."""
_VOL_SHARED: Final = 0.64
"""Share of the variance of log volatility that all symbols have in common."""
_RETURN_SHARED: Final = 0.55
"""Correlation of the returns of two symbols."""
_LARGEST: Final = 6.0
"""Bound of one hour's return, in standard deviations of the hour."""
_REVERSION: Final = float(np.exp(-1 / 48))
_BENT_MS: Final = 48 * HOUR_MS
_COMMON: Final = 2**20
"""The place of what is shared, behind all symbols."""
_TRADES_A_MINUTE: Final = 240
_VOL, _RETURN, _BRIDGE, _HIGH, _LOW, _TURNOVER, _PHASE = range(7)
"""Streams of noise of a symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceHistory:
    """One symbol's past. Prices in quote currency, quantities in base units."""

    seed: int
    index: int
    """Place of the symbol in the listing."""
    price: float
    """What the path ends with."""
    volatility: float
    """Standard deviation of log returns per square root of an hour."""
    turnover: float
    """Mean quantity traded in a minute."""
    open_interest: float
    """What it ends with."""

    def minutes(self, start_ms: int, end_ms: int, began_ms: int) -> CandleArray:
        """Return the minutes that open in [start, end), all before the market began."""
        first = max(start_ms, BEGINS_MS)
        first += -first % MINUTE_MS
        count = max(0, -(-(min(end_ms, began_ms) - first) // MINUTE_MS))
        found = np.zeros(count, dtype=CANDLE)
        if not count:
            return found
        minutes = first // MINUTE_MS + np.arange(count + 1)
        path = self._path(minutes, began_ms // MINUTE_MS)
        sigma, at = self._sigma(minutes[:-1]), minutes[:-1]
        found["time_ms"] = at * MINUTE_MS
        found["open"], found["close"] = path[:-1], path[1:]
        for name, stream, sign, bound in (
            ("high", _HIGH, 1, np.maximum),
            ("low", _LOW, -1, np.minimum),
        ):
            reach = np.abs(_normal(self.seed, self.index, stream, at)) * sigma * 0.5
            found[name] = bound(path[:-1], path[1:]) * np.exp(sign * reach)
        busy = (sigma / self.volatility * 60**0.5) * np.exp(
            0.6 * _normal(self.seed, self.index, _TURNOVER, at) - 0.18
        )
        found["volume"] = self.turnover * busy
        found["quote_volume"] = found["volume"] * np.sqrt(found["high"] * found["low"])
        found["trades"] = np.maximum(1, _TRADES_A_MINUTE * busy)
        return found

    def open_interest_at(self, times_ms: Integers, began_ms: int) -> Floats:
        """Return the open interest of times before the market began, in base units."""
        bent = _bend(times_ms, began_ms)
        now = self._swell(np.array([began_ms], dtype=np.int64))[0]
        return np.asarray(self.open_interest * np.exp(self._swell(times_ms) - bent * now))

    def _path(self, minutes: Integers, began: int) -> Floats:
        """Return the price at the opening of minutes, which are in a row."""
        anchor = self._level(np.array([began], dtype=np.int64))[0]
        bent = _bend(minutes * MINUTE_MS, began * MINUTE_MS)
        return np.asarray(self.price * np.exp(self._level(minutes) - bent * anchor))

    def _level(self, minutes: Integers) -> Floats:
        """Return the log of the unbent path over its mean: hours joined by Brownian bridges."""
        hours, levels = _hours(self.seed, self.index, self.volatility, int(minutes[-1]) // 60 + 2)
        first = int(minutes[0]) // 60
        within = np.arange(first * 60, (int(minutes[-1]) // 60 + 1) * 60, dtype=np.int64)
        steps = _normal(self.seed, self.index, _BRIDGE, within).reshape(-1, 60)
        walk = np.cumsum(steps, axis=1) - steps
        part = np.arange(60) / 60
        at = np.arange(len(walk)) + first - BEGINS_MS // HOUR_MS
        walk -= part * steps.sum(axis=1, keepdims=True)
        walk *= (hours[at] / 60**0.5)[:, None]
        walk += levels[at][:, None] * (1 - part) + levels[at + 1][:, None] * part
        return np.asarray(walk.ravel()[minutes - first * 60])

    def _sigma(self, minutes: Integers) -> Floats:
        """Return the standard deviation of each minute's return."""
        hours, _ = _hours(self.seed, self.index, self.volatility, int(minutes[-1]) // 60 + 2)
        return np.asarray(hours[minutes // 60 - BEGINS_MS // HOUR_MS] / 60**0.5)

    def _swell(self, times_ms: Integers) -> Floats:
        """Return slow waves, as open interest has them: of a week, of two days, of half a day."""
        days = times_ms / (24 * HOUR_MS)
        total = np.zeros(len(times_ms))
        for number, (height, period) in enumerate(((0.08, 9.3), (0.03, 2.1), (0.01, 0.46))):
            phase = _uniform(self.seed, self.index, _PHASE, np.array([number], dtype=np.int64))[0]
            total += height * np.sin(2 * np.pi * (days / period + phase))
        return total


def season(hours: Integers) -> Floats:
    """Return how volatile hours (counted from 1970) are beside their mean; mean square 1."""
    return np.asarray(_WEEK[hours % 168])


def _week() -> Floats:
    hours = np.arange(168)
    day = (hours // 24 + 3) % 7  # 1970 began on a Thursday; 0 is Monday
    of_day = 1.0 + 0.35 * np.cos(2 * np.pi * (hours % 24 - 15) / 24)
    shape = of_day * np.where(day >= 5, 0.7, 1.0)
    return np.asarray(shape / np.sqrt((shape**2).mean()))


_WEEK: Final = _week()


def _bend(times_ms: Integers, began_ms: int) -> Floats:
    return np.clip(1 - (began_ms - times_ms) / _BENT_MS, 0.0, 1.0)


@lru_cache(maxsize=16)
def _hours(seed: int, index: int, volatility: float, until: int) -> tuple[Floats, Floats]:
    """Return volatility and level of the hours since `BEGINS_MS` up to the hour `until`.

    The level has one more: where the last hour ends. One call for all hours, as both are
    recursions; asked again for a later hour, the earlier ones are the same.
    """
    until += -until % 1024  # so that the cache is hit for weeks
    hours = np.arange(BEGINS_MS // HOUR_MS, until, dtype=np.int64)
    common_vol, common_return = _common(seed, until)
    log_vol = _VOL_SHARED**0.5 * common_vol + (1 - _VOL_SHARED) ** 0.5 * _log_vol(
        seed, index, hours
    )
    sigma = volatility * np.exp(log_vol - _VOL_SPREAD**2) * season(hours)
    own = _student(_uniform(seed, index, _RETURN, hours))
    mixed = _RETURN_SHARED**0.5 * common_return + (1 - _RETURN_SHARED) ** 0.5 * own
    returns = sigma * np.clip(mixed, -_LARGEST, _LARGEST)
    levels = np.array([0.0, *accumulate(returns.tolist(), lambda x, r: _REVERSION * x + r)])
    return sigma, levels


@lru_cache(maxsize=2)
def _common(seed: int, until: int) -> tuple[Floats, Floats]:
    hours = np.arange(BEGINS_MS // HOUR_MS, until, dtype=np.int64)
    shared = _log_vol(seed, _COMMON, hours), _student(_uniform(seed, _COMMON, _RETURN, hours))
    return shared


def _log_vol(seed: int, index: int, hours: Integers) -> Floats:
    shocks = _normal(seed, index, _VOL, hours) * _VOL_SPREAD * (1 - _VOL_MEMORY**2) ** 0.5
    return np.array(list(accumulate(shocks.tolist(), lambda x, e: _VOL_MEMORY * x + e)))


def _student(uniform: Floats) -> Floats:
    """Return quantiles of Student's t of 4 degrees of freedom, scaled to variance 1.

    W. T. Shaw, "Sampling Student's T distribution", J. Comput. Finance 9 (2006), equation 37.
    """
    alpha = 4 * uniform * (1 - uniform)
    root = np.sqrt(alpha)
    q = 4 * np.cos(np.arccos(np.minimum(root, 1.0)) / 3) / root
    t = np.sign(uniform - 0.5) * np.sqrt(np.maximum(q - 4, 0.0))
    return np.asarray(t / 2**0.5)


def _normal(seed: int, index: int, stream: int, at: Integers) -> Floats:
    """Return standard normal noise (Box and Muller) of places in a stream."""
    one = _uniform(seed, index, 2 * stream + 100, at)
    other = _uniform(seed, index, 2 * stream + 101, at)
    return np.asarray(np.sqrt(-2 * np.log(one)) * np.cos(2 * np.pi * other))


def _uniform(seed: int, index: int, stream: int, at: Integers) -> Floats:
    """Return noise in (0, 1) of places in a stream: the hash splitmix64 of the place."""
    key = np.random.SeedSequence([seed, index, stream]).generate_state(1, np.uint64)
    bits = at.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return np.asarray(((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)
