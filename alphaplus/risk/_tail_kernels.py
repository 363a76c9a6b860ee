"""Compiled quantiles of a portfolio without each of its symbols."""

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@kernel
def quantile_without_each(
    losses: Floats,
    order: Ints,
    notional: Floats,
    gains: Floats,
    coins: Floats,
    returns: Floats,
    most: Floats,
    rank: int,
    found: Floats,
) -> None:
    """Write the `rank`th largest loss (1: the largest) of all but one symbol, for each symbol.

    `losses` (scenarios,) are the portfolio's, `order` sorts them, the largest first. A symbol's
    gain is notional x gains + coins x returns, both [symbols, scenarios], and at most `most`:
    once a loss cannot come to count even so, nor can those after it.
    """
    largest = np.empty(rank)  # ascending
    for symbol in range(len(notional)):
        held, coin = notional[symbol], coins[symbol]
        row, moved = gains[symbol], returns[symbol]
        largest[:] = -np.inf
        for scenario in order:
            loss = losses[scenario]
            if loss + most[symbol] < largest[0]:
                break
            if held != 0.0:
                loss += held * row[scenario]
            if coin != 0.0:
                loss += coin * moved[scenario]
            if loss > largest[0]:
                place = 0
                while place + 1 < rank and largest[place + 1] < loss:
                    largest[place] = largest[place + 1]
                    place += 1
                largest[place] = loss
        found[symbol] = largest[0]
