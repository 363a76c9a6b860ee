"""The compiled loop of `rolling`: quantile and shortfall of a moving window of scenarios."""

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]


@kernel
def roll_tail(
    sample: Floats,
    scales: Floats,
    window: int,
    fewest: int,
    level: float,
    sign: float,
    guard: float,
    refresh: int,
    out: Floats,
    ratios: Floats,
) -> None:
    """Fill VaR, ES and the chance of an exceedance at each t from the sample before t.

    `sample` are log returns in units of `scales`, signed so that the largest is the worst
    (`sign` -1: of a long position). The newest `window` that are known are kept in order.
    """
    ordered = np.empty(window)
    ring = np.empty(window)
    count = 0
    head = 0
    stored = -1
    for t in range(len(sample)):
        if count >= fewest and not np.isnan(scales[t]):
            tail = (1.0 - level) * count
            k = max(1, int(np.ceil(tail - guard)))
            value = sign * np.expm1(sign * scales[t] * ordered[count - k])
            total = 0.0
            for i in range(count - k + 1, count):
                total += sign * np.expm1(sign * scales[t] * ordered[i])
            shortfall = value
            if tail >= 1.0 - guard:
                shortfall = max(value, (total + (tail - (k - 1)) * value) / tail)
            out[0, t] = value
            out[1, t] = shortfall
            out[2, t] = (k - 1) / count
            row = t // refresh
            if row != stored:
                stored = row
                for i in range(count - k + 1, count):
                    loss = sign * np.expm1(sign * scales[t] * ordered[i])
                    ratios[row, i - (count - k + 1)] = loss / shortfall
        new = sample[t]
        if np.isnan(new):
            continue
        if count == window:
            at = np.searchsorted(ordered[:count], ring[head])
            for i in range(at, count - 1):
                ordered[i] = ordered[i + 1]
            count -= 1
        ring[head] = new
        head = (head + 1) % window
        at = np.searchsorted(ordered[:count], new)
        for i in range(count, at, -1):
            ordered[i] = ordered[i - 1]
        ordered[at] = new
        count += 1
