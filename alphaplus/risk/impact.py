"""What a large market order does to the price: it walks the book, then the square-root law.

The book is a ladder per symbol and side: depth at distances from the price. Only the share
`survival` of it is there when it is needed, as depth withdraws in a storm. What the ladder cannot
fill moves the price on by dP/P = Y sigma sqrt(R / V), R the rest and V the daily volume
(Y near 1: Toth et al. 2011; Donier and Bonart 2015). Such laws are not validated for cascades.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk._impact_kernels import fill_costs, mean_price, price_after

Floats = npt.NDArray[np.float64]

IMPACT: Final = 1.0
"""Y of the square-root law."""
SELL, BUY = 0, 1
"""Place of the side that is consumed by a seller (bids) and by a buyer (asks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Ladders of several symbols, and what the square-root law needs beyond them.

    Raises RiskError if distances do not ascend, or are not below 1 for bids.
    """

    distance: Floats
    """[symbols, 2, levels]: fraction of the price, ascending; bids first."""
    quantity: Floats
    """[symbols, 2, levels]: base units at each level, 0 or more; pad with 0."""
    sigma: Floats
    """[symbols]: daily volatility, a fraction."""
    volume: Floats
    """[symbols]: daily volume, base units; nan: nothing is known beyond the ladder."""

    def __post_init__(self) -> None:
        shape = self.distance.shape
        if len(shape) != 3 or shape[1] != 2 or self.quantity.shape != shape:
            raise RiskError(f"Expected ladders [symbols, 2, levels], was {shape}.")
        if self.sigma.shape != shape[:1] or self.volume.shape != shape[:1]:
            raise RiskError(f"Expected sigma and volume of {shape[0]} symbols, was not so.")
        if not (self.distance >= 0).all() or not (self.distance[:, SELL] < 1).all():
            raise RiskError("Expected distances of 0 or more, and below 1 for bids, was not so.")
        if (np.diff(self.distance, axis=2) < 0).any():
            raise RiskError("Expected distances to ascend, was not so.")
        if not (np.isfinite(self.quantity) & (self.quantity >= 0)).all():
            raise RiskError("Expected quantities of 0 or more, was not so.")

    @classmethod
    def of_power_law(
        cls,
        scale: npt.ArrayLike,
        exponent: float,
        sigma: npt.ArrayLike,
        volume: npt.ArrayLike,
        *,
        reach: float = 0.05,
        levels: int = 50,
    ) -> "Depth":
        """Make ladders whose depth within a distance u is scale x u ** exponent, base units.

        `scale`, `sigma` and `volume` are by symbol; `reach` is the distance of the last level.
        """
        scales = np.atleast_1d(np.asarray(scale, np.float64))
        edges = reach * np.arange(1, levels + 1) / levels
        within = scales[:, None] * edges**exponent
        shape = (len(scales), 2, levels)
        each = np.diff(within, axis=1, prepend=0.0)
        return cls(
            distance=np.broadcast_to(edges, shape).copy(),
            quantity=np.broadcast_to(each[:, None, :], shape).copy(),
            sigma=np.broadcast_to(np.asarray(sigma, np.float64), shape[:1]).copy(),
            volume=np.broadcast_to(np.asarray(volume, np.float64), shape[:1]).copy(),
        )

    def scaled(self, factor: float) -> "Depth":
        """Return ladders `factor` times as deep; the volume beyond them stays."""
        return Depth(
            distance=self.distance,
            quantity=self.quantity * factor,
            sigma=self.sigma,
            volume=self.volume,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A market order as fractions of the price before it; 1 is the price itself."""

    mean: float
    """Mean price paid or got."""
    last: float
    """Price that is left after the order."""


def market_order(
    depth: Depth,
    symbol: int,
    side: int,
    quantity: float,
    *,
    survival: float = 1.0,
    impact: float = IMPACT,
) -> Fill | None:
    """Return the fill of `quantity` base units by a seller (SELL) or a buyer (BUY).

    None if it exceeds the ladder and sigma or volume are unknown. Raises RiskError unless
    quantity is 0 or more and survival above 0.
    """
    if not (0 <= quantity < math.inf) or not 0 < survival < math.inf:
        raise RiskError(
            f"Expected quantity of 0 or more and survival above 0, was {quantity}, {survival}."
        )
    distance, resting = depth.distance[symbol, side], depth.quantity[symbol, side]
    slope = root_slope(float(depth.sigma[symbol]), float(depth.volume[symbol]), impact)
    sign = 1.0 if side == BUY else -1.0
    last = price_after(distance, resting, quantity / survival, slope, sign)
    mean = mean_price(distance, resting, 0.0, quantity / survival, slope, sign)
    if math.isnan(last) or math.isnan(mean):
        return None
    return Fill(mean=mean, last=last)


def exit_costs(
    depth: Depth,
    notional: Floats,
    prices: Floats,
    *,
    survival: float = 1.0,
    impact: float = IMPACT,
) -> Floats:
    """Return the cost (symbols,) of closing each signed notional at once, quote currency.

    0 where flat; nan where price or depth is unknown.
    """
    costs = np.zeros(len(notional))
    slopes = root_slope(depth.sigma, depth.volume, impact)
    fill_costs(depth.distance, depth.quantity, slopes, notional, prices, survival, costs)
    return costs


def root_slope(sigma: Any, volume: Any, impact: float) -> Any:
    """Return Y sigma / sqrt(V): relative price change per root of a base unit beyond the book."""
    return impact * sigma / np.sqrt(volume)
