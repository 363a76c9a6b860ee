"""Compiled search for the common shock that brings equity down to the maintenance margin."""

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@kernel
def headroom(
    shock: float,
    equity: float,
    notional: Floats,
    coins: Floats,
    maintenance: Floats,
    amount: float,
    betas: Floats,
    inverse: Flags,
) -> float:
    """Return equity minus maintenance margin after a shock, at today's value of coins."""
    left = equity + amount
    for symbol in range(len(notional)):
        ratio = 1.0 + betas[symbol] * shock
        left += coins[symbol] * (ratio - 1.0)
        if inverse[symbol]:
            left += notional[symbol] * (1.0 - 1.0 / ratio) - maintenance[symbol] / ratio
        else:
            left += notional[symbol] * (ratio - 1.0) - maintenance[symbol] * ratio
    return left


@kernel
def first_shock(
    limit: float,
    steps: int,
    equity: float,
    notional: Floats,
    coins: Floats,
    maintenance: Floats,
    amount: float,
    betas: Floats,
    inverse: Flags,
) -> float:
    """Return the shock nearest to 0, on the way to `limit`, without headroom; nan if none."""
    near = 0.0
    for step in range(1, steps + 1):
        far = limit * step / steps
        if headroom(far, equity, notional, coins, maintenance, amount, betas, inverse) <= 0.0:
            for _ in range(60):
                middle = 0.5 * (near + far)
                left = headroom(
                    middle, equity, notional, coins, maintenance, amount, betas, inverse
                )
                if left <= 0.0:
                    far = middle
                else:
                    near = middle
            return far
        near = far
    return np.nan
