"""Moves of a generated price that somebody asked for: smooth, and the same every time."""

import math
from dataclasses import dataclass
from typing import Final

from alphaplus.errors import ConfigError

MOST_SHOCK: Final = 5.0
LEAST_SHOCK: Final = -0.9
MOST_DRIFT_PER_S: Final = 0.01
MOST_RATE_PER_S: Final = 0.01
"""Fastest that a price may move on request: its quotes have to follow."""
MOST_OVER_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceMove:
    """A change of the price by a fraction, spread over a time of the market.

    Make one with `of_shock` or `of_drift`; both raise ConfigError for what is out of range.
    """

    log_return: float
    """In all."""
    over_s: float
    eased: bool
    """It begins and ends slowly (half a cosine); otherwise its rate is constant."""

    @classmethod
    def of_shock(cls, shock: float, over_s: float) -> "PriceMove":
        """Return a move by the simple return `shock`, eased."""
        if not LEAST_SHOCK <= shock <= MOST_SHOCK or shock == 0:
            raise ConfigError(
                f"Expected shock from {LEAST_SHOCK:g} to {MOST_SHOCK:g} and not 0, was {shock:g}."
            )
        return cls._checked(math.log1p(shock), over_s, eased=True)

    @classmethod
    def of_drift(cls, drift_per_s: float, over_s: float) -> "PriceMove":
        """Return a move at the constant rate `drift_per_s`, a fraction of the price per second."""
        if not abs(drift_per_s) <= MOST_DRIFT_PER_S or drift_per_s == 0:
            raise ConfigError(
                f"Expected drift_per_s from {-MOST_DRIFT_PER_S:g} to {MOST_DRIFT_PER_S:g} "
                f"and not 0, was {drift_per_s:g}."
            )
        return cls._checked(drift_per_s * over_s, over_s, eased=False)

    @classmethod
    def _checked(cls, log_return: float, over_s: float, *, eased: bool) -> "PriceMove":
        if not 0 < over_s <= MOST_OVER_S:
            raise ConfigError(f"Expected over_s above 0 to {MOST_OVER_S:g}, was {over_s:g}.")
        return cls(log_return=log_return, over_s=over_s, eased=eased)

    @property
    def peak_rate_per_s(self) -> float:
        """Its fastest, as a fraction of the price per second."""
        return abs(self.log_return) / self.over_s * (math.pi / 2 if self.eased else 1.0)

    def done(self, elapsed_s: float) -> float:
        """Return the part of the log return that has been made after so long."""
        share = min(max(elapsed_s / self.over_s, 0.0), 1.0)
        if self.eased:
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        return self.log_return * share


class PriceMoves:
    """The moves of one symbol that are under way; those at the same time add up."""

    def __init__(self) -> None:
        self._moves: list[tuple[PriceMove, float]] = []  # with its age

    def add(self, move: PriceMove, most_rate_per_s: float) -> None:
        """Begin a move; raises ConfigError if all together are faster than the quotes can be."""
        rate = move.peak_rate_per_s + sum(other.peak_rate_per_s for other, _ in self._moves)
        if rate > most_rate_per_s:
            slowest = move.over_s * rate / most_rate_per_s
            raise ConfigError(
                f"Expected a move of at most {most_rate_per_s:.3g} of the price per second, as its "
                f"quotes must follow, was {rate:.3g}; give it over_s of {math.ceil(slowest)} or "
                "more."
            )
        self._moves.append((move, 0.0))

    def __len__(self) -> int:
        return len(self._moves)

    @property
    def left(self) -> float:
        """Log return that is still to come."""
        return sum(move.log_return - move.done(age) for move, age in self._moves)

    def step(self, dt: float) -> float:
        """Let `dt` seconds pass and return the log return made in them."""
        before = self.left
        moves = [(move, age + dt) for move, age in self._moves]
        self._moves = moves
        made = before - self.left
        self._moves = [(move, age) for move, age in moves if age < move.over_s]
        return made

    def state(self) -> list[dict[str, float]]:
        """Return each move with its size, a simple return, and how far it has come."""
        return [
            {
                "shock": math.expm1(move.log_return),
                "over_s": move.over_s,
                "elapsed_s": round(age, 6),
            }
            for move, age in self._moves
        ]
