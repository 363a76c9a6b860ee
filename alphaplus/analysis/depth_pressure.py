"""Depth pressure: the balance of order flow near the touch, in [-1, 1].

For each rank the bid side gains x and the ask side y with a message (the parts of OFI). The
net e = x - y and the gross g = |x| + |y|, weighted by nearness w = exp(-d / lambda), are
summed with a half-life; P is the ratio of the sums. 1: only bids were added or asks taken.
It says what flows; what stands in the book is the business of the imbalances.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.level_flow import is_valid_book, side_flow
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import (
    CONTRACT_FIELDS,
    SECOND,
    above_zero,
    all_above_zero,
    set_contract,
    whole_number,
)
from alphaplus.analysis.tape import Tape
from alphaplus.book.best_levels import BEST_COUNT, BEST_LEVELS, BestLevelsArray
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]


_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("levels", "<i8"),
        ("scale_bps", "<f8"),  # lambda
        ("is_started", "<i8"),  # whether there was a valid book
        ("has_book", "<i8"),  # whether the book before is valid
        ("clock", "<i8"),  # newest time of a message with flow, ns; -1 before the first
        ("tick", "<i8", (2, BEST_COUNT)),  # last known, bids then asks
        ("base", "<f8", (2, BEST_COUNT)),  # base units
        ("net", "<f8"),  # weighted, of the last message
        ("gross", "<f8"),
    ],
    align=True,
)
_HALF_LIFE: Final = 0
_NET: Final = 1
_GROSS: Final = 2


def depth_pressure(
    best_levels: BestLevelsArray,
    instrument: Instrument,
    *,
    half_life_s: float = 5.0,
    lambda_bps: float = 5.0,
    levels: int = 10,
) -> Floats:
    """Return the pressure after each message, in [-1, 1]; nan before the first valid book."""
    measure = DepthPressure(
        instrument, half_lives_s=(half_life_s,), lambda_bps=lambda_bps, levels=levels
    )
    return measure.series(best_levels)


class DepthPressure(Measure):
    """Pressure by half-life, from the best levels after each message; 0 before any flow.

    Time alone does not change it: without flow, net and gross fade alike. An interruption
    starts it anew.
    """

    name: ClassVar[str] = "depth_pressure"

    def __init__(
        self,
        instrument: Instrument,
        *,
        half_lives_s: Sequence[float] = (1.0, 5.0, 30.0),
        lambda_bps: float = 5.0,
        levels: int = 10,
    ) -> None:
        self._state = np.zeros(1, dtype=_STATE)
        set_contract(self._state, instrument)
        self._state["scale_bps"] = above_zero("lambda_bps", lambda_bps)
        self._state["levels"] = whole_number("levels", levels, 1, BEST_COUNT)
        half_lives = all_above_zero("half_lives_s", half_lives_s)
        self._sums = np.array([[SECOND * half_life, 0.0, 0.0] for half_life in half_lives])
        self._names = [f"depth_pressure_{half_life:g}s" for half_life in half_lives]
        self._no_series = np.empty(0)

    def update(self, tape: Tape) -> None:
        """Take the best levels of a tape."""
        if len(tape.best_levels):
            _update(self._state, self._sums, tape.best_levels, self._no_series)

    def interrupt(self) -> None:
        """Forget the flow so far: the next book is a first one."""
        self._state["is_started"] = self._state["has_book"] = 0

    def series(self, best_levels: BestLevelsArray) -> Floats:
        """Take messages and return the pressure of the shortest half-life after each."""
        out = np.full(len(best_levels), np.nan)
        rows = np.require(best_levels, BEST_LEVELS, ["C", "A", "W"])
        _update(self._state, self._sums, rows, out)
        return out

    def values(self) -> dict[str, Any]:
        """Return the pressure by half-life, in [-1, 1]."""
        if not self._state["is_started"][0]:
            return dict.fromkeys(self._names)
        return {
            name: net / gross if gross > 0 else 0.0
            for name, (_, net, gross) in zip(self._names, self._sums.tolist(), strict=True)
        }

    def missing(self) -> dict[str, str]:
        """Say that no valid book was seen yet."""
        if self._state["is_started"][0]:
            return {}
        return dict.fromkeys(self._names, "no valid book yet")


@kernel
def _update(state: Any, sums: Floats, rows: BestLevelsArray, series: Floats) -> None:
    """Add the flow of each message; write the first half-life's pressure to a series, if any."""
    s = state[0]
    for i in range(len(rows)):
        if _take(state, rows[i]):
            if s.is_started == 0:
                s.is_started = 1
                s.clock = -1
                sums[:, _NET:] = 0.0
            # Without flow nothing decays, so silence of any length leaves the ratio as it is.
            if s.gross > 0:
                _add(state, sums, rows[i].ts_event)
        if len(series) > 0 and s.is_started != 0:
            series[i] = sums[0, _NET] / sums[0, _GROSS] if sums[0, _GROSS] > 0 else 0.0


@kernel
def _add(state: Any, sums: Floats, ts: int) -> None:
    s = state[0]
    if s.clock < 0:
        s.clock = ts
    elapsed = max(0, ts - s.clock)
    s.clock += elapsed
    for h in range(len(sums)):
        if elapsed > 0:
            decay = 2.0 ** (-elapsed / sums[h, _HALF_LIFE])
            sums[h, _NET] *= decay
            sums[h, _GROSS] *= decay
        sums[h, _NET] += s.net
        sums[h, _GROSS] += s.gross


@kernel
def _take(state: Any, row: Any) -> bool:
    """Set net and gross flow of a message; False if its book is not valid."""
    s = state[0]
    if row.bid_tick[0] <= 0 or not is_valid_book(state, row):
        s.has_book = 0
        return False
    s.net = s.gross = 0.0
    touches = float(row.bid_tick[0]) + float(row.ask_tick[0])
    for r in range(s.levels):
        bids = side_flow(state, 0, r, row.bid_tick[r], row.bid_quantity[r])
        asks = side_flow(state, 1, r, row.ask_tick[r], row.ask_quantity[r])
        if bids == 0 and asks == 0:
            continue
        weight = np.exp(-_distance_bps(state, r, touches, bids, asks) / s.scale_bps)
        s.net += weight * (bids - asks)
        s.gross += weight * (abs(bids) + abs(asks))
    s.has_book = 1
    return True


@kernel
def _distance_bps(state: Any, rank: int, touches: float, bids: float, asks: float) -> float:
    """Return the mean distance from the mid of a rank's levels, there or just gone."""
    s = state[0]
    total, count = 0.0, 0
    if s.base[0, rank] > 0 or bids != 0:
        total += touches - 2.0 * s.tick[0, rank]
        count += 1
    if s.base[1, rank] > 0 or asks != 0:
        total += 2.0 * s.tick[1, rank] - touches
        count += 1
    # The price of a level that is gone may by now lie beyond the mid.
    return max(0.0, 1e4 * total / (count * touches))
