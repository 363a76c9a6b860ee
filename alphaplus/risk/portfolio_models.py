"""What of a portfolio's risk does not depend on the marks, computed once per set of inputs."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from alphaplus.risk.correlation import (
    absorption_ratio,
    average_correlation,
    correlation_of,
    stressed_correlation,
)
from alphaplus.risk.covariance import repair_covariance
from alphaplus.risk.drawdown import drawdowns, returns_of
from alphaplus.risk.effective_bets import Torsion, minimum_torsion
from alphaplus.risk.entropic import entropic_value_at_risk
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.revaluation import Flags, Floats, Ints, response

CURVE_LEVEL: Final = 0.95
"""Level of the entropic value at risk of the equity curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """Gain per notional and per value of coins, [symbols, scenarios]; 0 where nothing is held."""

    positions: Floats
    coins: Floats
    extremes: Floats
    """Least and most of both, [4, symbols]."""

    @classmethod
    def of(cls, returns: Floats, inverse: Flags, held: Flags) -> "Gains":
        """Revalue simple `returns` [scenarios, symbols]."""
        used = np.where(held, returns, 0.0)
        plain = np.ascontiguousarray(used.T)
        positions = response(used, inverse) if (inverse & held).any() else plain
        extremes = np.array(
            [positions.min(1), positions.max(1), plain.min(1), plain.max(1)], np.float64
        )
        return cls(positions=positions, coins=plain, extremes=extremes)

    def most(self, notional: Floats, coins: Floats) -> Floats:
        """Return a bound of the gain of each symbol over all scenarios."""
        low, high, coin_low, coin_high = self.extremes
        positions = np.maximum(notional * low, notional * high)
        bound = positions + np.maximum(coins * coin_low, coins * coin_high)
        return np.asarray(bound + 1e-12 * np.abs(bound))  # no rounding may cut a scenario off

    def total(self, notional: Floats, coins: Floats) -> Floats:
        """Return the portfolio's gain in each scenario."""
        found = notional @ self.positions
        return found + coins @ self.coins if coins.any() else found


class Comovement:
    """Correlation of the symbols that are held, and what follows from it."""

    def __init__(self, covariance: Floats, held: Flags, stress: float) -> None:
        self.held: Ints = np.flatnonzero(held)
        repaired = repair_covariance(covariance[np.ix_(held, held)])
        self.repaired = repaired.repaired
        self.covariance = repaired.matrix
        self.sigma, self.correlation = correlation_of(repaired.matrix)
        self.average = average_correlation(self.correlation)
        values = np.linalg.eigvalsh(self.covariance).astype(np.float64, copy=False)
        self.absorption_1 = absorption_ratio(values, 1)
        self.absorption_n5 = absorption_ratio(values, -(-len(values) // 5))
        self.torsion: Torsion | None = minimum_torsion(self.sigma, self.correlation)
        self._stress = stress
        self._signs = np.zeros(len(self.held))
        self._stressed: Floats | None = None

    def stressed_sigma(self, exposures: Floats) -> float:
        """Return the deviation of the profit at the stressed correlation of these signs."""
        signs = np.sign(exposures)
        if self._stressed is None or not np.array_equal(signs, self._signs):
            moved = stressed_correlation(self.correlation, signs, self._stress)
            self._stressed, self._signs = moved.matrix, signs
        risks = exposures * self.sigma
        return float(np.sqrt(max(0.0, float(risks @ self._stressed @ risks))))


class EquityCurve:
    """Past equity, at the end of each day."""

    def __init__(self, curve: Floats) -> None:
        self.days = len(curve)
        self.peak = float(curve.max())
        self.falls = drawdowns(curve)
        returns = returns_of(curve)
        self.n_returns = len(returns)
        self.entropic = entropic_value_at_risk(-returns, CURVE_LEVEL) if len(returns) > 1 else None
        self.deviation = float(returns.std(ddof=1)) if len(returns) > 1 else None

    def with_now(self, equity: float) -> Floats:
        """Return the drawdowns with that of `equity` now at the end."""
        return np.append(self.falls, max(0.0, 1.0 - equity / self.peak))


class Models:
    """All of it, for one set of inputs; what has gaps is None.

    With `before`, what follows from objects that are still the same is taken over.
    """

    def __init__(self, inputs: PortfolioInputs, before: "Models | None" = None) -> None:
        self.inputs = inputs
        self.gaps = inputs.gaps()
        self.held = held = inputs.held()
        same = before if before is not None and np.array_equal(before.held, held) else None
        old = None if same is None else same.inputs
        self.gains: dict[str, Gains] = {
            horizon: same.gains[horizon]
            if same is not None
            and same.inputs.scenarios.get(horizon) is returns
            and horizon in same.gains
            else Gains.of(returns, inputs.inverse, held)
            for horizon, returns in inputs.scenarios.items()
            if horizon not in self.gaps
        }
        self.comovement: Comovement | None = None
        if inputs.covariance is not None and "covariance" not in self.gaps and held.any():
            kept = same.comovement if same is not None else None
            if kept is not None and old is not None and old.covariance is inputs.covariance:
                self.comovement = kept
            else:
                self.comovement = Comovement(inputs.covariance, held, inputs.correlation_stress)
        curve = inputs.equity_curve
        self.curve = EquityCurve(curve) if curve is not None and len(curve) else None
        self.stress: Gains | None = None
        if inputs.stress:
            if same is not None and old is not None and old.stress is inputs.stress:
                self.stress = same.stress
            else:
                moves = np.array([scenario.returns for scenario in inputs.stress])
                self.stress = Gains.of(moves, inputs.inverse, held)
        signed = inputs.positions.side * inputs.positions.quantity
        self.net_by_venue = {
            venue: inputs.positions.by_symbol(
                np.where(inputs.positions.venue == venue, signed, 0.0), len(inputs.symbols)
            )
            for venue in {s.outage for s in inputs.stress if s.outage is not None}
        }
