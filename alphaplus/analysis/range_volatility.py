"""Volatility from the ranges of candles: more of a path than its end points tell.

With o, h, l, c the logarithms of open, high, low and close, n candles and N candles a year:

==============  ================================================================  ==============
Parkinson       sqrt(N / (4 n ln 2) sum (h - l)^2)                                1980
Garman-Klass    sqrt(N / n sum (0.5 (h - l)^2 - (2 ln 2 - 1) (c - o)^2))          1980, eq. 20
Rogers-Satchell sqrt(N / n sum ((h - c)(h - o) + (l - c)(l - o)))                 1991
Yang-Zhang      sqrt(N (Vo + k Vc + (1 - k) RS)), k = 0.34 / (1.34 + (n+1)/(n-1)) 2000, eq. 7
==============  ================================================================  ==============

Vo is the variance (n - 1) of o less the close before, Vc that of c - o, RS the mean of
Rogers-Satchell. The first two assume that the price has no drift. A market that never closes
opens where it closed, so that Yang-Zhang adds little.
"""

import math
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.candles import CandleArray, CandleSeries, CandleSource
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import whole_number
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.volatility import SECONDS_PER_YEAR
from alphaplus.instruments import Instrument

Floats = npt.NDArray[np.float64]

_ESTIMATES: Final = (
    "parkinson_annual",
    "garman_klass_annual",
    "rogers_satchell_annual",
    "yang_zhang_annual",
)


def parkinson(highs: Floats, lows: Floats, *, periods_per_year: float) -> float | None:
    """Return the volatility a year from highs and lows (Parkinson 1980); None without candles."""
    squares = np.log(highs / lows) ** 2
    return _annual(squares / (4 * math.log(2)), periods_per_year)


def garman_klass(
    opens: Floats, highs: Floats, lows: Floats, closes: Floats, *, periods_per_year: float
) -> float | None:
    """Return the volatility a year (Garman and Klass 1980); None without candles."""
    ranges, moves = np.log(highs / lows), np.log(closes / opens)
    return _annual(0.5 * ranges**2 - (2 * math.log(2) - 1) * moves**2, periods_per_year)


def rogers_satchell(
    opens: Floats, highs: Floats, lows: Floats, closes: Floats, *, periods_per_year: float
) -> float | None:
    """Return the volatility a year, whatever the drift (Rogers and Satchell 1991).

    None without candles.
    """
    return _annual(_rogers_satchell_terms(opens, highs, lows, closes), periods_per_year)


def yang_zhang(
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    previous_closes: Floats,
    *,
    periods_per_year: float,
) -> float | None:
    """Return the volatility a year, whatever drift and opening gaps (Yang and Zhang 2000).

    `previous_closes` holds for each candle the close of the one before. None below two candles.
    """
    count = len(opens)
    if count < 2:
        return None
    k = 0.34 / (1.34 + (count + 1) / (count - 1))
    overnight = float(np.var(np.log(opens / previous_closes), ddof=1))
    inside = float(np.var(np.log(closes / opens), ddof=1))
    terms = _rogers_satchell_terms(opens, highs, lows, closes)
    return _annual(overnight + k * inside + (1 - k) * terms, periods_per_year)


def _rogers_satchell_terms(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> Floats:
    up = np.log(highs / closes) * np.log(highs / opens)
    down = np.log(lows / closes) * np.log(lows / opens)
    return np.asarray(up + down)


def _annual(variances: Floats, periods_per_year: float) -> float | None:
    """Return the root of a year's variance from one estimate per candle; None if not known."""
    if not len(variances):
        return None
    mean = float(np.mean(variances))
    # Candles in which nothing moved may leave a rounding error below 0.
    return math.sqrt(max(0.0, mean) * periods_per_year) if math.isfinite(mean) else None


class RangeVolatility(Measure):
    """Range-based volatilities over the last candles of the best quotes' mid (or of trades).

    Only candles whose period the stream covered wholly count, and for Yang-Zhang only those
    whose predecessor does too.
    """

    name: ClassVar[str] = "range_volatility"

    def __init__(
        self,
        instrument: Instrument,
        *,
        candle_s: float = 10.0,
        window: int = 30,
        min_candles: int = 10,
        source: CandleSource = "mid",
    ) -> None:
        """Follow a market; None until `min_candles` of the last `window` periods have one."""
        self.instrument = instrument
        self._window = whole_number("window", window, 2, 10_000)
        self._min_candles = whole_number("min_candles", min_candles, 2, window)
        self._series = CandleSeries(
            instrument, period_s=candle_s, capacity=window + 1, source=source
        )
        self._candle_s = candle_s
        self._version: tuple[int, int] | None = None
        self._values: dict[str, Any] = {}

    def update(self, tape: Tape) -> None:
        """Take the best quotes (or trades) of a tape."""
        self._series.update(tape)

    def interrupt(self) -> None:
        """Note that candles now in progress lack a part."""
        self._series.interrupt()
        self._version = None

    def values(self) -> dict[str, Any]:
        """Return volatilities a year (fractions), and how many candles they rest on."""
        key = self._series.version
        if key is None or key != self._version:
            self._version, self._values = key, self._estimate()
        return self._values.copy()

    def _estimate(self) -> dict[str, Any]:
        candles, previous = self._candles()
        per_year = SECONDS_PER_YEAR / self._candle_s
        found: dict[str, Any] = {"candles": len(candles), "window": self._window}
        if len(candles) < self._min_candles:
            return found | dict.fromkeys(_ESTIMATES)
        opens, highs, lows, closes = (candles[name] for name in ("open", "high", "low", "close"))
        found["parkinson_annual"] = parkinson(highs, lows, periods_per_year=per_year)
        for name, estimate in (
            ("garman_klass_annual", garman_klass),
            ("rogers_satchell_annual", rogers_satchell),
        ):
            found[name] = estimate(opens, highs, lows, closes, periods_per_year=per_year)
        follows = ~np.isnan(previous)
        is_enough = np.count_nonzero(follows) >= self._min_candles
        found["yang_zhang_annual"] = (
            yang_zhang(
                opens[follows],
                highs[follows],
                lows[follows],
                closes[follows],
                previous[follows],
                periods_per_year=per_year,
            )
            if is_enough
            else None
        )
        return found

    def missing(self) -> dict[str, str]:
        """Say how many candles the window lacks."""
        candles, previous = self._candles()
        values = self.values()
        counts = {"yang_zhang_annual": int(np.count_nonzero(~np.isnan(previous)))}
        return {
            name: f"{counts.get(name, len(candles))} of {self._min_candles} candles "
            f"of {self._candle_s:g} s"
            for name, value in values.items()
            if value is None
        }

    def _candles(self) -> tuple[CandleArray, Floats]:
        """Return the whole candles of the window, and the close before each; nan if unknown."""
        candles = self._series.closed()
        first = self._series.period_number - self._window
        numbers = candles["ts"] // self._series.period_ns
        candles, numbers = candles[numbers >= first - 1], numbers[numbers >= first - 1]
        is_whole = candles["is_whole"] == 1
        previous = np.full(len(candles), np.nan)
        follows = is_whole[:-1] & (np.diff(numbers) == 1)
        previous[1:][follows] = candles["close"][:-1][follows]
        inside = is_whole & (numbers >= first)
        return candles[inside], previous[inside]
