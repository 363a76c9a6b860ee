"""Order flow by rank: what a side gained at one of its best levels since the book before.

The parts of OFI (Cont, Kukanov, Stoikov 2014), of which measures make their sums. A measure's
state keeps the contract (`streaming.CONTRACT_FIELDS`), `levels`, `has_book`, and by side and rank
the last known `tick` and `base` (base units).
"""

from typing import Any, Final

from alphaplus.jit import kernel

_LARGEST: Final = 1e15
"""No venue shows such a quantity: a book that says so is not valid."""
_NO_TICK: Final = -(1 << 63)


@kernel
def is_valid_book(state: Any, row: Any) -> bool:
    """Say whether both sides of a row have levels, uncrossed, of quantities that can be."""
    s = state[0]
    if not (row.bid_quantity[0] > 0 and row.ask_quantity[0] > 0):
        return False
    if row.bid_tick[0] >= row.ask_tick[0]:
        return False
    for r in range(s.levels):
        if not (0 <= row.bid_quantity[r] < _LARGEST and 0 <= row.ask_quantity[r] < _LARGEST):
            return False
        if s.inverse != 0 and row.bid_quantity[r] > 0 and row.bid_tick[r] <= 0:
            return False
    return True


@kernel
def side_flow(state: Any, side: int, rank: int, tick: int, quantity: float) -> float:
    """Return what a side gained at a rank since the book before, and remember the level."""
    s = state[0]
    if s.has_book == 0:
        s.tick[side, rank] = _NO_TICK
        s.base[side, rank] = 0.0
    before = s.tick[side, rank]
    base = 0.0
    if quantity > 0:
        base = quantity * s.size
        if s.inverse != 0:
            base /= tick * s.tick_units / s.scale
    else:
        tick = before  # a missing level has the size 0 at its last known price
    if before == _NO_TICK:
        before = tick
    change = tick - before if side == 0 else before - tick  # above 0: nearer to the other side
    flow = (base if change >= 0 else 0.0) - (s.base[side, rank] if change <= 0 else 0.0)
    s.tick[side, rank] = tick
    s.base[side, rank] = base
    return flow if s.has_book != 0 else 0.0
