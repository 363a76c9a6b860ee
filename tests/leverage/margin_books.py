"""Positions for tests of the margin engine, as its arrays and as its slow twin."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from alphaplus.leverage.engine import POSITION, evaluate
from alphaplus.leverage.tiers import TIER, LeverageTier, TierTable
from tests.leverage.margin_twin import Leg

Records = npt.NDArray[np.void]

TIERS = (
    (0.0, 50_000.0, 0.004, 125),
    (50_000.0, 600_000.0, 0.005, 100),
    (600_000.0, 3_000_000.0, 0.01, 50),
    (3_000_000.0, 12_000_000.0, 0.025, 20),
    (12_000_000.0, 70_000_000.0, 0.05, 10),
    (70_000_000.0, 500_000_000.0, 0.125, 4),
)
"""Floor, cap, rate and leverage: the shape of a venue's table of 2024."""


def table(symbol: str = "BTC/USDT:USDT", scale: float = 1.0) -> TierTable:
    return TierTable.of(
        symbol,
        [
            LeverageTier(
                min_notional=floor * scale,
                max_notional=cap * scale,
                maintenance_margin_rate=rate,
                max_leverage=leverage,
            )
            for floor, cap, rate, leverage in TIERS
        ],
    )


def tier_rows(rows: Records) -> tuple[tuple[float, float, float, float], ...]:
    return tuple(
        (float(r["floor"]), float(r["cap"]), float(r["rate"]), float(r["amount"])) for r in rows
    )


def arrays(buckets: Sequence[Sequence[Leg]], *, joined: bool = False) -> tuple[Records, Records]:
    """Return POSITION and TIER arrays; `joined` makes all legs of a bucket one symbol."""
    rows, tiers, begin = [], [], 0
    for bucket, legs in enumerate(buckets):
        for k, leg in enumerate(legs):
            tiers += [(*tier, 1.0) for tier in leg.tiers]
            end = begin + len(leg.tiers)
            rows.append(
                (bucket, 0 if joined else k, leg.side, leg.quantity, leg.entry, leg.mark,
                 0.1, leg.close_fee, leg.close_fee, begin, end, leg.inverse, False)
            )  # fmt: skip
            begin = end
    return np.array(rows, POSITION), np.array(tiers, TIER)


def run(
    buckets: Sequence[Sequence[Leg]], wallets: Sequence[float], *, joined: bool = False
) -> tuple[Records, Records]:
    return evaluate(*arrays(buckets, joined=joined), np.array(wallets, np.float64))


def legs_of(tables: Sequence[Records], *, inverse: bool | None = False) -> st.SearchStrategy[Leg]:
    """Positions over some tables: notionals from a little to beyond the last tier."""

    @st.composite
    def draw_leg(draw: st.DrawFn) -> Leg:
        rows = draw(st.sampled_from(tables))
        mark = draw(st.floats(1e-3, 1e5))
        notional = draw(st.floats(1.0, 2.0 * min(float(rows["cap"][-1]), 1e9)))
        turned = draw(st.booleans()) if inverse is None else inverse
        return Leg(
            side=draw(st.sampled_from((1, -1))),
            quantity=notional * mark if turned else notional / mark,
            entry=mark * draw(st.floats(0.7, 1.3)),
            mark=mark,
            tiers=tier_rows(rows),
            inverse=turned,
            close_fee=draw(st.sampled_from((0.0, 0.0006))),
        )

    return draw_leg()
