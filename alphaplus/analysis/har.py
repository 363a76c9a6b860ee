"""The heterogeneous autoregression of realized variance, HAR (Corsi 2009).

Traders of different horizons: the next variance on the means of the last few, some and many,

    RV_{t+1} = c + b_1 RV_t + b_2 mean of last 5 + b_3 mean of last 22

by least squares, with days as periods. The intraday form takes periods of a minute and means
over a minute, 15 minutes, 4 hours and 24 hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError

Floats = npt.NDArray[np.float64]

DAILY_LAGS: Final = (1, 5, 22)
"""A day, a week and a month of trading days."""
MINUTE_LAGS: Final = (1, 15, 240, 1440)
"""1 min, 15 min, 4 h and 24 h in periods of one minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarModel:
    """A fitted HAR. Variances are per period, as those that it was fitted on."""

    lags: tuple[int, ...]
    """Periods of each mean, ascending."""
    constant: float
    coefficients: tuple[float, ...]
    """One for each lag."""
    floor: float
    """The smallest variance of the fit; no forecast is below it."""
    observations: int

    def forecast(self, variances: npt.ArrayLike) -> float | None:
        """Return the variance of the next period; None with fewer periods than the last lag.

        None also if one of these periods is not known (nan).
        """
        history = _series(variances)
        if len(history) < self.lags[-1]:
            return None
        means = [float(history[-lag:].mean()) for lag in self.lags]
        value = self._of(np.array([means]))[0]
        return float(value) if np.isfinite(value) else None

    def forecasts(self, variances: npt.ArrayLike) -> Floats:
        """Return for each period the forecast made one period before, from the past alone.

        nan where the past is too short or not known. It has the length of `variances`.
        """
        history = _series(variances)
        found = np.full(len(history), np.nan)
        if len(history) > self.lags[-1]:
            found[self.lags[-1] :] = self._of(har_means(history, self.lags)[:-1])
        return found

    def _of(self, means: Floats) -> Floats:
        linear = self.constant + means @ np.array(self.coefficients)
        return np.asarray(np.where(np.isnan(linear), np.nan, np.maximum(linear, self.floor)))


def fit_har(variances: npt.ArrayLike, lags: Sequence[int] = DAILY_LAGS) -> HarModel:
    """Fit HAR to the realized variances of periods in a row, oldest first, nan if not known.

    Raises ConfigError if the lags are not ascending, or the periods too few for them: at least
    two observations more than coefficients.
    """
    lags = tuple(lags)
    if not lags or lags[0] < 1 or any(b <= a for a, b in pairwise(lags)):
        raise ConfigError(f"Expected lags above 0 in ascending order, was {lags}.")
    history = _series(variances)
    needed = len(lags) + 3
    if len(history) < lags[-1] + needed:
        raise ConfigError(
            f"Expected at least {lags[-1] + needed} variances, was {len(history)}; measure longer."
        )
    means, after = har_means(history, lags)[:-1], history[lags[-1] :]
    is_known = np.isfinite(means).all(axis=1) & np.isfinite(after)
    observations = int(np.count_nonzero(is_known))
    if observations < needed:
        raise ConfigError(
            f"Expected at least {needed} periods with a known past, was {observations}."
        )
    # Variances are as small as 1e-10: least squares is done on numbers around 1.
    scale = float(np.abs(after[is_known]).mean()) or 1.0
    design = np.column_stack([np.ones(observations), means[is_known] / scale])
    found = np.linalg.lstsq(design, after[is_known] / scale, rcond=None)[0]
    return HarModel(
        lags=lags,
        constant=float(found[0]) * scale,
        coefficients=tuple(found[1:].tolist()),
        floor=float(history[np.isfinite(history)].min()),
        observations=observations,
    )


def har_means(variances: Floats, lags: Sequence[int]) -> Floats:
    """Return the means over the last periods as at each period from the longest lag on.

    One row per period and one column per lag. Each mean is added up anew, as a running sum
    would keep the rounding error of one large variance for ever.
    """
    rows = len(variances) - lags[-1] + 1
    means = [np.lib.stride_tricks.sliding_window_view(variances, lag).mean(axis=1) for lag in lags]
    return np.column_stack([column[len(column) - rows :] for column in means])


def qlike(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> float | None:
    """Return the mean of y/f - ln(y/f) - 1 over the pairs that are known; 0 is a perfect score.

    It ranks forecasts as the true variance would, though `actual` only estimates it (Patton
    2011). None if no pair is known and above 0.
    """
    values, forecasts = np.broadcast_arrays(_series(actual), np.asarray(forecast, np.float64))
    is_known = (values > 0) & (forecasts > 0)
    if not is_known.any():
        return None
    ratios = values[is_known] / forecasts[is_known]
    return float(np.mean(ratios - np.log(ratios) - 1))


def _series(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
