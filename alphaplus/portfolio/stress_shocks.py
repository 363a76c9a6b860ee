"""What a stress run is about: how far each price moves, and what else happens with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.portfolio.stress_markets import Gaps, StressMarkets
from alphaplus.risk import scenarios
from alphaplus.risk.scenarios import Scenario

Floats = npt.NDArray[np.float64]

LEAST_RETURN: Final = -0.99
"""A price that a rule would take to nothing keeps a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StressShock:
    """One thing that happens to all markets at once; nothing is closed on its own account."""

    name: str
    returns: Floats
    """Simple return of each market's index price, (markets,), above -1."""
    depth: float = 1.0
    """Share of the depth that is left when it begins, in (0, 1]."""
    close_all: bool = False
    """Whether everything is closed at what is left of the depth, and the cost is a loss."""
    funding: float = 0.0
    """How many times the next funding is paid."""
    collateral: float = 0.0
    """Return of what wallets hold."""
    outage: str | None = None
    """Exchange whose accounts' gains cannot be taken."""
    gaps: tuple[Gaps, ...] = ()
    """By market: what its return is not known for; empty for none at all."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.returns) & (self.returns > -1)).all():
            raise RiskError(f"Expected returns above -1 in {self.name}, was not so.")
        if not 0 < self.depth <= 1:
            raise RiskError(f"Expected depth above 0 to 1, was {self.depth}.")


def scenario_names(markets: StressMarkets) -> tuple[str, ...]:
    """Return the names that `named_shock` knows."""
    return tuple(_scenarios(markets, reference=0))


def named_shock(name: str, markets: StressMarkets, reference: str) -> StressShock:
    """Return a named scenario; raises RiskError for a name that is none.

    `reference` is the symbol that others are measured by.
    """
    rows = markets.rows_of(reference)
    found = _scenarios(markets, rows[0] if rows else 0)
    if name not in found:
        raise RiskError(f"Expected a scenario of {', '.join(found)}, was {name!r}.")
    scenario = found[name]
    if name.startswith("alts_") and not rows:
        raise RiskError(f"Expected {reference}, which others are measured by, was not watched.")
    return StressShock(
        name=name,
        returns=scenario.returns,
        depth=1.0 if scenario.depth is None else scenario.depth,
        close_all=scenario.depth is not None,
        funding=scenario.funding,
        collateral=scenario.collateral,
        outage=None if scenario.outage is None else markets.exchanges[scenario.outage],
        gaps=_gaps(name, markets),
    )


def custom_shock(
    markets: StressMarkets,
    shocks: Mapping[str, float],
    *,
    common: float = 0.0,
    depth: float = 1.0,
    name: str = "custom",
) -> StressShock:
    """Return `shocks` by symbol or exchange:symbol, and `common` for all that are not named.

    Raises RiskError for a symbol that is no market, and for a return of -1 or less.
    """
    returns = np.full(len(markets), common)
    for key, value in shocks.items():
        rows = [
            row for row, market in enumerate(markets.names) if key in (market, markets.symbol[row])
        ]
        if not rows:
            raise RiskError(f"Expected shocks of symbols that are watched, was {key}.")
        returns[rows] = value
    if not (np.isfinite(returns) & (returns > -1)).all():
        raise RiskError(f"Expected shocks above -1, was {float(np.min(returns))}.")
    return StressShock(name=name, returns=returns, depth=depth)


def correlated_shock(
    markets: StressMarkets, reference: str, shock: float, depth: float, correlation: float
) -> StressShock:
    """Return a shock to `reference` and what others are expected to do with it.

    A market moves by correlation x its volatility / that of the reference x the shock, the mean
    of a jointly normal pair; at 1 all go together. Raises RiskError if the reference is not
    watched or its volatility not known, or a value is out of range.
    """
    if not 0 <= correlation <= 1:
        raise RiskError(f"Expected correlation from 0 to 1, was {correlation}.")
    rows, sigma = markets.rows_of(reference), markets.depth.sigma
    if not rows:
        raise RiskError(f"Expected a reference that is watched, was {reference}.")
    if not sigma[rows[0]] > 0:
        raise RiskError(f"Expected the volatility of {reference}, was not known yet.")
    returns = correlation * np.nan_to_num(sigma) / sigma[rows[0]] * shock
    returns[rows] = shock
    gaps = tuple(
        () if np.isfinite(value) else (f"volatility of {name}",)
        for name, value in zip(markets.names, sigma, strict=True)
    )
    return StressShock(
        name=f"{reference} {shock:+.1%}, depth x {depth:g}, correlation {correlation:g}",
        returns=np.maximum(returns, LEAST_RETURN),
        depth=depth,
        gaps=gaps,
    )


def _scenarios(markets: StressMarkets, reference: int) -> dict[str, Scenario]:
    count = len(markets)
    found: Sequence[Scenario] = (
        *scenarios.common_shocks(count),
        *scenarios.beta_shocks(np.nan_to_num(markets.beta)),
        *scenarios.alt_shocks(count, reference),
        *scenarios.together(np.nan_to_num(markets.depth.sigma)),
        *scenarios.thin_books(count),
        scenarios.dear_funding(count),
        scenarios.stablecoin_break(count),
        *scenarios.outages(count, markets.exchanges),
    )
    return {scenario.name: scenario for scenario in found}


def _gaps(name: str, markets: StressMarkets) -> tuple[Gaps, ...]:
    """Return, by market, what a scenario is made of and is not known."""
    made_of = {"btc_": ("beta", markets.beta), "correlation_": ("volatility", markets.depth.sigma)}
    for prefix, (what, values) in made_of.items():
        if name.startswith(prefix):
            return tuple(
                () if np.isfinite(value) else (f"{what} of {market}",)
                for market, value in zip(markets.names, values, strict=True)
            )
    return ()
