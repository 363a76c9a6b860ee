"""What an estimated liquidation map is built on, and an id that changes when any of it does."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.engine import POSITION, MarginState, evaluate
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.parameters import above_zero
from alphaplus.leverage.tiers import TierTable

MODEL: Final = 1
"""Number of this way to build a map; another way gets another number."""

SPLIT_RULE: Final = "new open interest: long share = taker buys / taker volume, 0.5 without trades"
MAINTENANCE_RULE: Final = "isolated margin N / leverage; tier of the typical position at its level"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapParameters:
    """Conventions of a map; raises ConfigError on what is out of range.

    The default prior is common practice, not measured: read a map as relative.
    """

    prior: tuple[tuple[float, float], ...] = (
        (5.0, 0.15),
        (10.0, 0.30),
        (25.0, 0.25),
        (50.0, 0.20),
        (100.0, 0.10),
    )
    """(leverage, share of newly opened positions); shares sum to 1."""
    typical_notional: float = 10_000.0
    """Size of one position, quote currency; it picks the tier (never the open interest)."""
    bin_width: float = 0.001
    """Of the log price."""
    span: float = 1.0
    """Log prices on each side of the mark that are kept."""
    half_life_s: float | None = None
    """Wall-clock decay; None: levels leave by price and open interest only."""
    max_gap_s: float = 900.0
    """Longest time without a complete sample that a map survives."""
    columns: int = 96
    """How many past bars the picture holds."""
    cells_per_column: int = 400

    def __post_init__(self) -> None:
        for name in ("typical_notional", "bin_width", "span", "max_gap_s"):
            above_zero(name, getattr(self, name))
        if self.half_life_s is not None:
            above_zero("half_life_s", self.half_life_s)
        leverages = [leverage for leverage, _ in self.prior]
        shares = [share for _, share in self.prior]
        if leverages != sorted(set(leverages)) or not leverages or leverages[0] < 1:
            raise ConfigError(f"Expected ascending leverages from 1 in prior, was {leverages}.")
        if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise ConfigError(f"Expected shares of prior to sum to 1, was {shares}.")
        if self.columns < 1 or self.cells_per_column < 1 or self.span < 2 * self.bin_width:
            raise ConfigError(
                "Expected columns and cells_per_column of at least 1 and a span of two bins, "
                f"was {self.columns}, {self.cells_per_column} and {self.span}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MapAssumptions:
    """Everything that is fixed while a map is built; `hash` and `id` are of all of it."""

    symbol: str
    venues: tuple[str, ...]
    parameters: MapParameters
    tiers: TierTable
    inverse: bool = False

    def __post_init__(self) -> None:
        self.tiers.usable()
        if self.tiers.unit != "notional":
            raise RiskError(
                f"Expected tiers of {self.symbol} by notional, were by {self.tiers.unit}."
            )

    def fixed(self) -> dict[str, Any]:
        """Return them as plain values, in a fixed order."""
        p = self.parameters
        return {
            "model": MODEL,
            "symbol": self.symbol,
            "venues": list(self.venues),
            "prior": [list(pair) for pair in p.prior],
            "split_rule": SPLIT_RULE,
            "maintenance_rule": MAINTENANCE_RULE,
            "typical_notional": p.typical_notional,
            "inverse": self.inverse,
            "tier_source": self.tiers.source,
            "tier_hash": self.tiers.hash,
            "tier_effective_from": self.tiers.effective_from,
            "bin_width": p.bin_width,
            "span": p.span,
            "decay": "open interest turnover only"
            if p.half_life_s is None
            else f"open interest turnover and a half-life of {p.half_life_s:g} s",
            "window": "from the first sample; open interest before it is not mapped",
            "max_gap_s": p.max_gap_s,
        }

    @property
    def hash(self) -> str:
        """SHA-256 of their canonical JSON, as hex digits."""
        text = json.dumps(self.fixed(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def id(self) -> int:
        """The hash's first 63 bits: the same number wherever the same is assumed."""
        return int(self.hash[:16], 16) >> 1

    def cohorts(self) -> tuple[Floats, Floats]:
        """Return leverages and shares, those above the tier's maximum taken out, rescaled to 1.

        Raises RiskError if none is left.
        """
        most = float(self.tiers.at(self.parameters.typical_notional).max_leverage)
        kept = [(x, share) for x, share in self.parameters.prior if x <= most and share > 0]
        total = sum(share for _, share in kept)
        if not total > 0:
            raise RiskError(
                f"Expected a leverage of at most {most:g} in the prior of {self.symbol}, was none."
            )
        return np.array([x for x, _ in kept]), np.array([share / total for _, share in kept])

    def level_prices(self, entry: float, leverages: Floats) -> Floats:
        """Return liquidation prices of positions opened at `entry`: row 0 longs, row 1 shorts.

        By the margin engine, isolated; nan where there is none, or where the margin is too
        small to open with. Shape (2, number of leverages).
        """
        count = len(leverages)
        size = self.parameters.typical_notional
        positions = np.zeros(2 * count, POSITION)
        positions["bucket"] = np.arange(2 * count)
        positions["side"] = np.repeat([1.0, -1.0], count)
        positions["quantity"] = size if self.inverse else size / entry
        positions["entry"] = positions["mark"] = entry
        positions["initial_rate"] = 1.0 / np.tile(leverages, 2)
        positions["tier_end"] = len(self.tiers.rows)
        positions["inverse"] = self.inverse
        notional = size / entry if self.inverse else size
        margins, _ = evaluate(positions, self.tiers.rows, notional / np.tile(leverages, 2))
        safe = margins["state"] == MarginState.SAFE
        return np.asarray(np.where(safe, margins["liquidation_price"], np.nan).reshape(2, count))
