"""Which parts of a range of candles are still to be asked for."""

from typing import Final

import numpy as np
import numpy.typing as npt

MAX_RANGES: Final = 20
"""With more holes than this the range is asked for as a whole: requests cost more than rows."""


def missing_ranges(
    times: npt.NDArray[np.int64], *, step_ns: int, start_ns: int, end_ns: int
) -> list[tuple[int, int]]:
    """Return the ranges [start, end) of [start_ns, end_ns) without candles, oldest first.

    `times` are the openings that are there, multiples of `step_ns`.

    >>> import numpy as np
    >>> missing_ranges(np.array([20, 30, 60]), step_ns=10, start_ns=5, end_ns=80)
    [(10, 20), (40, 60), (70, 80)]
    """
    wanted = np.arange(-(-start_ns // step_ns), -(-end_ns // step_ns), dtype=np.int64) * step_ns
    absent = wanted[~np.isin(wanted, times)]
    if not len(absent):
        return []
    cuts = np.flatnonzero(np.diff(absent) > step_ns)
    if len(cuts) >= MAX_RANGES:
        return [(int(absent[0]), int(absent[-1]) + step_ns)]
    begins = absent[np.concatenate(([0], cuts + 1))]
    ends = absent[np.append(cuts, len(absent) - 1)] + step_ns
    return list(zip(begins.tolist(), ends.tolist(), strict=True))
