"""Compiled walks of ladders of depth, and the legs of a cascade that walks them.

A ladder is a row of distances (fractions of the price, ascending) and of what rests there. Signs
are +1 for buyers and a rising price, -1 for sellers and a falling one.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NODES: Final = np.array([0.04691007703066802, 0.23076534494715845, 0.5])
"""Left half of the five Gauss-Legendre nodes on [0, 1]."""
_WEIGHTS: Final = np.array([0.11846344252809454, 0.23931433524968324, 0.28444444444444444])
_SETTLED: Final = 1e-13
"""Relative difference of prices that is rounding."""


@kernel
def price_after(
    distance: Floats, resting: Floats, quantity: float, slope: float, sign: float
) -> float:
    """Return the price after `quantity` was taken of one ladder, as a fraction of that before."""
    left = quantity
    last = 1.0
    for level in range(len(distance)):
        if left <= 0.0:
            return last
        if resting[level] > 0.0:
            last = 1.0 + sign * distance[level]
            left -= resting[level]
    if left <= 1e-12 * quantity:  # the ladder held it but for rounding
        return last
    return last * math.exp(sign * slope * math.sqrt(left))


@kernel
def mean_price(
    distance: Floats, resting: Floats, begin: float, end: float, slope: float, sign: float
) -> float:
    """Return the mean price of the units from `begin` to `end` of all that is taken."""
    if end <= begin:
        return price_after(distance, resting, begin, slope, sign)
    paid = 0.0
    reached = 0.0
    last = 1.0
    for level in range(len(distance)):
        if resting[level] > 0.0:
            last = 1.0 + sign * distance[level]
            low, high = max(reached, begin), min(reached + resting[level], end)
            if high > low:
                paid += last * (high - low)
            reached += resting[level]
    low, high = max(0.0, begin - reached), end - reached
    if high > 1e-12 * end and high > low:
        near, far = math.sqrt(low), math.sqrt(high)
        for at in range(5):  # the integral over units u is one over 2 sqrt(u): smooth
            node = _NODES[at] if at < 3 else 1.0 - _NODES[4 - at]
            weight = _WEIGHTS[at] if at < 3 else _WEIGHTS[4 - at]
            root = near + (far - near) * node
            paid += weight * (far - near) * 2.0 * root * last * math.exp(sign * slope * root)
    elif high > low:
        paid += last * (high - low)
    return paid / (end - begin)


@kernel
def fill_costs(
    distance: Floats,
    resting: Floats,
    slopes: Floats,
    notional: Floats,
    prices: Floats,
    survival: float,
    costs: Floats,
) -> None:
    """Write the cost of closing each notional: its size times how far the mean fill is off."""
    for symbol in range(len(notional)):
        if notional[symbol] == 0.0:
            costs[symbol] = 0.0
            continue
        side = 0 if notional[symbol] > 0.0 else 1
        sign = -1.0 if side == 0 else 1.0
        base = abs(notional[symbol]) / prices[symbol]
        mean = mean_price(
            distance[symbol, side],
            resting[symbol, side],
            0.0,
            base / survival,
            slopes[symbol],
            sign,
        )
        costs[symbol] = abs(notional[symbol]) * sign * (mean - 1.0)


@kernel
def run_leg(
    prices: Floats,
    shocks: Floats,
    starts: Ints,
    order: Ints,
    triggers: Floats,
    open_quantity: Floats,
    distance: Floats,
    resting: Floats,
    slopes: Floats,
    sigma: Floats,
    survival: Floats,
    stress: Floats,
    withdrawal: float,
    floor: float,
    mark_weight: float,
    mark_cap: float,
    path: Floats,
    marks: Floats,
    taken: Ints,
    fills: Floats,
) -> int:
    """Shock every symbol once and follow what it triggers; return the symbols not settled.

    `order` lists accounts by symbol and side, first triggered first, and `starts` [symbols * 2 +
    1] where each list begins, longs first. Writes `prices` (last), `stress`, `marks`, the path
    [steps + 2, symbols], how many accounts of each list were `taken` and their `fills`.
    """
    unsettled = 0
    steps = len(path) - 2
    for symbol in range(len(prices)):
        before, shock = prices[symbol], shocks[symbol]
        index = before * (1.0 + shock)
        path[0, symbol], path[1:, symbol] = before, index
        prices[symbol] = marks[symbol] = index
        taken[symbol * 2] = taken[symbol * 2 + 1] = 0
        if shock == 0.0:
            continue
        side = 0 if shock < 0.0 else 1
        sign = -1.0 if side == 0 else 1.0
        begin, end = starts[symbol * 2 + side], starts[symbol * 2 + side + 1]
        seen = stress[symbol]
        if withdrawal > 0.0:
            seen = max(seen, abs(shock) / sigma[symbol])
        there = survival[symbol] * max(floor, (1.0 + seen) ** -withdrawal)
        ladder, rests = distance[symbol, side], resting[symbol, side]
        factor, quantity, upto, quiet = 1.0, 0.0, begin, False
        for step in range(steps):
            off = min(mark_weight * abs(factor - 1.0), mark_cap)
            marks[symbol] = index * (1.0 + sign * off)
            first = upto
            while upto < end and sign * (triggers[order[upto]] - marks[symbol]) <= 0.0:
                quantity += open_quantity[order[upto]]
                upto += 1
            moved = price_after(ladder, rests, quantity / there, slopes[symbol], sign)
            path[step + 2, symbol] = index * moved
            if withdrawal > 0.0:
                seen = max(seen, abs(index * moved / before - 1.0) / sigma[symbol])
                there = survival[symbol] * max(floor, (1.0 + seen) ** -withdrawal)
            quiet = upto == first and abs(moved - factor) <= _SETTLED
            factor = moved
            quiet = quiet or math.isnan(moved)
            if quiet:
                path[step + 2 :, symbol] = index * moved
                break
        if not quiet:
            unsettled += 1
        prices[symbol] = index * factor
        stress[symbol] = seen
        taken[symbol * 2 + side] = upto - begin
        done = 0.0
        for place in range(begin, upto):
            account = order[place]
            more = done + open_quantity[account] / there
            fills[account] = index * mean_price(ladder, rests, done, more, slopes[symbol], sign)
            done = more
    return unsettled


@kernel
def settle_leg(
    starts: Ints,
    order: Ints,
    ranked: Ints,
    taken: Ints,
    sides: Floats,
    bankruptcy: Floats,
    fills: Floats,
    open_quantity: Floats,
    sold: Floats,
    adl_quantity: Floats,
    adl_value: Floats,
    fund: Floats,
) -> None:
    """Close what a leg has triggered: on the book, by the fund, by deleveraging.

    `ranked` lists accounts by symbol and side, first deleveraged first. Moves quantity from
    `open_quantity` into `sold` (on the book), and of those deleveraged into `adl_quantity` (and
    times its price into `adl_value`). `fund`: balance, paid out, surplus,
    loss passed on to the deleveraged, residual deficit.
    """
    for symbol in range(len(taken) // 2):
        for side in range(2):
            begin = starts[symbol * 2 + side]
            last = begin + taken[symbol * 2 + side]
            rank = starts[symbol * 2 + 1 - side]
            rank_end = starts[symbol * 2 + 2 - side]
            for place in range(begin, last):
                account = order[place]
                quantity = open_quantity[account]
                open_quantity[account] = 0.0
                gap = sides[account] * (bankruptcy[account] - fills[account])
                if gap <= _SETTLED * bankruptcy[account]:  # rounding is no shortfall
                    sold[account] += quantity
                    fund[2] -= gap * quantity
                    continue
                paid = min(fund[0], gap * quantity)
                fund[0] -= paid
                fund[1] += paid
                left = quantity - paid / gap
                matched = 0.0
                if left <= 1e-12 * quantity:
                    left = 0.0
                while left > 0.0 and rank < rank_end:
                    other = ranked[rank]
                    part = min(left, open_quantity[other])
                    open_quantity[other] -= part
                    adl_quantity[other] += part
                    adl_value[other] += part * bankruptcy[account]
                    matched += part
                    fund[3] += part * gap
                    left -= part
                    if open_quantity[other] <= 0.0:
                        rank += 1
                sold[account] += quantity - matched
                fund[4] += left * gap
