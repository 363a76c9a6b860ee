"""Losses under named scenarios, and the common shock that would end the account.

The maintenance margin moves with the marks at the rates and amounts of today's tiers: an account
that a shock takes into a higher tier is liquidated a little earlier than said here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk._stress_kernels import first_shock, headroom

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FARTHEST_UP: Final = 10.0
"""Largest rise that is tried, a fraction."""
_STEPS: Final = 256
"""Shocks that are tried each way before the one that ends it is narrowed down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account by symbol, in quote currency at today's marks."""

    equity: float
    notional: Floats
    """Signed."""
    coins: Floats
    """Collateral held in the symbol's coin."""
    maintenance: Floats
    """Sum of maintenance rate x notional of the positions."""
    amount: float
    """Sum of the amounts that the tiers deduct from it."""
    betas: Floats
    """How far each symbol moves for a common shock of 1."""
    inverse: Flags

    def headroom(self, shock: float) -> float:
        """Return equity minus maintenance margin after all marks move by beta x `shock`."""
        return headroom(
            shock,
            self.equity,
            self.notional,
            self.coins,
            self.maintenance,
            self.amount,
            self.betas,
            self.inverse,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JointDistance:
    """Common shocks at which the account is liquidatable; None where no shock that way does it."""

    down: float | None
    up: float | None

    @property
    def nearest(self) -> float | None:
        """The one nearer to 0; the fall if both are as near."""
        found = [shock for shock in (self.down, self.up) if shock is not None]
        return min(found, key=abs) if found else None


def joint_distance(account: Account) -> JointDistance:
    """Return the smallest fall and rise of all marks that reach equity = maintenance margin.

    Both are 0 for an account that is there already. No price falls to 0: where the betas are b
    the fall ends short of 1 / max b.
    """
    used = (account.notional != 0) | (account.coins != 0)
    if not used.any():
        return JointDistance(down=None, up=None)
    if account.headroom(0.0) <= 0:
        return JointDistance(down=0.0, up=0.0)
    betas = account.betas[used]
    most, least = float(betas.max()), float(betas.min())
    lowest = -min((1 - 1e-9) / most if most > 0 else FARTHEST_UP, FARTHEST_UP)
    highest = min((1 - 1e-9) / -least if least < 0 else FARTHEST_UP, FARTHEST_UP)
    kept = (
        account.equity,
        account.notional[used],
        account.coins[used],
        account.maintenance[used],
        account.amount,
        betas,
        account.inverse[used],
    )
    down, up = first_shock(lowest, _STEPS, *kept), first_shock(highest, _STEPS, *kept)
    return JointDistance(down=None if math.isnan(down) else down, up=None if math.isnan(up) else up)


def smallest_reaching(
    loss: Callable[[float], float],
    target: float,
    most: float,
    *,
    tolerance: float = 1e-9,
) -> float | None:
    """Return the least size in [0, `most`] whose loss is `target` or more; None if none is.

    `loss` must not fall as the size grows, as that of a cascade in its shock (reverse stress),
    or in the scale of open interest or leverage (a cap: the result is where the limit binds).
    Raises RiskError unless `most` is above 0.
    """
    if not most > 0:
        raise RiskError(f"Expected most above 0, was {most}.")
    if loss(most) < target:
        return None
    if loss(0.0) >= target:
        return 0.0
    near, far = 0.0, most
    while far - near > tolerance * most:
        middle = 0.5 * (near + far)
        if loss(middle) >= target:
            far = middle
        else:
            near = middle
    return far


def grid(
    loss: Callable[[float, float, float], float],
    shocks: Floats,
    depths: Floats,
    correlations: Floats,
) -> Floats:
    """Return `loss` at each shock x depth share x correlation, [shocks, depths, correlations]."""
    return np.array([[[loss(s, d, c) for c in correlations] for d in depths] for s in shocks])
