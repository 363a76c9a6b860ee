"""One liquidity wall, and the formulas that say what it is and how it went."""

import math
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from alphaplus.analysis._wall_life_kernels import classify
from alphaplus.analysis.book_levels import Floats


class Outcome(IntEnum):
    """How a wall ended; STANDING while it has not."""

    STANDING = 0
    CONSUMED = 1
    """Trades at its price took at least half of what went."""
    PULLED = 2
    """Trades at its price took less than that."""
    FADED = 3
    """It lost less than a fifth: the rest of its side outgrew it."""
    LEFT = 4
    """The mid moved away from it: no longer within the range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """One wall, standing or ended. Prices and notionals in quote currency."""

    side: str
    """`bid` or `ask`."""
    price: float
    """Of the largest level of its bucket."""
    low: float
    high: float
    """The lowest and the highest price of its bucket."""
    notional: float
    share: float
    """Of D_side(50), in [0, 1]."""
    z_score: float | None
    """None where the MAD is 0."""
    age_s: float
    """How long it has held, or had when it was released."""
    persistence: float
    """Share of the last 10 s in which it held, in [0, 1]."""
    distance_bps: float
    """From the mid to its price."""
    strength: float
    """min(1, share) x persistence x exp(-distance / 25), in [0, 1]."""
    times_tested: int
    """How often the best price of its side came within 1 bp of its price."""
    traded_notional: float
    """Traded at the prices of its bucket since it began to hold."""
    traded_through: bool
    """Whether a trade went beyond its bucket."""
    outcome: Outcome

    @property
    def pulled(self) -> bool:
        """Whether it was taken away rather than traded away."""
        return self.outcome is Outcome.PULLED

    def as_dict(self) -> dict[str, Any]:
        """Return the wall as plain values."""
        return {**asdict(self), "outcome": self.outcome.name.lower(), "pulled": self.pulled}


def z_scores(notionals: Floats) -> Floats:
    """Return 0.6745 (ln n - median) / MAD for the buckets of a side; nan where the MAD is 0.

    Iglewicz and Hoaglin (1993), on logarithms. All notionals must be above 0.

    >>> z_scores(np.array([1.0, 2.0, 4.0, 8.0, 1024.0])).round(4).tolist()
    [-1.349, -0.6745, 0.0, 0.6745, 5.396]
    """
    logs = np.log(notionals)
    if not len(logs):
        return logs
    away = logs - np.median(logs)
    mad = np.median(np.abs(away))
    scores: Floats = 0.6745 * away / mad if mad > 0 else np.full(len(logs), np.nan)
    return scores


def strength(share: float, persistence: float, distance_bps: float) -> float:
    """Return min(1, share) x persistence x exp(-distance / 25 bps), in [0, 1].

    >>> strength(0.5, 1.0, 0.0)
    0.5
    """
    return min(1.0, share) * persistence * math.exp(-distance_bps / 25.0)


def classify_removal(before: float, after: float, traded: float) -> Outcome:
    """Say how a wall went: its notional 250 ms before and after, and what traded between.

    >>> classify_removal(100.0, 0.0, 50.0).name, classify_removal(100.0, 0.0, 49.0).name
    ('CONSUMED', 'PULLED')
    """
    return Outcome(classify(before, after, traded))
