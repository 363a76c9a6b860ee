"""Looks at a book while a batch is applied to it.

A measure that watches the book at turns of venue time would have to cut every batch at each of
its turns, and copy the book there. Instead the turns go into the batch's application, which sums
up both sides near the mid after each message at which a turn falls; the measure takes all looks
of a batch in one call.
"""

import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.book._kernels.looks import LOOK, PLAN, apply_and_look
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument

MOST_LOOKS: Final = 64
"""Looks that are kept at a time."""
MOST_BUCKETS: Final = 128
"""Buckets of a side in one look."""
_OF_A_BATCH: Final = ("look", "row", "written")

LookArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `LOOK`."""


class Looks:
    """Turns at which to look at a book, and what was seen at them.

    Whoever applies a batch writes `row`, `ts_event` and `trades` of the turns into `rows`, sets
    `count`, and gives it to `L2Book.apply`. Of a book that is not valid, lacks a side, or is
    crossed or locked nothing is seen: `bid_tick` and `ask_tick` are 0.

    Each side within `range_bps` of the mid is cut into buckets of max(1 tick, `bucket_bps`),
    counted outward from the first mid seen. They stay where they are while the mid moves: a price
    keeps its bucket. Once the mid is 10 % away from that anchor, they are laid anew.

    `notionals` (look, side, bucket) are in quote currency; `heaviest` is the tick of the largest
    level of those buckets that hold at least `heavy_share` of their side within the range, and
    means nothing elsewhere. `near_notional` is what rests within `near_bps` of the mid.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        range_bps: float = 50.0,
        bucket_bps: float = 1.0,
        heavy_share: float = 0.05,
        near_bps: float = 10.0,
    ) -> None:
        for name, value in {"range_bps": range_bps, "near_bps": near_bps}.items():
            if not 0 < value < 10_000:
                raise ConfigError(f"Expected {name} above 0 and below 10000, was {value}.")
        if not 0 < bucket_bps < math.inf:
            raise ConfigError(f"Expected bucket_bps above 0 and finite, was {bucket_bps}.")
        self.rows = np.zeros(MOST_LOOKS, dtype=LOOK)
        self.count = 0
        self.notionals: npt.NDArray[np.float64] = np.zeros((MOST_LOOKS, 2, MOST_BUCKETS))
        self.heaviest: npt.NDArray[np.int64] = np.zeros(self.notionals.shape, dtype=np.int64)
        self._plan = np.zeros(1, dtype=PLAN)
        row = self._plan[0]
        for name, bps in {"range": range_bps, "near": near_bps}.items():
            ratio = (Fraction(repr(float(bps))) / 10_000).as_integer_ratio()
            row[f"{name}_numerator"], row[f"{name}_denominator"] = ratio
        row["bucket"], row["heavy_share"] = bucket_bps / 2e4, heavy_share
        row["inverse"] = instrument.inverse
        row["unit"] = instrument.contract_size
        if not instrument.inverse:
            row["unit"] *= instrument.tick_units / 10.0**instrument.price_decimals

    def begin(self) -> None:
        """Forget how far the last batch got."""
        for name in _OF_A_BATCH:
            self._plan[name] = 0

    def apply(self, *book_and_batch: Any) -> int:
        """Apply a batch, or the rest of it, as `apply_events` does, and look on the way."""
        seen: Any = self._plan, self.rows[: self.count], self.notionals, self.heaviest
        return apply_and_look(*book_and_batch, *seen)
