"""Quotes of two market-making models, and the arrival rates that they need.

Both take fills of a quote at distance delta from the mid to arrive at rate A exp(-k delta).
A model's fill on paper is no fill: a resting order is filled only when it is traded through,
or when the size ahead of it is used up, never because the price touched it.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.as_of import Floats, Times
from alphaplus.errors import ConfigError

WINDOW_NS: Final = 100_000_000
"""Length of the windows in which arrivals are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """Where a model would quote: numbers, or arrays for arrays of inventories."""

    bid: Floats
    ask: Floats
    reservation: Floats
    """The price at which the model would as soon buy as sell."""


def reservation_price(
    mid: npt.ArrayLike,
    inventory: npt.ArrayLike,
    *,
    gamma: float,
    sigma: float,
    time_left: npt.ArrayLike,
) -> Floats:
    """Return s - q gamma sigma^2 (T - t) (Avellaneda and Stoikov, 2008, eq. 3.17).

    `sigma` is the standard deviation of the price itself per square root of the time unit,
    `gamma` the risk aversion. With sigma in place of its square it is another model.
    """
    _check_above_zero(gamma=gamma)
    risk = gamma * sigma**2 * np.asarray(time_left, np.float64)
    return np.asarray(np.asarray(mid, np.float64) - np.asarray(inventory, np.float64) * risk)


def optimal_spread(*, gamma: float, sigma: float, k: float, time_left: npt.ArrayLike) -> Floats:
    """Return ask - bid = gamma sigma^2 (T - t) + (2/gamma) ln(1 + gamma/k) (the same, 3.18)."""
    _check_above_zero(gamma=gamma, k=k)
    risk = gamma * sigma**2 * np.asarray(time_left, np.float64)
    return np.asarray(risk + 2.0 / gamma * math.log1p(gamma / k))


def avellaneda_stoikov(
    mid: npt.ArrayLike,
    inventory: npt.ArrayLike,
    *,
    gamma: float,
    sigma: float,
    k: float,
    time_left: npt.ArrayLike,
) -> Quotes:
    """Return quotes about the reservation price, which leans against the inventory.

    `mid` in price units, `inventory` signed; broadcasts. A bid may come above the mid.
    """
    centre = reservation_price(mid, inventory, gamma=gamma, sigma=sigma, time_left=time_left)
    half = optimal_spread(gamma=gamma, sigma=sigma, k=k, time_left=time_left) / 2.0
    return Quotes(bid=centre - half, ask=centre + half, reservation=centre)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glft:
    """Half-spread and skew per unit of inventory, in the price unit of sigma and 1/k."""

    half_spread: float
    skew: float


def glft(
    *, gamma: float, sigma: float, intensity: float, k: float, order_size: float = 1.0
) -> Glft:
    """Return the closed-form quotes far from the end (Gueant, Lehalle, Fernandez-Tapia, 2013).

    `intensity` is A, in fills per second at distance 0, `sigma` in price per square root of a
    second, `k` per price unit, with xi = gamma. Volatility 0 leaves no skew.
    """
    _check_above_zero(gamma=gamma, intensity=intensity, k=k, order_size=order_size)
    if not sigma >= 0:
        raise ConfigError(f"Expected sigma of at least 0, was {sigma}.")
    risk = gamma * order_size
    log_growth = math.log1p(risk / k)
    c1 = log_growth / risk
    power = math.exp((k / risk + 1.0) * log_growth)
    c2 = math.sqrt(gamma / (2.0 * intensity * order_size * k) * power)
    return Glft(half_spread=c1 + order_size / 2.0 * c2 * sigma, skew=c2 * sigma)


def glft_quotes(mid: npt.ArrayLike, inventory: npt.ArrayLike, model: Glft) -> Quotes:
    """Return the quotes of a GLFT model: bid at mid - (half-spread + skew q), ask mirrored."""
    centre = np.asarray(mid, np.float64) - model.skew * np.asarray(inventory, np.float64)
    return Quotes(
        bid=centre - model.half_spread, ask=centre + model.half_spread, reservation=centre
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """How often trades reach a distance from the mid: arrivals per second, one per distance.

    0 where none did; nan where every window was reached, so that its rate cannot be told.
    """

    distances: Floats
    rates: Floats


def arrival_rates(
    times: Times,
    reaches: Floats,
    distances: npt.ArrayLike,
    *,
    begin_ns: int,
    end_ns: int,
    window_ns: int = WINDOW_NS,
) -> Arrivals:
    """Return for each distance the rate at which trades come so far from the mid.

    `times` (ns) and `reaches` (D (price - mid before), of trades in any unit of price) are one
    to one; `distances` are in that unit. A window counts for a distance if its farthest trade
    reached it, so a burst is one arrival; rate = -ln(1 - share of windows) / window, which for
    Poisson arrivals is exact. Trades outside [begin_ns, end_ns) and an unfinished last window
    are left out.
    """
    windows = (end_ns - begin_ns) // window_ns
    if window_ns < 1 or windows < 1:
        raise ConfigError(f"Expected a time of at least one window, was {end_ns - begin_ns} ns.")
    grid = np.atleast_1d(np.asarray(distances, np.float64))
    at = (np.asarray(times, np.int64) - begin_ns) // window_ns
    inside = (at >= 0) & (at < windows)
    farthest = np.full(windows, -np.inf)
    np.maximum.at(farthest, at[inside], np.asarray(reaches, np.float64)[inside])
    share = 1.0 - np.searchsorted(np.sort(farthest), grid, "left") / windows
    with np.errstate(divide="ignore"):
        rates = -np.log1p(-share) / (window_ns / 1e9)
    return Arrivals(distances=grid, rates=np.where(share < 1.0, np.abs(rates), np.nan))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """Parameters of A exp(-k delta)."""

    intensity: float
    """A, arrivals per second at the mid."""
    k: float
    """Per unit of distance."""


def calibrate_intensity(arrivals: Arrivals, *, nearest: int = 20) -> Intensity | None:
    """Fit ln rate = ln A - k delta by least squares over the nearest distances with arrivals.

    The law holds near the touch only: far rates come of a few large orders. None if fewer than
    5 distances have arrivals, or if the rate does not fall with distance.
    """
    if nearest < 5:
        raise ConfigError(f"Expected nearest of at least 5 distances, was {nearest}.")
    order = np.argsort(arrivals.distances, kind="stable")
    distances, rates = arrivals.distances[order], arrivals.rates[order]
    reached = np.isfinite(rates) & (rates > 0)
    x, y = distances[reached][:nearest], np.log(rates[reached][:nearest])
    if len(x) < 5 or x[0] == x[-1]:
        return None
    centred = x - x.mean()
    slope = float(np.dot(centred, y) / np.dot(centred, centred))
    if slope >= -1e-12 * float(np.abs(y).max()) / float(x[-1] - x[0]):
        return None
    return Intensity(intensity=math.exp(float(y.mean()) - slope * float(x.mean())), k=-slope)


def _check_above_zero(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"Expected {name} above 0, was {value}.")
