"""Compiled sums over the levels of one side; the measures' files say what they mean."""

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]


@kernel
def sum_within(
    prices: Floats,
    quantities: Floats,
    mid: float,
    sign: float,
    size: float,
    inverse: bool,
    bounds: Floats,
    sums: Floats,
) -> None:
    """Put into `sums` the notional of the levels at most `bounds` (ascending, bps) from `mid`.

    `sign` is +1 for bids and -1 for asks.
    """
    total = 0.0
    at = 0
    for i in range(len(prices)):
        distance = 1e4 * sign * (mid - prices[i]) / mid
        while at < len(bounds) and distance > bounds[at]:
            sums[at] = total
            at += 1
        if at == len(bounds):
            return
        if inverse:
            total += quantities[i] * size
        else:
            total += prices[i] * quantities[i] * size
    while at < len(bounds):
        sums[at] = total
        at += 1


@kernel
def walk(
    prices: Floats,
    quantities: Floats,
    size: float,
    inverse: bool,
    notionals: Floats,
    found: Floats,
) -> None:
    """Fill orders of `notionals` (ascending) against the levels in one walk.

    Row i of `found` (n, 4): base filled, quote filled, price of the last level used, levels used.
    """
    base = 0.0
    quote = 0.0
    at = 0
    for i in range(len(prices)):
        if inverse:
            level = quantities[i] * size
        else:
            level = prices[i] * quantities[i] * size
        while at < len(notionals) and quote + level >= notionals[at]:
            rest = notionals[at] - quote
            found[at, 0] = base + rest / prices[i]
            found[at, 1] = notionals[at]
            found[at, 2] = prices[i]
            found[at, 3] = i + 1
            at += 1
        if at == len(notionals):
            return
        quote += level
        base += level / prices[i]
    while at < len(notionals):
        found[at, 0] = base
        found[at, 1] = quote
        found[at, 2] = prices[-1] if len(prices) else np.nan
        found[at, 3] = len(prices)
        at += 1
