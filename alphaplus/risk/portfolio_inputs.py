"""Everything that the risk of one portfolio is computed from, but for the marks.

What is None is unknown: metrics that need it are None and say so, the others are not touched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk.correlation import STRESS
from alphaplus.risk.impact import Depth
from alphaplus.risk.revaluation import Flags, Floats, Positions
from alphaplus.risk.scenarios import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioInputs:
    """One portfolio; arrays are by symbol or by position. All values are in one quote currency.

    Raises RiskError for an array of another length, or positions in a symbol beyond the list.
    """

    symbols: tuple[str, ...]
    inverse: Flags
    positions: Positions
    scenarios: Mapping[str, Floats] = field(default_factory=dict)
    """Simple returns [scenarios, symbols] by horizon, `1d` and `1h`."""
    scenario_method: str = "filtered_historical"
    wallet_balance: float | None = None
    """Collateral in quote currency, settled profit and funding in it."""
    coins: Floats | None = None
    """Collateral in each symbol's coin after the haircut, base units; None: none is held."""
    covariance: Floats | None = None
    """Of daily simple returns, [symbols, symbols]."""
    correlation_stress: float = STRESS
    betas: Floats | None = None
    """Beta to the reference asset, by symbol."""
    daily_volume: Floats | None = None
    """Average a day, quote currency, by symbol."""
    participation: float = 0.1
    """Share of the daily volume that an exit may take."""
    depth: Depth | None = None
    funding_rates: Floats | None = None
    """Next rate by symbol, fractions for 8 hours."""
    liquidation_prices: Floats | None = None
    """By position; nan where there is none."""
    maintenance_rate: Floats | None = None
    """By position, of the notional at the mark."""
    maintenance_amount: Floats | None = None
    """By position: what the tier deducts, in the settlement asset."""
    leverage: Floats | None = None
    """By position, as set at the venue: initial margin is notional / leverage."""
    equity_curve: Floats | None = None
    """Equity at the end of each past day, above 0, without the present."""
    days_per_year: float = 365.0
    stress: tuple[Scenario, ...] = ()
    observations: Mapping[str, int] = field(default_factory=dict)
    """Past times behind the scenarios of a horizon; where absent, scenarios are counted."""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is missing of a kind of input, in words better than `gaps` finds of itself."""

    def __post_init__(self) -> None:
        symbols, positions = len(self.symbols), len(self.positions)
        if positions and int(self.positions.symbol.max()) >= symbols:
            raise RiskError(f"Expected positions in {symbols} symbols, was one beyond.")
        for name in ("inverse", "coins", "betas", "daily_volume", "funding_rates"):
            self._check(name, (symbols,))
        for name in (
            "liquidation_prices",
            "maintenance_rate",
            "maintenance_amount",
            "leverage",
        ):
            self._check(name, (positions,))
        self._check("covariance", (symbols, symbols))
        for horizon, returns in self.scenarios.items():
            if returns.ndim != 2 or returns.shape[1] != symbols or not len(returns):
                raise RiskError(
                    f"Expected {horizon} returns [scenarios, {symbols}], was {returns.shape}."
                )
        if self.depth is not None and len(self.depth.sigma) != symbols:
            raise RiskError(f"Expected depth of {symbols} symbols, was {len(self.depth.sigma)}.")
        for scenario in self.stress:
            if scenario.returns.shape != (symbols,):
                raise RiskError(f"Expected {scenario.name} for {symbols} symbols, was not so.")

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        values: npt.NDArray[np.generic] | None = getattr(self, name)
        if values is not None and values.shape != shape:
            raise RiskError(f"Expected {name} of shape {shape}, was {values.shape}.")

    def held(self) -> Flags:
        """Return where anything is held, a hedged pair or a coin counted."""
        gross = self.positions.by_symbol(self.positions.quantity, len(self.symbols))
        coins = np.zeros(len(gross)) if self.coins is None else self.coins
        return np.asarray((gross > 0) | (coins != 0))

    def gaps(self) -> dict[str, tuple[str, ...]]:
        """Return what is missing of each kind of input, as phrases; kinds that are whole miss."""
        held = self.held()
        found = {
            kind: self._of_symbols(name, mask)
            for kind, name, mask in (
                ("betas", "betas", held),
                ("volume", "daily_volume", held),
                ("funding", "funding_rates", held),
            )
        }
        taken = self.positions.quantity > 0
        for kind, names in (
            ("maintenance", ("maintenance_rate", "maintenance_amount")),
            ("leverage", ("leverage",)),
        ):
            found[kind] = tuple(
                phrase for name in names for phrase in self._of_positions(name, taken)
            )
        for name in ("wallet_balance", "depth", "liquidation_prices", "equity_curve", "covariance"):
            found[name] = () if getattr(self, name) is not None else (name,)
        if self.wallet_balance is not None and not np.isfinite(self.wallet_balance):
            found["wallet_balance"] = ("wallet_balance",)
        if self.covariance is not None:
            known = np.isfinite(self.covariance[held][:, held]).all(axis=1)
            found["covariance"] = tuple(
                f"covariance of {self.symbols[at]}" for at in np.flatnonzero(held)[~known]
            )
        for horizon, returns in self.scenarios.items():
            whole = (np.isfinite(returns) & (returns > -1)).all(axis=0)
            found[horizon] = tuple(
                f"every {horizon} return of {self.symbols[at]}"
                for at in np.flatnonzero(held & ~whole)
            )
        found["stress"] = () if self.stress else ("stress scenarios",)
        found |= {kind: phrases for kind, phrases in self.unknown.items() if phrases}
        return {kind: phrases for kind, phrases in found.items() if phrases}

    def _of_symbols(self, name: str, mask: Flags) -> tuple[str, ...]:
        values: Floats | None = getattr(self, name)
        if values is None:
            return (name,)
        bad = np.flatnonzero(mask & ~np.isfinite(values))
        return tuple(f"{name} of {self.symbols[at]}" for at in bad)

    def _of_positions(self, name: str, mask: Flags) -> tuple[str, ...]:
        values: Floats | None = getattr(self, name)
        if values is None:
            return (name,)
        usable = np.isfinite(values) & ((values > 0) | (name != "leverage"))
        bad = np.unique(self.positions.symbol[mask & ~usable])
        return tuple(f"{name} of {self.symbols[at]}" for at in bad)
