"""Named stress scenarios: what happens to prices, depth, funding, collateral and venues.

Sizes follow what desks and risk providers ask for; they are conventions, not forecasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError

Floats = npt.NDArray[np.float64]

COMMON_SHOCKS: Final = (0.05, 0.10, 0.20, 0.30)
ALT_FACTOR: Final = 1.5
ALT_SHOCK: Final = 0.20
SIGMAS: Final = 3.0
"""How many daily standard deviations all move together where correlation goes to 1."""
DEPTH_FACTORS: Final = (0.3, 0.1)
FUNDING_FACTOR: Final = 10.0
OUTAGE_SHOCK: Final = 0.10
STABLECOIN_SHOCK: Final = -0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that may happen; what it does not name stays as it is."""

    name: str
    returns: Floats
    """Simple return of each symbol's price, (symbols,), above -1."""
    depth: float | None = None
    """Share of the depth that is left for closing everything at once; None: nothing is closed."""
    funding: float = 0.0
    """How many times the next funding is paid."""
    collateral: float = 0.0
    """Return of the wallet balance, for collateral that is not what it says."""
    outage: int | None = None
    """Venue whose positions count for nothing, as their gains cannot be taken."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.returns) & (self.returns > -1)).all():
            raise RiskError(f"Expected returns above -1 in {self.name}, was not so.")
        if self.depth is not None and not 0 < self.depth <= 1:
            raise RiskError(f"Expected depth above 0 to 1 in {self.name}, was {self.depth}.")
        if not self.collateral >= -1:
            raise RiskError(f"Expected collateral from -1 in {self.name}, was {self.collateral}.")


def common_shocks(symbols: int) -> tuple[Scenario, ...]:
    """Return every price down and up by each of `COMMON_SHOCKS`."""
    return tuple(
        Scenario(name=f"common_{_way(sign)}_{size:.0%}".rstrip("%"), returns=np.full(symbols, move))
        for size in COMMON_SHOCKS
        for sign in (-1, 1)
        for move in (sign * size,)
    )


def beta_shocks(betas: Floats) -> tuple[Scenario, ...]:
    """Return the reference asset down and up by each of `COMMON_SHOCKS`, others by their beta.

    What would fall to nothing or below keeps a hundredth of its price.
    """
    return tuple(
        Scenario(
            name=f"btc_{_way(sign)}_{size:.0%}".rstrip("%"),
            returns=np.maximum(betas * sign * size, -0.99),
        )
        for size in COMMON_SHOCKS
        for sign in (-1, 1)
    )


def alt_shocks(symbols: int, reference: int) -> tuple[Scenario, ...]:
    """Return the symbol `reference` down and up by `ALT_SHOCK`, all others 1.5 times as far."""
    found = []
    for sign in (-1, 1):
        returns = np.full(symbols, sign * ALT_SHOCK * ALT_FACTOR)
        returns[reference] = sign * ALT_SHOCK
        found.append(Scenario(name=f"alts_x1.5_{_way(sign)}", returns=returns))
    return tuple(found)


def together(sigma: Floats) -> tuple[Scenario, ...]:
    """Return all prices down and up at once by `SIGMAS` times their daily `sigma`."""
    return tuple(
        Scenario(
            name=f"correlation_one_{_way(sign)}",
            returns=np.maximum(sign * SIGMAS * sigma, -0.99),
        )
        for sign in (-1, 1)
    )


def thin_books(symbols: int) -> tuple[Scenario, ...]:
    """Return depth falling to each of `DEPTH_FACTORS` while all is closed."""
    still = np.zeros(symbols)
    return tuple(
        Scenario(name=f"depth_x{factor:g}", returns=still, depth=factor) for factor in DEPTH_FACTORS
    )


def dear_funding(symbols: int) -> Scenario:
    """Return funding at ten times the current rates."""
    return Scenario(name="funding_x10", returns=np.zeros(symbols), funding=FUNDING_FACTOR)


def stablecoin_break(symbols: int) -> Scenario:
    """Return a wallet balance that is worth 5 % less."""
    return Scenario(name="stablecoin_-5", returns=np.zeros(symbols), collateral=STABLECOIN_SHOCK)


def outages(symbols: int, venues: Sequence[str]) -> tuple[Scenario, ...]:
    """Return each venue out of reach while all prices go down or up by `OUTAGE_SHOCK`."""
    return tuple(
        Scenario(
            name=f"outage_{venue}_{_way(sign)}",
            returns=np.full(symbols, sign * OUTAGE_SHOCK),
            outage=number,
        )
        for number, venue in enumerate(venues)
        for sign in (-1, 1)
    )


def replayed(names: Sequence[str], returns: Floats) -> tuple[Scenario, ...]:
    """Return historical days: one name and one row of [days, symbols] simple returns each."""
    return tuple(
        Scenario(name=f"replay_{name}", returns=row)
        for name, row in zip(names, returns, strict=True)
    )


def _way(sign: int) -> str:
    return "down" if sign < 0 else "up"
