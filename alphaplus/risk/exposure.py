"""How much a portfolio holds: sums of notional at the mark, concentration, time to leave.

Notionals are signed (negative is short), in quote currency.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Sums of notional, quote currency; all but `net` are 0 or more."""

    gross: float
    net: float
    long: float
    short: float


def exposure_of(notional: Floats) -> Exposure:
    """Return the sums over positions (n,) of signed notional; legs of a hedge count each.

    >>> exposure_of(np.array([100.0, -40.0])).net
    60.0
    """
    long = float(np.sum(notional, where=notional > 0))
    short = -float(np.sum(notional, where=notional < 0))
    return Exposure(gross=long + short, net=long - short, long=long, short=short)


def beta_exposure(notional: Floats, betas: Floats) -> float:
    """Return the notional of the reference asset that moves as much: sum of notional x beta."""
    held = notional != 0
    return float(notional[held] @ betas[held])


def concentration_hhi(notional: Floats) -> float | None:
    """Return the sum of squared shares of gross notional, in [1/n, 1]; None if nothing is held.

    Herfindahl (1950) and Hirschman (1945). Give notionals by symbol for the concentration in
    symbols.

    >>> concentration_hhi(np.array([50.0, -50.0]))
    0.5
    """
    sizes = np.abs(notional)
    gross = float(sizes.sum())
    return float(np.square(sizes / gross).sum()) if gross > 0 else None


def effective_leverage(gross: float, equity: float) -> float | None:
    """Return gross exposure / equity; None unless equity is above 0.

    It is not the leverage that was set at the venue, which says only what margin is asked for.
    """
    return gross / equity if equity > 0 else None


def days_to_exit(notional: Floats, daily_volume: Floats, participation: float = 0.1) -> Floats:
    """Return |notional| / (participation x average daily volume), in days; 0 where flat.

    Both in quote currency; `participation` is the share of the volume that we may take. nan
    where the volume is unknown, infinite where it is 0.
    """
    sizes = np.abs(notional)
    with np.errstate(divide="ignore", invalid="ignore"):
        days = sizes / (participation * daily_volume)
    return np.where(sizes == 0, 0.0, days)


def distance_to_liquidation(marks: Floats, liquidation_prices: Floats) -> Floats:
    """Return |mark - liquidation price| / mark, a fraction; nan where there is no such price."""
    return np.asarray(np.abs(marks - liquidation_prices) / marks)


def funding_cost(notional: Floats, funding_rates: Floats) -> float:
    """Return the next payment at the current rates, quote currency; positive: we pay.

    A positive rate is paid by the long to the short. Rates are fractions per funding period,
    all of one period; rates of symbols that are not held do not matter.
    """
    held = notional != 0
    return float(notional[held] @ funding_rates[held])
