"""The venue's leverage brackets, and the margin that it asks for by them."""

from typing import Final, NamedTuple


class Bracket(NamedTuple):
    """One bracket of notional; `cum` makes the margin continuous where two brackets meet."""

    leverage: int
    """Most that may be chosen."""
    floor: int
    cap: int
    """Notionals above `floor` and up to here, quote currency."""
    rate: float
    """Maintenance margin per notional."""
    cum: float
    """Deducted from it, quote currency."""


def _brackets(table: tuple[tuple[int, int, float], ...]) -> tuple[Bracket, ...]:
    found: list[Bracket] = []
    floor, cumulative, previous = 0, 0.0, 0.0
    for leverage, cap, rate in table:
        cumulative += floor * (rate - previous)
        found.append(Bracket(leverage, floor, cap, rate, round(cumulative, 6)))
        floor, previous = cap, rate
    return tuple(found)


BRACKETS: Final = _brackets(
    (
        # most leverage, notional cap, maintenance margin rate
        (125, 50_000, 0.004),
        (100, 600_000, 0.005),
        (50, 3_000_000, 0.01),
        (20, 12_000_000, 0.025),
        (10, 70_000_000, 0.05),
        (5, 100_000_000, 0.1),
        (2, 300_000_000, 0.25),
        (1, 500_000_000, 0.5),
    )
)
"""Those of every symbol, smallest notional first."""


def bracket_of(notional: float) -> Bracket:
    """Return the bracket of a notional; one above the last cap is in the last."""
    return next((item for item in BRACKETS if notional <= item.cap), BRACKETS[-1])


def maintenance_margin(notional: float) -> float:
    """Return the margin below which a position of this notional is liquidated."""
    bracket = bracket_of(notional)
    return notional * bracket.rate - bracket.cum
