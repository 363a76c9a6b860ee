"""How walls are remembered: sizes, and the rows of their kernels."""

from typing import Any, Final

import numpy as np

from alphaplus.jit import kernel

SLOTS: Final = 128
"""Buckets remembered a side; a power of 2 above those within the range."""
CELLS: Final = 100
CELL_NS: Final = 100_000_000
"""Persistence is counted in cells: 100 of 100 ms are 10 s."""
TRADES: Final = 2048
ENDED: Final = 256
INT64_MAX: Final = 2**63 - 1

STATE: Final = np.dtype(
    [
        ("tick_units", "<f8"),
        ("scale", "<f8"),  # price = tick * tick_units / scale
        ("size", "<f8"),
        ("inverse", "<i8"),
        ("z_enter", "<f8"),
        ("z_release", "<f8"),
        ("share_enter", "<f8"),
        ("share_release", "<f8"),
        ("share_flat", "<f8"),
        ("hold_ns", "<i8"),
        ("cells", "<i8"),
        ("looked", "<i8"),  # looks since the stream began or broke off
        ("looks", "<i8"),
        ("ts", "<i8"),
        ("anchor", "<i8"),  # best bid + best ask when the buckets were laid
        ("width", "<i8"),  # ticks of a bucket; 0: not laid yet
        ("twice_mid", "<i8"),
        ("lowest_sell", "<i8"),  # of the trades since the last look
        ("highest_buy", "<i8"),
        ("trades", "<i8"),  # rows ever written to the ring of trades
        ("ended", "<i8"),  # rows ever written to the ring of ended walls
        ("truncated", "<i8", (2,)),
        ("followed", "u1", (2, SLOTS)),  # buckets that may hold, or have held lately
    ],
    align=True,
)
SLOT: Final = np.dtype(
    [
        ("bucket", "<i8"),  # counted outward from the anchor; below 0 once the mid has crossed it
        ("look", "<i8"),  # the look at which the bucket last had levels
        ("now", "<f8"),  # its notional at that look
        ("now_tick", "<i8"),  # its largest level at that look
        ("tick", "<i8"),  # these four as they were when it last held
        ("notional", "<f8"),
        ("share", "<f8"),
        ("z", "<f8"),
        ("since", "<i8"),  # time from which it holds without a break; 0: it does not
        ("born", "<i8"),  # `since` of the wall whose removal is pending
        ("pending", "<i8"),  # time of the release that waits to be classified; 0: none
        ("before", "<f8"),  # notional 250 ms before that release
        ("traded", "<f8"),
        ("tested", "<i8"),
        ("cell", "<i8"),  # the newest cell written
        ("met", "<i8"),  # sum of the cells
        ("on", "u1"),  # whether it held at the last look
        ("is_wall", "u1"),
        ("is_near", "u1"),
        ("through", "u1"),
        ("cells", "u1", (CELLS,)),
        ("past_ts", "<i8", (4,)),  # notionals at least 100 ms apart, so of at least 300 ms
        ("past", "<f8", (4,)),
        ("past_count", "<i8"),
    ],
    align=True,
)
TRADED: Final = np.dtype(
    [("ts", "<i8"), ("tick", "<i8"), ("notional", "<f8"), ("side", "<i8")], align=True
)
END: Final = np.dtype(
    [
        ("s", "<i8"),  # 0 bid, 1 ask
        ("bucket", "<i8"),
        ("tick", "<i8"),
        ("near_tick", "<i8"),
        ("width", "<i8"),
        ("twice_mid", "<i8"),
        ("notional", "<f8"),
        ("share", "<f8"),
        ("z", "<f8"),
        ("met", "<i8"),
        ("age_ns", "<i8"),
        ("tested", "<i8"),
        ("traded", "<f8"),
        ("through", "<i8"),
        ("outcome", "<i8"),
    ],
    align=True,
)


@kernel
def near_tick(state: Any, s: int, bucket: int) -> int:
    """Return the tick of a bucket that is nearest to the anchor."""
    anchor = state[0].anchor
    if s == 0:
        return anchor // 2 - bucket * state[0].width  # type: ignore[no-any-return]
    return (anchor + 1) // 2 + bucket * state[0].width  # type: ignore[no-any-return]


@kernel
def bucket_of(state: Any, s: int, tick: int) -> int:
    anchor = state[0].anchor
    if s == 0:
        return (anchor // 2 - tick) // state[0].width  # type: ignore[no-any-return]
    return (tick - (anchor + 1) // 2) // state[0].width  # type: ignore[no-any-return]
