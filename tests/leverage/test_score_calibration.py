"""Touches that were predicted against touches that came, on hourly marks of 2024 and 2025."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
from pyarrow import feather
from scipy.special import erfcinv

from alphaplus.leverage.hit_probability import Floats, hit_probability

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
HORIZON_H = 24
HALF_LIFE_H = 24
WARM_H = 720
ALLOWANCE = 0.02
"""The model is no law: prices jump, and volatility moves within the horizon."""


@functools.cache
def touches(folder: Path) -> tuple[Floats, Floats, Floats]:
    """How far each day's mark fell and rose in units of its forecast, (days, symbols x 2).

    By the extremes of the bars and by their closes, with the forecast itself: an exponential
    mean of squared hourly returns before the day. A horizon of 24 h holds every hour of the day
    once, so hours of the day need no factors.
    """
    by_extreme, by_close, sigmas = [], [], []
    for symbol in SYMBOLS:
        table = feather.read_table(folder / f"{symbol}-1h-mark.feather")
        opens, high, low, close = (
            np.log(table[name].to_numpy()) for name in ("open", "high", "low", "close")
        )
        squared = np.diff(close, prepend=opens[0]) ** 2
        decay = 0.5 ** (1 / HALF_LIFE_H)
        variance, forecast = float(squared[:WARM_H].mean()), np.zeros(len(close) + 1)
        for k, value in enumerate(squared):
            variance = decay * variance + (1 - decay) * float(value)
            forecast[k + 1] = variance
        starts = np.arange(2 * WARM_H, len(close) - HORIZON_H, HORIZON_H)
        hours = starts[:, np.newaxis] + np.arange(HORIZON_H)
        now, sigma = close[starts - 1], np.sqrt(forecast[starts])
        fall, rise = now - low[hours].min(axis=1), high[hours].max(axis=1) - now
        by_extreme += [fall / sigma, rise / sigma]
        by_close += [
            (now - close[hours].min(axis=1)) / sigma,
            (close[hours].max(axis=1) - now) / sigma,
        ]
        sigmas.append(sigma)
    return np.column_stack(by_extreme), np.column_stack(by_close), np.column_stack(sigmas)


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    return data_dir / "risk" / "perps_1h_2024-01_2025-06"


@pytest.mark.parametrize("decile", range(10))
def test_touches_come_as_often_as_the_probability_says(folder: Path, decile: int) -> None:
    moved, _, sigmas = touches(folder)
    probability = (decile + 0.5) / 10
    scaled = math.sqrt(2 * HORIZON_H) * float(erfcinv(probability))
    said = hit_probability(scaled * sigmas, sigmas, HORIZON_H)
    np.testing.assert_allclose(said, probability, rtol=1e-9)
    by_day = (moved >= scaled).mean(axis=1)  # days are the sample: symbols and sides move together
    error = float(by_day.std(ddof=1)) / math.sqrt(len(by_day))
    assert len(by_day) > 400
    assert abs(float(by_day.mean()) - probability) <= 4 * error + ALLOWANCE


def test_closes_alone_miss_touches(folder: Path) -> None:
    moved, at_closes, _ = touches(folder)
    scaled = math.sqrt(2 * HORIZON_H) * float(erfcinv(0.25))
    assert (at_closes >= scaled).mean() < 0.95 * (moved >= scaled).mean()


def test_half_the_probability_would_be_found_out(folder: Path) -> None:
    """The bound is generous, but not so that a lost factor of two would pass it."""
    moved, _, _ = touches(folder)
    scaled = math.sqrt(2 * HORIZON_H) * float(erfcinv(0.55))
    by_day = (moved >= scaled).mean(axis=1)
    error = float(by_day.std(ddof=1)) / math.sqrt(len(by_day))
    assert abs(float(by_day.mean()) - 0.55 / 2) > 4 * error + ALLOWANCE
