"""What follows from other columns of a row: only the difference to it is kept, mostly nothing.

Lossless whatever a row says, as bits are exclusive-or'ed. These formulas are part of the format of
blocks: another formula needs another format version.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.storage.archive.floats import NULL_BITS
from alphaplus.storage.archive.grid import Floats
from alphaplus.storage.tables import RowArray

Bits = npt.NDArray[np.int64]


def derived_bits(table: str, column: str, rows: RowArray) -> Bits | None:
    """Return the bits that a float column is expected to have, None if nothing is expected.

    Only columns that stand before it in the table are read.
    """
    formula = _FORMULAS.get((table, column))
    if formula is None:
        return None
    with np.errstate(all="ignore"):
        values = formula(rows)
    bits = values.view(np.int64)
    bits[np.isnan(values)] = NULL_BITS  # processors differ in the nan that they make
    return bits


def _volume(side: str) -> Callable[[RowArray], Floats]:
    def volume(rows: RowArray) -> Floats:
        return compensated_sum(rows[f"{side}_qty"], rows[f"{side}_levels"])

    return volume


def _imbalance(rows: RowArray) -> Floats:
    bids, asks = rows["total_bid_volume"], rows["total_ask_volume"]
    imbalance: Floats = np.where((bids > 0) & (asks > 0), (bids - asks) / (bids + asks), np.nan)
    return imbalance


def compensated_sum(values: Floats, counts: npt.NDArray[np.int16]) -> Floats:
    """Return the sum of the first `counts` of each row of (rows, width).

    Neumaier's summation (Z. angew. Math. Mech. 54, 1974): nearly always the float64 nearest to
    the exact sum, as math.fsum gives it.
    """
    width = values.shape[1]
    terms = np.where(np.arange(width) < counts[:, None], values, 0.0).T
    total = np.zeros(len(values))
    lost = np.zeros(len(values))
    for term in np.ascontiguousarray(terms):
        summed = total + term
        larger = np.abs(total) >= np.abs(term)
        lost += np.where(larger, (total - summed) + term, (term - summed) + total)
        total = summed
    result: Floats = total + lost
    return result


_SNAPSHOTS: Final = "enhanced_order_book_snapshots"
_FORMULAS: Final[dict[tuple[str, str], Callable[[RowArray], Floats]]] = {
    (_SNAPSHOTS, "total_bid_volume"): _volume("bid"),
    (_SNAPSHOTS, "total_ask_volume"): _volume("ask"),
    (_SNAPSHOTS, "bid_ask_imbalance"): _imbalance,
}
