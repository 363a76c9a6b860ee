"""What a stress run found, as records; a number, or None and what is missing for it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStress:
    """One market after the shock; prices and values in quote currency."""

    exchange: str
    symbol: str
    shock: float | None
    """Simple return of the index that was asked for."""
    price: float | None
    final_price: float | None
    total_move: float | None
    """Farthest that the price went, a fraction."""
    amplification: float | None
    """Total move by shock, from 1; None without a shock."""
    liquidated_long: float | None
    liquidated_short: float | None
    """Estimated levels and own positions, valued at their triggers."""
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStress:
    """One account of the portfolio after the shock; quote currency."""

    name: str
    exchange: str
    state: str
    """standing, liquidated, partly_liquidated (isolated positions), or unknown."""
    equity_before: float | None
    equity_after: float | None
    loss: float | None
    """Equity lost; negative for a gain."""
    margin_ratio_before: float | None
    margin_ratio_after: float | None
    """Of what stands; None where nothing does."""
    liquidated_notional: float | None
    """At the final marks."""
    deleveraged_notional: float | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StressOutcome:
    """One shock and what it led to.

    `figures` are totals, None where an input is missing, which `missing` names by figure.
    """

    name: str
    figures: Mapping[str, float | None]
    missing: Mapping[str, tuple[str, ...]]
    markets: tuple[MarketStress, ...]
    accounts: tuple[AccountStress, ...]
    assumptions: Mapping[str, Any]
    settled: bool
    """Whether every cascade came to rest."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON: None for what is unknown, never nan."""
        return {
            "name": self.name,
            "figures": dict(self.figures),
            "missing": {name: list(reasons) for name, reasons in self.missing.items()},
            "markets": [_plain(item) for item in self.markets],
            "accounts": [_plain(item) for item in self.accounts],
            "assumptions": dict(self.assumptions),
            "settled": self.settled,
        }


def _plain(record: MarketStress | AccountStress) -> dict[str, Any]:
    return {**asdict(record), "missing": list(record.missing)}
