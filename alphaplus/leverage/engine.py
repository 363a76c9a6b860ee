"""One margin engine for every venue: whole accounts and portfolios, arrays in, arrays out.

A bucket is what shares collateral: a whole account (cross) or one position (isolated). The
engine solves equity(p) = maintenance margin(p) for one symbol at a time, the marks of the
others frozen, with the tier of the notional at the root (not at the mark). What differs
between venues is in the profile (`alphaplus.leverage.profiles`) and so in these columns.
"""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage import _kernels
from alphaplus.leverage.tiers import TIER

Floats = npt.NDArray[np.float64]
Records = npt.NDArray[np.void]

POSITION: Final = np.dtype(
    [
        ("bucket", "i8"),  # row of `wallets`
        ("symbol", "i8"),  # legs of one symbol in one bucket move together
        ("side", "f8"),  # +1 long, -1 short
        ("quantity", "f8"),  # base coin, or face value in USD of inverse contracts; >= 0
        ("entry", "f8"),
        ("mark", "f8"),  # nan: unknown
        ("initial_rate", "f8"),  # initial margin per notional, fees included
        ("close_fee", "f8"),  # part of MM per notional
        ("bankruptcy_fee", "f8"),  # paid on closing at the bankruptcy price, per notional
        ("tier_begin", "i8"),  # rows [begin, end) of the tiers; none: unknown
        ("tier_end", "i8"),
        ("inverse", "?"),
        ("entry_valued", "?"),  # MM and IM by the notional at entry
    ],
    align=True,
)

MARGIN: Final = np.dtype(
    [
        ("notional", "f8"),
        ("unrealized_pnl", "f8"),
        ("initial_margin", "f8"),
        ("maintenance_margin", "f8"),
        ("liquidation_price", "f8"),  # the nearer of the next two
        ("liquidation_price_down", "f8"),
        ("liquidation_price_up", "f8"),
        ("bankruptcy_price", "f8"),
        ("tier", "i8"),  # from 0, at the mark; -1: unknown
        ("above_max_notional", "?"),
        ("state", "i1"),
    ],
    align=True,
)

BUCKET: Final = np.dtype(
    [
        ("equity", "f8"),
        ("initial_margin", "f8"),
        ("maintenance_margin", "f8"),
        ("margin_ratio", "f8"),  # MM / equity: 1 is liquidation
        ("margin_utilisation", "f8"),  # IM / equity
        ("state", "i1"),
    ],
    align=True,
)

LARGEST_RISE: Final = 1e4
SCAN_STEPS: Final = 64


class MarginState(IntEnum):
    """How a position or a bucket stands; UNKNOWN when an input is missing."""

    NO_POSITION = _kernels.NO_POSITION
    SAFE = _kernels.SAFE
    NO_LIQUIDATION_PRICE = _kernels.NO_LIQUIDATION_PRICE
    LIQUIDATABLE_NOW = _kernels.LIQUIDATABLE
    BANKRUPT = _kernels.BANKRUPT
    UNKNOWN = _kernels.UNKNOWN


def evaluate(
    positions: Records, tiers: Records, wallets: Floats, *, strict: npt.ArrayLike = False
) -> tuple[Records, Records]:
    """Return margins, prices and states: a MARGIN row per position, a BUCKET row per wallet.

    `positions` is a POSITION array in any order, `tiers` a TIER array, `wallets` the collateral
    of each bucket (settlement asset; balance less accrued funding and fees). `strict` liquidates
    only below MM, not at it; one value or one per bucket. Unknown values are nan; with one unknown
    mark in a cross account the liquidation prices of its other positions are unknown too. Amounts
    are in the settlement asset. Raises RiskError if an array does not fit.
    """
    order = _order(positions, tiers, wallets)
    out = np.zeros(len(positions), MARGIN)
    buckets = np.zeros(len(wallets), BUCKET)
    below = np.ascontiguousarray(np.broadcast_to(np.asarray(strict, np.bool_), len(wallets)))
    _kernels.margins(positions, order, tiers, wallets, below, out, buckets)
    return out, buckets


def surplus_at(positions: Records, tiers: Records, wallets: Floats, shock: float = 0.0) -> Floats:
    """Return equity - MM of each bucket when every mark moves by the fraction `shock`."""
    moved = positions.copy()
    moved["mark"] *= 1.0 + shock
    _, buckets = evaluate(moved, tiers, wallets)
    return np.asarray(buckets["equity"] - buckets["maintenance_margin"])


def joint_distance(
    positions: Records, tiers: Records, wallets: Floats, betas: npt.ArrayLike = 1.0
) -> Floats:
    """Return, per bucket, the smallest common shocks at which equity meets MM: (n, 2) down, up.

    Marks move to p (1 + beta x); x < 0 in the first column, x > 0 in the second, 0 where
    equity is at or below MM already, nan where no shock up to 10,000 times the price does it or
    an input is unknown. With hedged legs on other symbols this is further or nearer than the
    distance of any leg alone.
    """
    order = _order(positions, tiers, wallets)
    spread = np.ascontiguousarray(np.broadcast_to(np.asarray(betas, np.float64), len(positions)))
    out = np.empty((len(wallets), 2))
    _kernels.joint_distances(
        positions, order, tiers, wallets, spread, LARGEST_RISE, SCAN_STEPS, out
    )
    return out


def warm_engine() -> None:
    """Compile the engine's kernels, on one position without tiers."""
    positions = np.ones(1, POSITION)
    positions[["bucket", "tier_begin", "tier_end"]] = 0
    evaluate(positions, np.zeros(0, TIER), np.ones(1))
    joint_distance(positions, np.zeros(0, TIER), np.ones(1))


def _order(positions: Records, tiers: Records, wallets: Floats) -> npt.NDArray[np.int64]:
    if positions.dtype != POSITION or positions.ndim != 1:
        raise RiskError(f"Expected positions as a row of POSITION, was {positions.dtype}.")
    if len(positions) == 0:
        return np.zeros(0, np.int64)
    if positions["bucket"].min() < 0 or positions["bucket"].max() >= len(wallets):
        raise RiskError(f"Expected every bucket below {len(wallets)}, was one outside.")
    if positions["tier_begin"].min() < 0 or positions["tier_end"].max() > len(tiers):
        raise RiskError(f"Expected tier rows within the {len(tiers)} given, was one outside.")
    if not (positions["quantity"] >= 0).all() or not (np.abs(positions["side"]) == 1).all():
        raise RiskError("Expected quantities of at least 0 and sides +1 or -1, was another.")
    if not (positions["entry"] > 0).all() or (positions["mark"] <= 0).any():
        raise RiskError("Expected entry prices and marks above 0, was one not.")
    if any(np.isinf(positions[name]).any() for name in ("quantity", "entry", "mark")):
        raise RiskError("Expected finite quantities and prices, was one infinite.")
    return np.lexsort((positions["symbol"], positions["bucket"]))
