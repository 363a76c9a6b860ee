"""Partial liquidation: how much of a position is closed, step by step, by each venue's policy.

A step closes a whole number of lots. Closing x costs x (|mark - expected fill| + fee); it cures
when equity - x cost >= (1 + buffer) MM(q - x). Sources: see the venues' profiles.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from alphaplus.errors import RiskError
from alphaplus.leverage.profiles import PartialPolicy
from alphaplus.leverage.tiers import TierTable

FIFTH = 0.2
Maintenance = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distressed:
    """A position about to be closed, and the equity of its bucket at the mark.

    Amounts in the settlement asset. `unit_notional` is the mark (linear) or 1 / mark (inverse),
    `unit_cost` what closing one unit loses: |mark - expected fill| plus fee.
    """

    quantity: float
    lot: float
    equity: float
    unit_notional: float
    unit_cost: float
    other_maintenance: float = 0.0
    """Of the other positions in the bucket."""

    def __post_init__(self) -> None:
        sizes = (self.quantity, self.equity, self.unit_cost, self.other_maintenance)
        if not all(map(math.isfinite, sizes)) or min(self.quantity, self.unit_cost) < 0:
            raise RiskError("Expected quantity, equity and cost of a liquidation, was one unknown.")
        if not (self.lot > 0 and self.unit_notional > 0):
            raise RiskError(f"Expected lot and mark above 0, was {self.lot}, {self.unit_notional}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """One step: how much is closed and whether equity then meets the maintenance margin."""

    closed: float
    remaining: float
    equity: float
    maintenance_margin: float
    cured: bool


def smallest_reduction(
    state: Distressed, maintenance: Maintenance, *, buffer: float = 0.0
) -> Reduction:
    """Return the smallest cure, in whole lots, or the whole position where none cures.

    `maintenance(quantity)` is this position's MM. The surplus is concave in x, as MM is convex:
    it rises to a peak and falls beyond it, so the cure is looked for up to the peak.
    """
    lots = math.ceil(state.quantity / state.lot - 1e-9)

    def surplus(count: int) -> float:
        x = min(count * state.lot, state.quantity)
        due = maintenance(state.quantity - x) + state.other_maintenance
        return state.equity - x * state.unit_cost - (1.0 + buffer) * due

    if surplus(0) >= 0:
        return _reduced(state, 0.0, maintenance, buffer)
    peak = _first(0, lots, lambda k: k >= lots or surplus(k + 1) <= surplus(k))
    if surplus(peak) < 0:
        return _reduced(state, state.quantity, maintenance, buffer)
    count = _first(0, peak, lambda k: surplus(k) >= 0)
    return _reduced(state, min(count * state.lot, state.quantity), maintenance, buffer)


def policy_reduction(
    state: Distressed,
    table: TierTable,
    policy: PartialPolicy,
    *,
    split_above: float = 100_000.0,
    max_portion: float = 1.0,
    min_notional: float = 0.0,
) -> Reduction:
    """Return the next step of a venue's policy, for a position that is due.

    - `below_bracket`, `one_tier`: down to the cap of the tier below; all from the first tier.
    - `two_tiers`: from the third tier on, down two tiers; below that all (OKX).
    - `fifth_first`: a fifth of what is above the notional `split_above`, else all (Hyperliquid).
    - `block_limit`: the smallest cure, at least `min_notional` and at most `max_portion` (dYdX).
    """
    maintenance = maintenance_of(table, state)
    notional = state.quantity * state.unit_notional
    if policy == "fifth_first":
        wanted = FIFTH * state.quantity if notional > split_above else state.quantity
    elif policy == "block_limit":
        cure = smallest_reduction(state, maintenance).closed
        least = min(min_notional, notional) / state.unit_notional
        wanted = min(max(cure, least), max(least, max_portion * state.quantity))
    else:
        wanted = state.quantity - _kept(state, table, 2 if policy == "two_tiers" else 1)
    closed = min(max(1, math.ceil(wanted / state.lot - 1e-9)) * state.lot, state.quantity)
    return _reduced(state, closed, maintenance, 0.0)


def liquidate(
    state: Distressed, table: TierTable, policy: PartialPolicy, **limits: float
) -> tuple[Reduction, ...]:
    """Return every step until equity meets the maintenance margin or nothing is left.

    Ends, as each step closes at least a lot; an account that is not due gives no step.
    """
    steps: list[Reduction] = []
    due = maintenance_of(table, state)(state.quantity) + state.other_maintenance
    while state.quantity > 0 and state.equity < due:
        step = policy_reduction(state, table, policy, **limits)
        steps.append(step)
        state = replace(state, quantity=step.remaining, equity=step.equity)
        due = step.maintenance_margin
    return tuple(steps)


def maintenance_of(table: TierTable, state: Distressed) -> Maintenance:
    """Return MM as a function of the quantity left, by the tiers of its notional."""
    usable = table.usable()

    def maintenance(quantity: float) -> float:
        if quantity <= 0:
            return 0.0
        notional = quantity * state.unit_notional
        if usable.unit == "contracts":
            return notional * usable.at(quantity).maintenance_margin_rate
        return float(usable.maintenance_margin(notional))

    return maintenance


def _kept(state: Distressed, table: TierTable, tiers_down: int) -> float:
    """Return the quantity left after going down so many tiers; 0 if there are too few."""
    per_unit = 1.0 if table.unit == "contracts" else state.unit_notional
    target = table.index(state.quantity * per_unit) - tiers_down
    return 0.0 if target < 0 else float(table.rows["cap"][target]) / per_unit


def _reduced(
    state: Distressed, closed: float, maintenance: Maintenance, buffer: float
) -> Reduction:
    remaining = max(0.0, state.quantity - closed)
    equity = state.equity - closed * state.unit_cost
    due = maintenance(remaining) + state.other_maintenance
    return Reduction(
        closed=closed,
        remaining=remaining,
        equity=equity,
        maintenance_margin=due,
        cured=equity >= (1.0 + buffer) * due,
    )


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the first of low..high for which `holds`, which stays true once it is."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
