"""How likely a price touches a liquidation price within a horizon: a model, not validated.

The log price is a Brownian motion with drift; its first passage has a closed form (Harrison,
1985, sec. 1.8). Real prices jump and their volatility clusters, so the far tail is too low.
Not scored against real liquidations yet: show it as "model, not validated".
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, ndtr

Floats = npt.NDArray[np.float64]


def first_passage_probability(
    distance: npt.ArrayLike,
    horizon_s: npt.ArrayLike,
    variance_per_s: npt.ArrayLike,
    drift_per_s: npt.ArrayLike = 0.0,
) -> Floats:
    """Return the probability, in [0, 1], that a Brownian motion falls by `distance` in time.

    `distance` is in log price (|ln(S/L)|; 0 or less: there already, so 1), the variance and
    the drift are of the log price per second, drift > 0 away from the barrier. Broadcasts, nan
    where an input is nan. P = Phi((-a - mu h)/(s sqrt h)) + exp(-2 mu a/s^2) Phi((-a + mu h)/(s
    sqrt h)); with no drift 2 Phi(-a/(s sqrt h)). Raises ValueError if a horizon or a variance
    is below 0.

    >>> float(first_passage_probability(0.01, 3600.0, 1e-4 / 3600.0).round(6))
    0.317311
    """
    a, h, variance, drift = np.broadcast_arrays(
        *(np.asarray(value, np.float64) for value in (distance, horizon_s, variance_per_s)),
        np.asarray(drift_per_s, np.float64),
    )
    if (h < 0).any() or (variance < 0).any():
        raise ValueError("Expected horizon_s and variance_per_s of at least 0, was one below.")
    with np.errstate(all="ignore"):  # what is 0/0 or infinite here is replaced below
        sd = np.sqrt(variance) * np.sqrt(h)
        toward, away = (-a - drift * h) / sd, (-a + drift * h) / sd
        # exp(-2 mu a/s^2) phi(away) = phi(toward), so nothing overflows if Phi is scaled so
        scaled = 0.5 * np.exp(-0.5 * toward**2) * erfcx(-away / math.sqrt(2.0))
        plain = np.exp(-2.0 * drift * a / variance) * ndtr(away)
        chance = np.clip(ndtr(toward) + np.where(away > 0, plain, scaled), 0.0, 1.0)
        certain = np.where(-drift * h >= a, 1.0, 0.0)  # no noise: the drift alone decides
    chance = np.where(sd == 0, certain, chance)
    chance = np.where(np.isposinf(a), 0.0, chance)
    chance = np.where(a <= 0, 1.0, chance)
    unknown = np.isnan(a) | np.isnan(h) | np.isnan(variance) | np.isnan(drift)
    return np.asarray(np.where(unknown, np.nan, chance))


def liquidation_probability(
    side: npt.ArrayLike,
    price: npt.ArrayLike,
    liquidation_price: npt.ArrayLike,
    horizon_s: npt.ArrayLike,
    variance_per_s: npt.ArrayLike,
    drift_per_s: npt.ArrayLike = 0.0,
) -> Floats:
    """Return the probability that a position's liquidation price is touched within a horizon.

    `side` is +1 for long (liquidated from above) and -1 for short; `drift_per_s` is that of the
    log price, the martingale being -variance_per_s / 2. 1 where the price is at or beyond
    it already, 0 for a long's liquidation price of 0 (it has none). Broadcasts. Raises
    ValueError if a side is neither or a price is not above 0.

    >>> liquidation_probability([1, -1], 100.0, [90.0, 90.0], 60.0, 0.0).tolist()
    [0.0, 1.0]
    """
    sides, now, barrier = (
        np.asarray(value, np.float64) for value in (side, price, liquidation_price)
    )
    if (np.abs(sides) != 1).any():
        raise ValueError(f"Expected side +1 or -1, was {sides.tolist()}.")
    if (now <= 0).any() or (barrier < 0).any():
        raise ValueError("Expected a price above 0 and a liquidation price of at least 0.")
    with np.errstate(divide="ignore"):
        distance = sides * (np.log(now) - np.log(barrier))
    drift: Any = np.asarray(drift_per_s, np.float64)
    return first_passage_probability(distance, horizon_s, variance_per_s, sides * drift)
