"""Do forecasts of expected shortfall hold? The second test of Acerbi and Szekely (2014).

    Z2 = 1 - sum(L_t I_t / ES_t) / (T (1 - level))

is 0 on average if the model is right, and negative if its shortfall is too small. Its critical
value comes from simulation under the forecast distributions themselves.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from alphaplus.errors import RiskError
from alphaplus.jit import kernel
from alphaplus.risk.estimators import check_level
from alphaplus.risk.ewma import normal_factors

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DRAWS: Final = 10_000
FEWEST_DRAWS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TailDraws:
    """The forecast distributions beyond their value at risk, to simulate from."""

    ratios: Floats
    """(rows, m): equally probable losses beyond VaR divided by ES; nan fills short rows."""
    rows: Integers
    """(T,): the row of each forecast."""
    probabilities: Floats
    """(T,): chance of loss > VaR under each forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallTest:
    """Z2, the value below which it rejects, and the share of simulations at or below it."""

    statistic: float
    critical: float
    p_value: float
    significance: float

    @property
    def accepted(self) -> bool:
        """Whether the model is not rejected."""
        return self.statistic >= self.critical


def acerbi_szekely_z2(
    losses: npt.ArrayLike, var: npt.ArrayLike, shortfall: npt.ArrayLike, level: float
) -> float:
    """Return Z2 of losses and forecasts (T,); raises RiskError for a shortfall of 0 or less."""
    lost, limit, expected = (np.asarray(x, dtype=np.float64) for x in (losses, var, shortfall))
    if not len(lost) or not (expected > 0).all():
        raise RiskError("Expected forecasts of shortfall above 0.")
    beyond = lost > limit
    tail = len(lost) * (1 - check_level(level))
    return 1 - float(np.sum(lost[beyond] / expected[beyond])) / tail


def normal_draws(n_obs: int, level: float, *, points: int = 2_000) -> TailDraws:
    """Return the tail of a normal with mean 0, at the middles of equally probable slices."""
    chances = (1 - level) * (np.arange(points) + 0.5) / points
    ratios = -ndtri(chances) / normal_factors(level)[1]
    return TailDraws(
        ratios=ratios[None, :],
        rows=np.zeros(n_obs, dtype=np.int64),
        probabilities=np.full(n_obs, 1 - level),
    )


def simulate_z2(tails: TailDraws, level: float, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Return Z2 of `draws` simulated histories in which the forecasts are right (draws,).

    Exceedances are drawn for all histories in one stream: geometric gaps at the largest
    probability, thinned to each forecast's own.
    """
    if draws < FEWEST_DRAWS:
        raise RiskError(f"Expected at least {FEWEST_DRAWS} draws, was {draws}.")
    if not len(tails.rows):
        raise RiskError("Expected at least one forecast, was none.")
    counts = np.count_nonzero(np.isfinite(tails.ratios), axis=1)
    sums = np.zeros(draws)
    if float(tails.probabilities.max()) > 0:
        _draw(tails.ratios, counts, tails.rows, tails.probabilities, (seed % 2**32, sums))
    found: Floats = 1 - sums / (len(tails.rows) * (1 - check_level(level)))
    return found


def shortfall_test(
    statistic: float,
    tails: TailDraws,
    level: float,
    *,
    significance: float = 0.05,
    draws: int = DRAWS,
    seed: int = 0,
) -> ShortfallTest:
    """Compare Z2 with its simulated law."""
    simulated = simulate_z2(tails, level, draws=draws, seed=seed)
    return ShortfallTest(
        statistic=statistic,
        critical=float(np.quantile(simulated, significance)),
        p_value=float(np.mean(simulated <= statistic)),
        significance=significance,
    )


@kernel
def _draw(
    ratios: Floats,
    counts: Integers,
    rows: Integers,
    probabilities: Floats,
    task: tuple[int, Floats],
) -> None:
    """Add up L / ES of the exceedances of each simulated history; `task` is seed and sums."""
    seed, sums = task
    np.random.seed(seed)  # the compiled generator, which is this thread's own
    most = np.max(probabilities)
    length = len(rows)
    step = np.log1p(-most)
    history = 0
    t = int(np.log(1.0 - np.random.random()) / step)
    while True:
        while t >= length:
            t -= length
            history += 1
        if history >= len(sums):
            return
        row = rows[t]
        if np.random.random() * most < probabilities[t] and counts[row] > 0:
            sums[history] += ratios[row, int(np.random.random() * counts[row])]
        t += 1 + int(np.log(1.0 - np.random.random()) / step)
