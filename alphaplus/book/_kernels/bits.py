"""Bits of one word."""

import numpy as np

from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def lowest_bit(word: int) -> int:
    """Return the index of the lowest set bit; `word` must not be 0."""
    power = np.float64(word & -word).view(np.int64)  # exact: its exponent is the bit's index
    return ((power >> np.int64(52)) & np.int64(2047)) - 1023  # type: ignore[return-value]
