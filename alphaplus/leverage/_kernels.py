"""The compiled margin engine: whole accounts at once, one pass over sorted positions.

Everything is linear in u, which is the price of a linear contract and one over the price of
an inverse one: the notional is q u and the profit d q (u - e), where d is the side (turned
round for inverse contracts). So one line per tier serves both kinds.
"""

import math

import numpy as np
import numpy.typing as npt

from alphaplus.jit import kernel

NO_POSITION, SAFE, NO_LIQUIDATION_PRICE, LIQUIDATABLE, BANKRUPT, UNKNOWN = 0, 1, 2, 3, 4, 5
NOTHING = 1e-14
"""A difference below this share of its parts is rounding."""

Records = npt.NDArray[np.void]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@kernel
def tier_of(tiers: Records, begin: int, end: int, notional: float) -> int:
    """Return the row of the first tier that a notional fits in, else the last."""
    k = begin
    while k + 1 < end and notional > tiers[k].cap:
        k += 1
    return k


@kernel
def maintenance(positions: Records, i: int, tiers: Records, u: float) -> float:
    """Return the maintenance margin of position i at u; nan without tiers."""
    begin, end = positions[i].tier_begin, positions[i].tier_end
    at = u
    if positions[i].entry_valued:
        at = 1.0 / positions[i].entry if positions[i].inverse else positions[i].entry
    notional = positions[i].quantity * at
    if notional == 0.0:
        return 0.0
    if end <= begin:
        return np.nan
    k = tier_of(tiers, begin, end, notional)
    due: float = notional * (tiers[k].rate + positions[i].close_fee) - tiers[k].amount
    return due


@kernel
def margins(
    positions: Records,
    order: Integers,
    tiers: Records,
    wallets: Floats,
    strict: npt.NDArray[np.bool_],
    out: Records,
    buckets: Records,
) -> None:
    """Fill `out` per position and `buckets` per wallet; `order` sorts by bucket and symbol."""
    for b in range(wallets.shape[0]):
        buckets[b].equity = wallets[b]
        buckets[b].initial_margin = 0.0
        buckets[b].maintenance_margin = 0.0
        buckets[b].margin_ratio = np.nan
        buckets[b].margin_utilisation = np.nan
        buckets[b].state = NO_POSITION
    n = order.shape[0]
    net_after = np.zeros(n + 1)
    profit_after = np.zeros(n + 1)
    at_tier = np.zeros(n, np.int64)
    begin = 0
    while begin < n:
        bucket = positions[order[begin]].bucket
        end = begin
        while end < n and positions[order[end]].bucket == bucket:
            end += 1
        for j in range(begin, end):
            _value(positions, order[j], tiers, out)
        _bucket(order, begin, end, wallets[bucket], strict[bucket], positions, out, buckets, bucket)
        net_after[end] = 0.0
        profit_after[end] = 0.0
        for j in range(end - 1, begin - 1, -1):
            i = order[j]
            profit_after[j] = profit_after[j + 1] + out[i].unrealized_pnl
            net_after[j] = net_after[j + 1] + out[i].unrealized_pnl - out[i].maintenance_margin
        # others of the bucket: what stands before the group and what comes after it, so that
        # no large number is added first and taken away again
        net_before = 0.0
        profit_before = 0.0
        low = begin
        while low < end:
            high = low + 1
            while high < end and positions[order[high]].symbol == positions[order[low]].symbol:
                high += 1
            _group(
                positions,
                order,
                tiers,
                low,
                high,
                wallets[bucket] + (net_before + net_after[high]),
                wallets[bucket] + (profit_before + profit_after[high]),
                buckets[bucket].state,
                at_tier,
                out,
            )
            for j in range(low, high):
                i = order[j]
                profit_before += out[i].unrealized_pnl
                net_before += out[i].unrealized_pnl - out[i].maintenance_margin
            low = high
        begin = end


@kernel
def _value(positions: Records, i: int, tiers: Records, out: Records) -> None:
    """Notional, profit and margins of one position at its mark."""
    q = positions[i].quantity
    mark, entry = positions[i].mark, positions[i].entry
    out[i].above_max_notional = False
    out[i].tier = -1
    if q == 0.0:
        out[i].notional = 0.0
        out[i].unrealized_pnl = 0.0
        out[i].initial_margin = 0.0
        out[i].maintenance_margin = 0.0
        return
    if positions[i].inverse:
        u, e, d = 1.0 / mark, 1.0 / entry, -positions[i].side
    else:
        u, e, d = mark, entry, positions[i].side
    notional = q * u
    out[i].notional = notional
    out[i].unrealized_pnl = d * q * (u - e)
    held = q * e if positions[i].entry_valued else notional
    out[i].initial_margin = held * positions[i].initial_rate
    out[i].maintenance_margin = maintenance(positions, i, tiers, u)
    begin, end = positions[i].tier_begin, positions[i].tier_end
    if end > begin and not math.isnan(notional):
        out[i].tier = tier_of(tiers, begin, end, held) - begin
        out[i].above_max_notional = held > tiers[end - 1].cap


@kernel
def _bucket(
    order: Integers,
    begin: int,
    end: int,
    wallet: float,
    strict: bool,
    positions: Records,
    out: Records,
    buckets: Records,
    b: int,
) -> None:
    """Sum one bucket and say how it stands."""
    profit = 0.0
    initial = 0.0
    held = 0.0
    open_positions = 0
    for j in range(begin, end):
        i = order[j]
        profit += out[i].unrealized_pnl
        initial += out[i].initial_margin
        held += out[i].maintenance_margin
        if positions[i].quantity != 0.0:
            open_positions += 1
    equity = wallet + profit
    buckets[b].equity = equity
    buckets[b].initial_margin = initial
    buckets[b].maintenance_margin = held
    if open_positions == 0:
        return
    if math.isnan(equity) or math.isnan(held):
        buckets[b].state = UNKNOWN
        if equity > 0.0:
            buckets[b].margin_utilisation = initial / equity
        return
    if equity > 0.0:
        buckets[b].margin_ratio = held / equity
        buckets[b].margin_utilisation = initial / equity
    due = held > 0.0 and (equity < held or (equity == held and not strict))
    if equity <= 0.0 and held > 0.0:
        buckets[b].state = BANKRUPT
    elif due:
        buckets[b].state = LIQUIDATABLE
    else:
        buckets[b].state = SAFE


@kernel
def _group(
    positions: Records,
    order: Integers,
    tiers: Records,
    low: int,
    high: int,
    others_net: float,
    others_profit: float,
    bucket_state: int,
    at_tier: Integers,
    out: Records,
) -> None:
    """Roots and bankruptcy price of all legs of one symbol in one bucket."""
    inverse = positions[order[low]].inverse
    mark = np.nan
    quantity = 0.0
    for j in range(low, high):
        if positions[order[j]].quantity != 0.0:
            mark = positions[order[j]].mark
            quantity += positions[order[j]].quantity
    down, up, bankruptcy = np.nan, np.nan, np.nan
    if quantity != 0.0:
        down, up = _roots(
            positions, order, tiers, low, high, others_net, 1.0 / mark if inverse else mark, at_tier
        )
        bankruptcy = _bankruptcy(positions, order, low, high, others_profit)
        if inverse:
            down, up, bankruptcy = 1.0 / up, 1.0 / down, 1.0 / bankruptcy
    nearest = down
    if not math.isnan(up) and not (mark - down <= up - mark):
        nearest = up
    for j in range(low, high):
        i = order[j]
        if positions[i].quantity == 0.0:
            out[i].state = NO_POSITION
            out[i].liquidation_price = np.nan
            out[i].liquidation_price_down = np.nan
            out[i].liquidation_price_up = np.nan
            out[i].bankruptcy_price = np.nan
            continue
        out[i].liquidation_price_down = down
        out[i].liquidation_price_up = up
        out[i].liquidation_price = nearest
        out[i].bankruptcy_price = bankruptcy
        out[i].state = bucket_state
        if bucket_state == SAFE and math.isnan(nearest):
            out[i].state = NO_LIQUIDATION_PRICE


@kernel
def _roots(
    positions: Records,
    order: Integers,
    tiers: Records,
    low: int,
    high: int,
    others: float,
    u_mark: float,
    at_tier: Integers,
) -> tuple[float, float]:
    """Return the roots of equity - MM nearest below (or at) and above u_mark; nan: none.

    Walks the tiers upward from u = 0. Between two tier boundaries f(u) = a + b u; a root is
    where the sign changes, so that rounding at a boundary can neither lose one nor invent one.
    """
    below, above = np.nan, np.nan
    if math.isnan(others) or math.isnan(u_mark):
        return below, above
    for j in range(low, high):
        i = order[j]
        if positions[i].quantity != 0.0 and positions[i].tier_end <= positions[i].tier_begin:
            return below, above
        at_tier[j] = positions[i].tier_begin
    start = 0.0
    last = 0.0
    while True:
        a, b, stop = others, 0.0, np.inf
        size = abs(others)
        for j in range(low, high):
            i = order[j]
            q = positions[i].quantity
            if q == 0.0:
                continue
            if positions[i].inverse:
                e, d = 1.0 / positions[i].entry, -positions[i].side
            else:
                e, d = positions[i].entry, positions[i].side
            a -= d * q * e
            b += d * q
            size += q * e
            if positions[i].entry_valued:
                a -= maintenance(positions, i, tiers, e)
                continue
            k = at_tier[j]
            a += tiers[k].amount
            b -= q * (tiers[k].rate + positions[i].close_fee)
            if k + 1 < positions[i].tier_end:
                stop = min(stop, tiers[k].cap / q)
        if start == 0.0 and abs(a) <= NOTHING * size:
            a = 0.0  # collateral is all that can be lost: what is left is rounding, not a root
        first = a + b * start
        if start > 0.0 and ((last > 0.0 and first < 0.0) or (last < 0.0 and first > 0.0)):
            below, above = _nearer(start, u_mark, below, above)
        if stop == np.inf:
            last = b if b != 0.0 else first
        else:
            last = a + b * stop
        if (first > 0.0 and last < 0.0) or (first < 0.0 and last > 0.0):
            below, above = _nearer(min(max(-a / b, start), stop), u_mark, below, above)
        elif last == 0.0 and first != 0.0 and stop != np.inf:
            below, above = _nearer(stop, u_mark, below, above)
        if stop == np.inf:
            return below, above
        for j in range(low, high):
            i = order[j]
            if positions[i].quantity == 0.0 or positions[i].entry_valued:
                continue
            k = at_tier[j]
            if k + 1 < positions[i].tier_end and tiers[k].cap / positions[i].quantity <= stop:
                at_tier[j] = k + 1
        start = stop


@kernel
def _nearer(root: float, u_mark: float, below: float, above: float) -> tuple[float, float]:
    if root <= 0.0 or root == np.inf:
        return below, above
    if root <= u_mark:
        if not below >= root:
            below = root
    elif not above <= root:
        above = root
    return below, above


@kernel
def _bankruptcy(positions: Records, order: Integers, low: int, high: int, others: float) -> float:
    """Return u at which the bucket's equity after the fee of closing these legs is 0."""
    value, slope = others, 0.0
    for j in range(low, high):
        i = order[j]
        q = positions[i].quantity
        if q == 0.0:
            continue
        if positions[i].inverse:
            e, d = 1.0 / positions[i].entry, -positions[i].side
        else:
            e, d = positions[i].entry, positions[i].side
        value -= d * q * e
        slope += d * q - q * positions[i].bankruptcy_fee
    u = -value / slope if slope != 0.0 else np.nan
    return u if u > 0.0 else np.nan


@kernel
def surplus_after(
    positions: Records,
    order: Integers,
    tiers: Records,
    begin: int,
    end: int,
    wallet: float,
    betas: Floats,
    x: float,
) -> float:
    """Return equity - MM of one bucket once every mark has moved to p (1 + beta x)."""
    total = wallet
    for j in range(begin, end):
        i = order[j]
        if positions[i].quantity == 0.0:
            continue
        price = positions[i].mark * (1.0 + betas[i] * x)
        if positions[i].inverse:
            u, e, d = 1.0 / price, 1.0 / positions[i].entry, -positions[i].side
        else:
            u, e, d = price, positions[i].entry, positions[i].side
        total += d * positions[i].quantity * (u - e) - maintenance(positions, i, tiers, u)
    return total


@kernel
def joint_distances(
    positions: Records,
    order: Integers,
    tiers: Records,
    wallets: Floats,
    betas: Floats,
    largest: float,
    steps: int,
    out: Floats,
) -> None:
    """Fill out[b] with the common shocks, down (below 0) and up, at which equity meets MM.

    Scans outward in `steps` steps (even in the logarithm of 1 + shock) for the first sign
    change, then bisects; nan where there is none. `largest` bounds the rise.
    """
    out[:, :] = np.nan
    n = order.shape[0]
    begin = 0
    while begin < n:
        b = positions[order[begin]].bucket
        end = begin
        fall, rise = 1.0, largest  # the shocks that keep every price above 0
        while end < n and positions[order[end]].bucket == b:
            i = order[end]
            if positions[i].quantity != 0.0:
                if betas[i] > 0.0:
                    fall = min(fall, 1.0 / betas[i])
                elif betas[i] < 0.0:
                    rise = min(rise, -1.0 / betas[i])
            end += 1
        now = surplus_after(positions, order, tiers, begin, end, wallets[b], betas, 0.0)
        for way in range(2):
            if math.isnan(now):
                continue
            if now <= 0.0:
                out[b, way] = 0.0
                continue
            limit = -fall * (1.0 - 1e-9) if way == 0 else rise * (1.0 - 1e-9)
            inside, outside = 0.0, np.nan
            for step in range(1, steps + 1):
                x = np.expm1(np.log1p(limit) * step / steps)
                if surplus_after(positions, order, tiers, begin, end, wallets[b], betas, x) <= 0.0:
                    outside = x
                    break
                inside = x
            if math.isnan(outside):
                continue
            while True:
                middle = 0.5 * (inside + outside)
                if middle in (inside, outside) or abs(outside - inside) < 1e-15:
                    break
                left = surplus_after(positions, order, tiers, begin, end, wallets[b], betas, middle)
                if left <= 0.0:
                    outside = middle
                else:
                    inside = middle
            out[b, way] = outside
        begin = end
