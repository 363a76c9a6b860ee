"""Previous-tick correlation: planted values, reasons for None, and the captures."""

from pathlib import Path

import numpy as np
import pytest

from alphaplus.analysis.as_of import common_grid
from alphaplus.analysis.epps import STEPS_S, epps_curve, previous_tick_correlation
from alphaplus.analysis.hayashi_yoshida import log_mid_moves
from tests.analysis.capture_tapes import capture_tapes

SECOND = 1_000_000_000


def test_planted_correlation_is_recovered() -> None:
    random = np.random.default_rng(8)
    common, own = random.normal(size=(2, 20_000))
    times = np.arange(20_000) * SECOND
    y = 0.6 * common + 0.8 * own
    (found,) = epps_curve(times, np.cumsum(common), times, np.cumsum(y), [1.0])
    assert found == pytest.approx(0.6, abs=0.02)
    expected = np.corrcoef(common[1:], y[1:])[0, 1]
    assert found == pytest.approx(expected, rel=1e-9)


def test_curve_rises_where_one_market_follows_late() -> None:
    random = np.random.default_rng(9)
    path = np.cumsum(random.normal(size=100_000))
    times = np.arange(100_000) * (SECOND // 100)
    curve = epps_curve(times, path, times + SECOND // 4, path, [0.1, 0.5, 2.0, 10.0])
    known = [value for value in curve if value is not None]
    assert len(known) == 4
    assert known == sorted(known)
    assert known[0] < 0.1
    assert known[-1] > 0.9


def test_unknown_is_none() -> None:
    times = np.arange(5) * SECOND
    flat = np.ones(5)
    assert epps_curve(times, flat, times, np.arange(5.0), [1.0]) == [None]
    assert epps_curve(times, flat, times + 10 * SECOND, flat) == [None] * len(STEPS_S)
    assert previous_tick_correlation(times, flat, times, flat, times[:2]) is None
    steady = np.arange(5.0)  # returns that never vary
    assert previous_tick_correlation(times, steady, times, steady, times) is None


def test_captures(data_dir: Path) -> None:
    """Perpetual and spot by receive time, +-.003; the value at 50 ms is told apart below."""
    x, y = (
        log_mid_moves(
            np.concatenate([tape.quotes for tape in capture_tapes(data_dir, market)]), "ts_recv"
        )
        for market in ("perp", "spot")
    )
    curve = epps_curve(*x, *y)
    assert curve[1:] == pytest.approx([0.725, 0.853, 0.871, 0.958, 0.982], abs=0.003)
    assert curve[0] == pytest.approx(0.5357, abs=5e-4)
    # The published 0.516 is that of a grid held in float64, whose steps are 49.999872 ms.
    exact = common_grid(x[0], y[0], 50_000_000)
    drifting = np.arange(float(exact[0]), float(min(x[0][-1], y[0][-1])), 5e7)
    assert drifting[-1] - exact[len(drifting) - 1] == pytest.approx(875_000, abs=1000)
    assert previous_tick_correlation(*x, *y, drifting) == pytest.approx(0.516, abs=0.003)
