"""Returns of prices on a grid, and what positions gain when they are valued anew.

A linear position of signed quantity q (base units) gains q (p' - p) in quote currency; an
inverse one of signed face Q (quote units) gains Q (1/p - 1/p') in coin, which is not linear in
the price, so nothing here works by deltas.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnSeries:
    """Log returns of equal periods in a row, oldest first; nan where a price is missing."""

    times: Times
    """When each period begins, ns UTC."""
    values: Floats
    step_ns: int

    def __len__(self) -> int:
        return len(self.values)


def log_returns(prices: npt.ArrayLike) -> Floats:
    """Return ln(p_t / p_{t-1}) (n - 1,); nan next to a price that is nan.

    Raises RiskError for a price of 0 or less, or infinite.
    """
    return np.diff(np.log(_positive(prices)))


def simple_returns(prices: npt.ArrayLike) -> Floats:
    """Return p_t / p_{t-1} - 1 (n - 1,); nan next to a price that is nan."""
    values = _positive(prices)
    found: Floats = values[1:] / values[:-1] - 1
    return found


def on_grid(times: npt.ArrayLike, values: npt.ArrayLike, step_ns: int) -> tuple[Times, Floats]:
    """Put values onto the full grid of `step_ns`, from the first time to the last.

    Times that jitter go to the nearest grid point (multiples of the step since 1970); points
    without a value are nan, and of two values at one point the later stays.
    """
    stamps = np.asarray(times, dtype=np.int64)
    found = np.asarray(values, dtype=np.float64)
    if step_ns <= 0 or stamps.shape != found.shape or not len(stamps):
        raise RiskError(f"Expected as many times as values and a step above 0, was {step_ns}.")
    points = (stamps + step_ns // 2) // step_ns
    first, last = int(points.min()), int(points.max())
    grid = np.full(last - first + 1, np.nan)
    order = np.argsort(stamps, kind="stable")
    grid[points[order] - first] = found[order]
    return np.arange(first, last + 1, dtype=np.int64) * step_ns, grid


def close_returns(times: npt.ArrayLike, closes: npt.ArrayLike, step_ns: int) -> ReturnSeries:
    """Return the log returns from close to close of candles that open at `times`.

    A missing candle makes the return into it and out of it nan: no jump across a hole.
    """
    grid, prices = on_grid(times, closes, step_ns)
    return ReturnSeries(times=grid[1:], values=log_returns(prices), step_ns=step_ns)


def non_overlapping(series: ReturnSeries, periods: int) -> ReturnSeries:
    """Sum log returns over blocks of `periods` that do not overlap and start on their grid.

    Blocks begin at multiples of the longer step since 1970 (days at 00:00 UTC). What does not
    fill a block at either end is left out; a block with a missing return is nan.
    """
    if periods < 1:
        raise RiskError(f"Expected periods above 0, was {periods}.")
    step = series.step_ns * periods
    skip = int(-(series.times[0] // series.step_ns) % periods) if len(series) else 0
    blocks = max(0, (len(series) - skip) // periods)
    values = series.values[skip : skip + blocks * periods].reshape(blocks, periods)
    return ReturnSeries(
        times=series.times[skip : skip + blocks * periods : periods],
        values=values.sum(axis=1),
        step_ns=step,
    )


def revaluation_pnl(
    quantities: npt.ArrayLike,
    prices: npt.ArrayLike,
    returns: npt.ArrayLike,
    *,
    inverse: npt.ArrayLike = False,
    in_quote: bool = True,
) -> Floats:
    """Return the gain of each position in each scenario by full revaluation, (scenarios, n).

    `quantities` (n,) are signed (short below 0): base units, or face in quote currency where
    `inverse`. `returns` (scenarios, n) are log returns. The gain of an inverse position is in
    coin, turned into quote currency at the new price unless `in_quote` is False.
    """
    held = np.asarray(quantities, dtype=np.float64)
    old = _positive(prices)
    new = old * np.exp(np.atleast_2d(np.asarray(returns, dtype=np.float64)))
    coin = np.broadcast_to(np.asarray(inverse, dtype=bool), held.shape)
    gain: Floats = held * (new - old)
    if coin.any():
        face, before, after = held[coin], old[coin], new[:, coin]
        gain[:, coin] = face * (1 / before - 1 / after) * (after if in_quote else 1.0)
    return gain


def funding_accrual(signed_notionals: npt.ArrayLike, rates: npt.ArrayLike) -> Floats:
    """Return what each position pays in funding, (n,): above 0 we pay, below 0 we receive.

    `signed_notionals` (n,) in quote currency, short below 0; `rates` (payments, n) or (n,) are
    fractions per payment expected within the horizon.
    """
    due = np.atleast_2d(np.asarray(rates, dtype=np.float64)).sum(axis=0)
    found: Floats = np.asarray(signed_notionals, dtype=np.float64) * due
    return found


def _positive(prices: npt.ArrayLike) -> Floats:
    values = np.asarray(prices, dtype=np.float64)
    bad = values[(values <= 0) | np.isinf(values)]
    if len(bad):
        raise RiskError(f"Expected prices above 0, was {bad[0]}.")
    return values
