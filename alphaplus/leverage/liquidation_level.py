"""One liquidation level: a price at which positions are presumed, or known, to be closed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

PositionSide = Literal["long", "short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationLevel:
    """A level of a map; what the map assumes is told beside it, never left out."""

    symbol: str
    exchange: str
    price_level: float
    """Quote currency."""
    side: PositionSide
    """Of the positions that are liquidated, not of the order that closes them."""
    quantity: float
    """Base units."""
    timestamp: int
    """Of the newest sample in it, UTC nanoseconds."""
    risk_score: float
    """Share of the map's whole value, in [0, 1]."""
    distance_from_price: float
    """price_level / mark - 1: below 0 for longs, above 0 for shorts."""

    @property
    def notional(self) -> float:
        """Quantity at the level's price, quote currency."""
        return self.quantity * self.price_level

    def payload(self) -> dict[str, Any]:
        """Return its fields as plain values."""
        return asdict(self)


def level_columns(levels: Iterable[LiquidationLevel]) -> dict[str, list[float]]:
    """Return the price and value arrays of both sides, nearest first, as they are stored."""
    columns: dict[str, list[float]] = {
        "long_px": [],
        "long_usd": [],
        "short_px": [],
        "short_usd": [],
    }
    for level in sorted(levels, key=lambda item: abs(item.distance_from_price)):
        columns[f"{level.side}_px"].append(level.price_level)
        columns[f"{level.side}_usd"].append(level.notional)
    return columns
