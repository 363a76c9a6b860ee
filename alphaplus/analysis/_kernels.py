"""The compiled walk over the levels of one side; the measures' files say what its sums mean."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CONTRACT: Final = np.dtype(
    [
        ("tick_units", "<f8"),
        ("scale", "<f8"),  # price = tick * tick_units / scale
        ("size", "<f8"),
        ("inverse", "<i8"),
    ],
    align=True,
)


@kernel
def walk_side(
    ticks: Ints,
    quantities: Floats,
    is_bid: bool,
    contract: Any,
    counts: Ints,
    limits: Ints,
    notionals: Floats,
    out: Floats,
) -> bool:
    """Take all sums over one side in one pass, best level first.

    `counts`, `limits` (ticks) and `notionals` are ordered from the touch outward. `out` holds
    for each count the quantity of so many levels, for each limit the notional up to that
    price, for each notional four values: base and quote filled, tick of the last level used,
    levels used. Returns whether the levels reached as far as every count and notional asks.
    """
    unit = contract[0]
    quantity = base = quote = 0.0
    k = d = f = 0
    depths = len(counts)
    fills = depths + len(limits)
    for i in range(len(ticks)):
        while d < len(limits) and (ticks[i] < limits[d] if is_bid else ticks[i] > limits[d]):
            out[depths + d] = quote
            d += 1
        if k == len(counts) and d == len(limits) and f == len(notionals):
            return True
        price = ticks[i] * unit.tick_units / unit.scale
        level = quantities[i] * unit.size
        if unit.inverse == 0:
            level *= price
        while f < len(notionals) and quote + level >= notionals[f]:
            at = fills + 4 * f
            out[at] = base + (notionals[f] - quote) / price
            out[at + 1] = notionals[f]
            out[at + 2] = ticks[i]
            out[at + 3] = i + 1
            f += 1
        quote += level
        if f < len(notionals):  # a division that most levels need not pay for
            base += level / price
        if k < len(counts):
            quantity += quantities[i]
            if i + 1 == counts[k]:
                out[k] = quantity
                k += 1
    reached = k == len(counts) and f == len(notionals)
    while k < len(counts):
        out[k] = quantity
        k += 1
    while d < len(limits):
        out[depths + d] = quote
        d += 1
    while f < len(notionals):
        at = fills + 4 * f
        out[at] = base
        out[at + 1] = quote
        out[at + 2] = ticks[-1] if len(ticks) > 0 else 0
        out[at + 3] = len(ticks)
        f += 1
    return reached
