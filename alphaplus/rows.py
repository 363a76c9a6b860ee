"""Joining structured arrays of one dtype, fast."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def join_rows(parts: Sequence[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    """Return all rows of one or more contiguous arrays of the same dtype, in order.

    `np.concatenate` compares the fields of structured types one by one, which takes some ten
    microseconds however few the rows; their bytes are joined at once. The result is writeable
    unless it is the only part itself. Raises TypeError for a part that is not contiguous.

    >>> import numpy as np
    >>> rows = np.zeros(2, dtype=[("price", "<f8"), ("side", "i1")])
    >>> len(join_rows([rows, rows[:1]]))
    3
    """
    if len(parts) == 1:
        return parts[0]
    buffers: Any = parts
    return np.frombuffer(bytearray().join(buffers), dtype=parts[0].dtype)
