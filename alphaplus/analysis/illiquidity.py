"""Price impact and illiquidity on bars: Kyle's lambda, Amihud's ratio, Roll's spread.

================  ==========================================================  ================
Kyle, regression  slope of the mid change on signed volume, bar by bar        Kyle 1985
Kyle, bar form    mean of dP / (V sign dP), with no aggressor flag            price per unit
Amihud            mean of |ln return| / quote volume                          2002
Roll              2 sqrt(-cov(dP_t, dP_{t-1})), 0 where the covariance > 0    1984
================  ==========================================================  ================

In the bar form the sign of a bar that did not move is that of the bar before; as such a bar
adds 0 whatever its sign, the form equals the mean of |dP| / V. Roll with `"absolute"` takes the
root of |cov| instead, as some libraries do.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import (
    CONTRACT_FIELDS,
    SECOND,
    above_zero,
    set_contract,
    whole_number,
)
from alphaplus.analysis.tape import QuoteArray, Tape, TradeArray
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RollConvention = Literal["zero", "absolute"]

_LARGEST: Final = 1e15
"""No venue trades or quotes such a quantity: a row that says so is left out."""

_BAR: Final = np.dtype(
    [
        ("number", "<i8"),  # time // period
        ("close", "<f8"),
        ("previous_close", "<f8"),  # of the bar with a trade before; nan = not known
        ("previous_change", "<f8"),
        ("volume", "<f8"),  # base units
        ("quote_volume", "<f8"),
        ("signed_volume", "<f8"),  # base units, bought less sold
        ("has_side", "<i8"),  # whether a trade said who was the aggressor
        ("is_whole", "<i8"),
    ],
    align=True,
)
_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("period", "<i8"),  # ns
        ("has_bar", "<i8"),
        ("is_broken", "<i8"),  # whether the next bar may lack trades
        ("bar", "<i8"),  # number of the newest bar with a trade
        ("last_id", "<i8"),
        ("has_mid", "<i8"),  # whether there was a quote
        ("mid_bar", "<i8"),  # number of the bar of the newest quote
        ("mid", "<i8"),  # in force, bid tick + ask tick; 0 = not known
    ],
    align=True,
)
_SLOPE, _R_SQUARED, _KYLE_BARS, _AMIHUD, _COVARIANCE = range(5)
_FLOWS, _CHANGES, _PAIRS = range(5, 8)
_RESULTS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KyleFit:
    """A least-squares line of price changes on signed volumes."""

    kyle_lambda: float
    """Quote currency per base unit."""
    r_squared: float | None
    """None if the price never moved."""


def kyle_lambda(price_changes: npt.ArrayLike, signed_volumes: npt.ArrayLike) -> KyleFit | None:
    """Fit price changes of bars on their signed volumes (base units, bought less sold).

    Least squares with an intercept (Kyle 1985; Hasbrouck 2009). None below two bars, or if all
    have the same volume.

    >>> round(kyle_lambda([0.1, -0.1, 0.2], [1.0, -1.0, 2.0]).kyle_lambda, 9)
    0.1
    """
    changes, volumes = _floats(price_changes), _floats(signed_volumes)
    slope, r_squared = _line(volumes, changes, len(changes))
    if math.isnan(slope):
        return None
    return KyleFit(kyle_lambda=slope, r_squared=_known(r_squared))


def kyle_lambda_of_bars(closes: npt.ArrayLike, volumes: npt.ArrayLike) -> float | None:
    """Return Kyle's lambda without aggressor flags: the mean of dP / (V sign dP).

    `closes` has one entry more at the front than there are bars; so has `volumes` (base units),
    whose first entry is not used. Bars without volume count for nothing. None without a bar.
    """
    prices, amounts = _floats(closes), _floats(volumes)[1:]
    return _known(_mean_ratio(np.diff(prices), amounts, len(amounts)))


def amihud_illiquidity(closes: npt.ArrayLike, quote_volumes: npt.ArrayLike) -> float | None:
    """Return the mean of |ln return| / quote volume, per unit of quote currency (Amihud 2002).

    The arrays are as in `kyle_lambda_of_bars`. None without a bar.
    """
    prices, amounts = _floats(closes), _floats(quote_volumes)[1:]
    returns = np.log1p(np.diff(prices) / prices[:-1])
    return _known(_mean_ratio(returns, amounts, len(amounts)))


def roll_spread(prices: npt.ArrayLike, convention: RollConvention = "zero") -> float | None:
    """Return the effective spread that the bounce of trade prices implies (Roll 1984).

    In price units; the covariance is that of n - 1. A covariance above 0 gives 0, or with
    `"absolute"` the root of its size. None below four prices.
    """
    if convention not in ("zero", "absolute"):
        raise ConfigError(f"Expected convention zero or absolute, was {convention!r}.")
    changes = np.diff(_floats(prices))
    if len(changes) < 3:
        return None
    covariance = _known(_covariance(changes[1:], changes[:-1], len(changes) - 1))
    return None if covariance is None else _spread(covariance, convention)


class Illiquidity(Measure):
    """Kyle's lambda, Amihud's ratio and Roll's spread on bars of exchange time.

    The window is the last `window` periods that are over. A period without trades contributes
    nothing; nor does the one in which the stream began or broke off. Changes of trade prices
    are between the last trades of consecutive bars with trades, mid changes from the begin to
    the end of a bar.
    """

    name: ClassVar[str] = "illiquidity"

    def __init__(
        self,
        instrument: Instrument,
        *,
        bar_s: float = 1.0,
        window: int = 300,
        min_bars: int = 30,
    ) -> None:
        """Follow a market; each value is None until `min_bars` bars contribute to it."""
        if not 0.001 <= above_zero("bar_s", bar_s) <= 86_400:
            raise ConfigError(f"Expected bar_s in [0.001, 86400], was {bar_s}.")
        self.instrument = instrument
        self._bar_s = bar_s
        self._window = whole_number("window", window, 3, 100_000)
        self._min_bars = whole_number("min_bars", min_bars, 3, window)
        self._state = np.zeros(1, dtype=_STATE)
        set_contract(self._state, instrument)
        self._state["period"] = round(bar_s * SECOND)
        self._state["is_broken"] = 1
        self._bars = np.zeros(window + 1, dtype=_BAR)
        self._mids = np.zeros(window + 2, dtype=np.int64)
        self._columns = np.empty((4, window))
        self._out = np.empty(_RESULTS)
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take trades and best quotes of a tape; each keeps to its own times."""
        self._now = max(self._now, tape.ts_event)
        if len(tape.trades):
            _take_trades(self._state, self._bars, tape.trades)
        if len(tape.quotes):
            _take_quotes(self._state, self._mids, tape.quotes)

    def interrupt(self) -> None:
        """Leave out the bar in progress and the next one; no change spans the hole."""
        _interrupt(self._state, self._bars, self._mids, self._now)

    def values(self) -> dict[str, Any]:
        """Return lambdas in quote per base unit, Amihud per quote unit, spreads in price units.

        `amihud_illiquidity_per_million` is the return that a quote volume of 1e6 goes with.
        """
        _read(self._state, self._bars, self._mids, self._now, self._columns, self._out)
        out = self._out.tolist()
        has_flows, has_changes, has_pairs = (
            out[at] >= self._min_bars for at in (_FLOWS, _CHANGES, _PAIRS)
        )
        slope = _known(out[_SLOPE]) if has_flows else None
        amihud = _known(out[_AMIHUD]) if has_changes else None
        covariance = _known(out[_COVARIANCE]) if has_pairs else None
        return {
            "bars": int(out[_CHANGES]),
            "bars_with_flow": int(out[_FLOWS]),
            "bars_in_pairs": int(out[_PAIRS]),
            "kyle_lambda": slope,
            "kyle_r_squared": None if slope is None else _known(out[_R_SQUARED]),
            "kyle_lambda_of_bars": _known(out[_KYLE_BARS]) if has_changes else None,
            "amihud_illiquidity": amihud,
            "amihud_illiquidity_per_million": None if amihud is None else 1e6 * amihud,
            "roll_spread": None if covariance is None else _spread(covariance, "zero"),
            "roll_spread_absolute": None if covariance is None else _spread(covariance, "absolute"),
        }

    def missing(self) -> dict[str, str]:
        """Say how many bars each value lacks."""
        values = self.values()
        wanted = {}
        for name, counted in _COUNTED.items():
            if values[name] is not None:
                continue
            if values[counted] < self._min_bars:
                wanted[name] = f"{values[counted]} of {self._min_bars} bars of {self._bar_s:g} s"
            else:
                wanted[name] = "bars that differ in volume, and a mid that moves"
        return wanted


_COUNTED: Final = {
    "kyle_lambda": "bars_with_flow",
    "kyle_r_squared": "bars_with_flow",
    "kyle_lambda_of_bars": "bars",
    "amihud_illiquidity": "bars",
    "amihud_illiquidity_per_million": "bars",
    "roll_spread": "bars_in_pairs",
    "roll_spread_absolute": "bars_in_pairs",
}
"""Which bars each value rests on."""


def _floats(values: npt.ArrayLike) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _spread(covariance: float, convention: RollConvention) -> float:
    size = abs(covariance) if convention == "absolute" else max(0.0, -covariance)
    return 2 * math.sqrt(size)


@kernel
def _take_trades(state: Any, bars: Any, trades: TradeArray) -> None:
    """Add trades to the bars of their times, never to one before the newest."""
    s = state[0]
    for i in range(len(trades)):
        trade = trades[i]
        is_good = trade.price_tick > 0 and 0 < trade.quantity < _LARGEST
        if not is_good or (trade.trade_id != 0 and trade.trade_id <= s.last_id):
            continue
        s.last_id = max(s.last_id, trade.trade_id)
        number = trade.ts_event // s.period
        is_new = s.has_bar == 0 or number > s.bar
        price = trade.price_tick * s.tick_units / s.scale
        if trade.off_market != 0 and (is_new or s.is_broken != 0):
            continue  # its price is none of the market's, so it begins no bar
        if is_new:
            _begin_bar(state, bars, number)
        bar = bars[s.bar % len(bars)]
        base = trade.quantity * s.size
        notional = base if s.inverse != 0 else base * price
        if s.inverse != 0:
            base /= price
        bar.volume += base
        bar.quote_volume += notional
        if trade.off_market == 0:
            s.is_broken = 0
            bar.close = price
            if trade.side != 0:
                bar.signed_volume += base if trade.side > 0 else -base
                bar.has_side = 1


@kernel
def _begin_bar(state: Any, bars: Any, number: int) -> None:
    s = state[0]
    bar = bars[number % len(bars)]
    close = change = np.nan
    if s.has_bar != 0 and s.is_broken == 0:
        last = bars[s.bar % len(bars)]
        close, change = last.close, last.close - last.previous_close
    bar.number = number
    bar.previous_close, bar.previous_change = close, change
    bar.volume = bar.quote_volume = bar.signed_volume = 0.0
    bar.has_side = 0
    bar.is_whole = 1 - s.is_broken
    s.has_bar = 1
    s.bar = number


@kernel
def _take_quotes(state: Any, mids: Ints, quotes: QuoteArray) -> None:
    """Keep the mid in force at the end of each bar: bid tick + ask tick, 0 if not known."""
    s = state[0]
    for i in range(len(quotes)):
        quote = quotes[i]
        twice = quote.bid_tick + quote.ask_tick
        has_sides = 0 < quote.bid_quantity < _LARGEST and 0 < quote.ask_quantity < _LARGEST
        is_valid = has_sides and quote.bid_tick < quote.ask_tick and twice > 0
        _end_bars(state, mids, quote.ts_event // s.period)
        s.mid = twice if is_valid else 0


@kernel
def _end_bars(state: Any, mids: Ints, number: int) -> None:
    """Write the mid in force as that of the ends of the bars before this one."""
    s = state[0]
    if s.has_mid == 0:
        s.has_mid = 1
        s.mid_bar = number
    for ended in range(max(s.mid_bar, number - len(mids)), number):
        mids[ended % len(mids)] = s.mid
    s.mid_bar = max(s.mid_bar, number)


@kernel
def _interrupt(state: Any, bars: Any, mids: Ints, now: int) -> None:
    s = state[0]
    if s.has_mid != 0:
        _end_bars(state, mids, now // s.period)
    s.mid = 0
    if s.has_bar != 0 and s.bar >= now // s.period:
        bar = bars[s.bar % len(bars)]
        bar.is_whole = 0
        bar.previous_close = bar.previous_change = np.nan
    s.is_broken = 1
    s.last_id = 0


@kernel
def _read(state: Any, bars: Any, mids: Ints, now: int, columns: Floats, out: Floats) -> None:
    """Collect what the window's bars contribute, and take all statistics."""
    s = state[0]
    out[:] = np.nan
    x, y, moves, amounts = columns[0], columns[1], columns[2], columns[3]
    end = now // s.period
    half_tick = s.tick_units / s.scale / 2
    window = len(bars) - 1
    flows = changes = pairs = 0
    for number in range(end - window, end):
        bar = bars[number % len(bars)]
        if s.has_bar == 0 or bar.number != number or bar.is_whole == 0 or bar.has_side == 0:
            continue
        before = _mid_at_end(state, mids, number - 1)
        after = _mid_at_end(state, mids, number)
        if before > 0 and after > 0:
            x[flows] = bar.signed_volume
            y[flows] = (after - before) * half_tick
            flows += 1
    if flows > 0:
        out[_SLOPE], out[_R_SQUARED] = _line(x, y, flows)
    for number in range(end - window, end):
        bar = bars[number % len(bars)]
        if s.has_bar == 0 or bar.number != number or bar.is_whole == 0:
            continue
        change = bar.close - bar.previous_close
        if np.isnan(change):
            continue
        x[changes] = change
        y[changes] = np.log1p(change / bar.previous_close)
        moves[changes] = bar.volume
        amounts[changes] = bar.quote_volume
        changes += 1
    if changes > 0:
        out[_KYLE_BARS] = _mean_ratio(x, moves, changes)
        out[_AMIHUD] = _mean_ratio(y, amounts, changes)
    for number in range(end - window, end):
        bar = bars[number % len(bars)]
        if s.has_bar == 0 or bar.number != number or bar.is_whole == 0:
            continue
        if not np.isnan(bar.previous_change):
            x[pairs] = bar.close - bar.previous_close
            y[pairs] = bar.previous_change
            pairs += 1
    if pairs > 1:
        out[_COVARIANCE] = _covariance(x, y, pairs)
    out[_FLOWS], out[_CHANGES], out[_PAIRS] = flows, changes, pairs


@kernel
def _mid_at_end(state: Any, mids: Ints, number: int) -> int:
    """Return the mid (bid tick + ask tick) at the end of a bar, 0 if it is not known."""
    s = state[0]
    if s.has_mid == 0 or number <= s.mid_bar - len(mids):
        return 0
    mid: int = s.mid if number >= s.mid_bar else mids[number % len(mids)]
    return mid


@kernel
def _mean_ratio(moves: Floats, amounts: Floats, count: int) -> float:
    """Return the mean of |move| / amount over the amounts above 0; nan without any."""
    total = 0.0
    used = 0
    for i in range(count):
        if amounts[i] > 0:
            total += abs(moves[i]) / amounts[i]
            used += 1
    return total / used if used > 0 else np.nan


@kernel
def _covariance(x: Floats, y: Floats, count: int) -> float:
    """Return the covariance of n - 1 of the first `count` pairs; nan below two."""
    if count < 2:
        return np.nan
    mean_x, mean_y = x[:count].mean(), y[:count].mean()
    total = 0.0
    for i in range(count):
        total += (x[i] - mean_x) * (y[i] - mean_y)
    return total / (count - 1)


@kernel
def _line(x: Floats, y: Floats, count: int) -> tuple[float, float]:
    """Return slope and R2 of y on x with an intercept; nan where they do not exist."""
    xx, yy, xy = _covariance(x, x, count), _covariance(y, y, count), _covariance(x, y, count)
    if not _varies(xx, x, count):
        return np.nan, np.nan
    return xy / xx, min(1.0, xy * xy / (xx * yy)) if _varies(yy, y, count) else np.nan


@kernel
def _varies(variance: float, values: Floats, count: int) -> bool:
    """Whether a variance is more than the rounding of values that are all alike."""
    largest = 0.0
    for i in range(count):
        largest = max(largest, abs(values[i]))
    return variance > 1e-24 * largest * largest
