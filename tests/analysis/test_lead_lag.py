"""Lead-lag: planted lags, symmetry, the reasons for None, and published and measured values."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.hayashi_yoshida import hayashi_yoshida_correlation, log_mid_moves
from alphaplus.analysis.lead_lag import contrast, lag_grid, lead_lag, read_contrast
from alphaplus.errors import ConfigError
from tests.analysis.capture_tapes import capture_tapes
from tests.analysis.test_hayashi_yoshida import Series, series

MS = 1_000_000
S = 1_000_000_000


def ticks_of_one_path(
    seed: int, lag: int, *, count: int = 3000, noise: float = 0.0
) -> tuple[Series, Series]:
    """One Brownian path seen by two markets at random moments, by y `lag` ms later."""
    random = np.random.default_rng(seed)
    path = np.cumsum(random.normal(size=60_000))  # one value each ms
    seen = []
    for delay in (0, lag):
        times = np.sort(random.choice(np.arange(1000, 59_000), count, replace=False))
        seen.append((times, path[times - delay] + noise * random.normal(size=count)))
    return seen[0], seen[1]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(-15, 15))
def test_planted_lag_is_found_to_one_step(seed: int, steps: int) -> None:
    x, y = ticks_of_one_path(seed, steps * 20)
    found = lead_lag(*x, *y, lag_grid(400, 20))
    assert found.lag_ns is not None
    assert abs(found.lag_ns - steps * 20) <= 20
    assert found.missing is None


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(-15, 15))
def test_swap_turns_the_lag_and_inverts_the_ratios(seed: int, steps: int) -> None:
    x, y = ticks_of_one_path(seed, steps * 20, noise=1.0)
    one, other = (lead_lag(*a, *b, lag_grid(400, 20)) for a, b in ((x, y), (y, x)))
    assert one.lag_ns is not None
    assert other.lag_ns == -one.lag_ns
    assert one.correlation == pytest.approx(other.correlation, rel=1e-9)
    for name in ("lead_lag_ratio", "lead_lag_ratio_squared"):
        assert getattr(one, name) == pytest.approx(1 / getattr(other, name), rel=1e-9)


@given(x=series(), y=series(), lag=st.integers(-20, 20))
def test_contrast_is_the_correlation_with_y_moved(x: Series, y: Series, lag: int) -> None:
    (value,) = contrast(*x, *y, lag)
    expected = hayashi_yoshida_correlation(*x, y[0] - lag, y[1])
    assert np.isnan(value) if expected is None else value == pytest.approx(expected, rel=1e-12)


def test_ratios_are_those_of_the_curve() -> None:
    found = read_contrast(
        np.array([0.1, -0.2, 0.3, -0.8, 0.1]), np.array([-2, -1, 0, 1, 2]), 100, 100
    )
    assert (found.lag_ns, found.correlation) == (1, -0.8)
    assert found.lead_lag_ratio == pytest.approx(0.9 / 0.3)
    assert found.lead_lag_ratio_squared == pytest.approx(0.65 / 0.05)


def test_too_few_moves_give_none() -> None:
    times = np.arange(100) * 10
    few = lead_lag(times, np.arange(100.0) % 7, times, np.arange(100.0) % 7, lag_grid(20, 10))
    assert (few.lag_ns, few.lead_lag_ratio, few.correlation) == (None, None, None)
    assert (few.moves_x, few.missing) == (99, "99 of 100 moves")
    still = lead_lag(times, np.ones(100), times, np.ones(100), lag_grid(20, 10), min_moves=0)
    assert (still.lag_ns, still.missing) == (None, "0 of 1 moves")
    empty = lead_lag(times[:0], np.ones(0), times, np.ones(100), lag_grid(20, 10))
    assert (empty.lag_ns, empty.moves_x) == (None, 0)


def test_peak_at_the_end_of_the_grid_gives_none() -> None:
    x, y = ticks_of_one_path(1, 300)
    found = lead_lag(*x, *y, lag_grid(300, 20))
    assert (found.lag_ns, found.lead_lag_ratio) == (None, None)
    assert found.missing == "a peak inside the grid of lags"


def test_tie_of_both_directions_names_no_leader() -> None:
    found = read_contrast(
        np.array([0.1, 0.5, 0.3, 0.5, 0.1]), np.array([-2, -1, 0, 1, 2]), 100, 100
    )
    assert (found.lag_ns, found.lead_lag_ratio) == (None, 1.0)
    nearest = read_contrast(
        np.array([0.1, 0.2, 0.0, 0.5, 0.5, 0.5, 0.1]), np.arange(-3, 4), 100, 100
    )
    assert nearest.lag_ns == 0


def test_no_correlation_on_one_side_gives_no_ratio() -> None:
    found = read_contrast(
        np.array([0.0, 0.0, 0.3, 0.5, 0.1]), np.array([-2, -1, 0, 1, 2]), 100, 100
    )
    assert (found.lag_ns, found.lead_lag_ratio) == (1, None)


def test_grids_that_compare_unequal_sides_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple"):
        lag_grid(25, 10)
    with pytest.raises(ConfigError, match="symmetric"):
        read_contrast(np.ones(3), np.array([-1, 0, 2]), 100, 100)
    assert len(lag_grid(2 * S, 10 * MS)) == 401


def _daily_prices(path: Path) -> Series:
    """Rows with a price, the first of those with one time."""
    prices: dict[int, float] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["last"]:
                time = int(np.datetime64(row["date"], "ns").astype(np.int64))
                prices.setdefault(time, float(row["last"]))
    return np.array([*prices]), np.array([*prices.values()])


def test_two_yen_markets_as_published(data_dir: Path) -> None:
    """One day of BTC/JPY (Philippe Remy's lead-lag, MIT): bitFlyer leads by 15 s."""
    folder = data_dir / "analysis"
    expected = json.loads((folder / "leadlag_expected.json").read_text())
    x = _daily_prices(folder / "bitflyerJPY_2018-08-12.csv")
    y = _daily_prices(folder / "btcboxJPY_2018-08-12.csv")
    found = lead_lag(*x, *y, lag_grid(30 * S, S))
    assert found.lag_ns == expected["lag_seconds"] * S
    assert found.correlation == pytest.approx(expected["replica"]["contrast"], abs=1e-4)
    assert found.lead_lag_ratio == pytest.approx(expected["replica"]["LLR"], abs=1e-3)


def test_perpetual_leads_spot_in_the_captures(data_dir: Path) -> None:
    """Log mids by receive time, 401 lags of 10 ms: the peak passes 1 and is not clipped."""
    x, y = (
        log_mid_moves(
            np.concatenate([tape.quotes for tape in capture_tapes(data_dir, market)]), "ts_recv"
        )
        for market in ("perp", "spot")
    )
    assert (len(x[0]), len(y[0])) == (2027, 2673)
    grid = lag_grid(2 * S, 10 * MS)
    curve = contrast(*x, *y, grid)
    assert curve[200] == pytest.approx(0.661, abs=5e-4)
    found = read_contrast(curve, grid, 2026, 2672)
    assert found.lag_ns == 120 * MS
    assert found.correlation == pytest.approx(1.183, abs=5e-4)
    assert found.lead_lag_ratio is not None
    assert found.lead_lag_ratio > 1
