"""How well an estimated map placed the liquidations that were then realised.

Each realised liquidation is held against the map of the bar before it: the share of the side's
mass near the mark that stood in its bin, against the same share with the levels shuffled over
those bins. The mean over all shuffles is one over the number of bins, so none is drawn. A lift
of 1 is chance. Clusters make single hits dependent: compare days, not hits.
"""

import math
from typing import Any

import numpy as np

from alphaplus.errors import RiskError
from alphaplus.leverage.liquidation_level import PositionSide
from alphaplus.leverage.liquidation_map import SIDES, LiquidationMap
from alphaplus.leverage.parameters import share


class MapHits:
    """Counts of one map; `band` is the part of the price around the mark that is compared."""

    def __init__(self, *, band: float = 0.05, tolerance_bins: int = 1) -> None:
        self.band = share("band", band)
        if tolerance_bins < 0:
            raise RiskError(f"Expected tolerance_bins of at least 0, was {tolerance_bins}.")
        self.tolerance_bins = tolerance_bins
        self.scored = 0
        self.unscored = 0
        """Realised where the map was stale, empty, or out of the band."""
        self.hits = 0
        """Scored ones with mass in their bins."""
        self._found = 0.0
        self._chance = 0.0

    def observe(
        self, levels: LiquidationMap, *, side: PositionSide, price: float, quantity: float
    ) -> None:
        """Hold one realised liquidation (base units) against the map; call before its bar ends."""
        if not (0 < price < math.inf and 0 < quantity < math.inf):
            raise RiskError(
                f"Expected price and quantity above 0, was {price} and {quantity} of a liquidation."
            )
        found = self._share(levels, SIDES.index(side), price)
        if found is None:
            self.unscored += 1
            return
        self.scored += 1
        self.hits += found[0] > 0
        self._found += quantity * found[0]
        self._chance += quantity * found[1]

    @property
    def lift(self) -> float | None:
        """Quantity-weighted mass at realised prices over that of shuffled levels; None so far."""
        return self._found / self._chance if self._chance > 0 else None

    def payload(self) -> dict[str, Any]:
        """Return the statistics as plain values."""
        return {
            "scored": self.scored,
            "unscored": self.unscored,
            "hits": self.hits,
            "hit_rate": self.hits / self.scored if self.scored else None,
            "lift": self.lift,
            "baseline": "levels shuffled over the bins of the band",
            "band": self.band,
            "tolerance_bins": self.tolerance_bins,
        }

    def _share(self, levels: LiquidationMap, side: int, price: float) -> tuple[float, float] | None:
        """Return the share of mass in the bins of a price, and that of as many by chance."""
        mark = levels.mark_before
        if levels.status == "stale" or mark is None or not len(levels.prices):
            return None
        low, high = (mark * (1 - self.band), mark) if side == 0 else (mark, mark * (1 + self.band))
        if not low <= price <= high:
            return None
        first = int(np.searchsorted(levels.prices, low, "left"))
        last = int(np.searchsorted(levels.prices, high, "right"))
        mass = levels.before[side, first:last]
        total = float(mass.sum())
        if total <= 0:
            return None
        nearest = int(np.abs(levels.prices[first:last] - price).argmin())
        begin = max(nearest - self.tolerance_bins, 0)
        end = min(nearest + self.tolerance_bins + 1, len(mass))
        return float(mass[begin:end].sum()) / total, (end - begin) / len(mass)
