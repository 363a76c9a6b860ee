"""Sampling by previous tick against a plain twin, however the stream is cut."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.mid_grid import MidGrid, grid_mids, log_returns, step_ns
from alphaplus.errors import ConfigError
from tests.analysis.flow_cases import SECOND, START, Rows, quote, quotes_of, random_quotes

CUTS = st.lists(st.integers(1, 30), max_size=5)


def plain_grid(quotes: Rows, now: int, step: int = SECOND) -> list[float]:
    """Return the returns between the grid points before `now`, one by one."""
    stamped: list[tuple[int, int]] = []  # (time, bid + ask; 0 = not valid)
    for ts, _, _, bid_tick, ask_tick, bid, ask in quotes.tolist():
        is_valid = 0 < bid < 1e15 and 0 < ask < 1e15 and bid_tick < ask_tick
        if stamped or is_valid:
            clock = max(ts, stamped[-1][0]) if stamped else ts
            stamped.append((clock, bid_tick + ask_tick if is_valid else 0))
    if not stamped:
        return []
    first = math.ceil(stamped[0][0] / step) * step
    points = range(first, now, step)
    mids = [[mid for time, mid in stamped if time <= point][-1] for point in points]
    return [
        math.log1p((after - before) / before) if before and after else math.nan
        for before, after in pairwise(mids)
    ]


def flat(runs: Rows) -> list[float]:
    return [value for value, intervals in runs.tolist() for _ in range(intervals)]


@given(quotes=random_quotes(), cuts=CUTS, wait=st.integers(0, 5 * SECOND))
@settings(max_examples=150)
def test_returns_equal_a_plain_twin_however_quotes_are_cut(
    quotes: Rows, cuts: list[int], wait: int
) -> None:
    grid, found = MidGrid(SECOND), []
    bounds = sorted({0, len(quotes), *(min(cut, len(quotes)) for cut in cuts)})
    for begin, end in pairwise(bounds):
        found += flat(grid.take(quotes[begin:end]))
    now = int(quotes["ts_event"].max()) + wait
    ahead = flat(grid.until(now))
    assert ahead == pytest.approx(flat(grid.until(now)), nan_ok=True)  # looking moves nothing
    assert found + ahead == pytest.approx(plain_grid(quotes, now), rel=1e-12, nan_ok=True)


def test_a_point_counts_quotes_of_its_own_time() -> None:
    quotes = quotes_of(
        [
            quote(999, 1.0, 1001, 1.0, 0),
            quote(1999, 1.0, 2001, 1.0, SECOND),
            quote(3999, 1.0, 4001, 1.0, 0),
        ]
    )
    grid = MidGrid(SECOND)
    assert flat(grid.take(quotes)) == []
    assert flat(grid.until(START + SECOND)) == []
    assert flat(grid.until(START + SECOND + 1)) == pytest.approx([math.log(4)])


def test_no_return_spans_a_point_without_a_valid_quote() -> None:
    quotes = quotes_of(
        [
            quote(999, 1.0, 1001, 1.0, 0),
            quote(999, 0.0, 1001, 1.0, SECOND),
            quote(1999, 1.0, 2001, 1.0, SECOND),
            quote(1999, 1.0, 2001, 1.0, 2 * SECOND),
        ]
    )
    grid = MidGrid(SECOND)
    returns = [*flat(grid.take(quotes)), *flat(grid.until(START + 5 * SECOND))]
    assert returns == pytest.approx([math.nan, math.nan, 0.0, 0.0], nan_ok=True)


def test_an_interruption_skips_the_points_up_to_the_next_quote() -> None:
    grid = MidGrid(SECOND)
    before = quotes_of([quote(999, 1.0, 1001, 1.0, 0)])
    assert flat(grid.take(before)) == []
    assert flat(grid.interrupt(START + SECOND + 1)) == [0.0]
    after = quotes_of([quote(999, 1.0, 1001, 1.0, 4 * SECOND), quote(9, 1.0, 11, 1.0, SECOND // 2)])
    returns = [*flat(grid.take(after)), *flat(grid.until(START + 6 * SECOND))]
    assert returns == pytest.approx([math.nan, math.nan, math.nan, math.log(0.01)], nan_ok=True)


def test_a_long_silence_is_one_run() -> None:
    grid = MidGrid(1_000_000)
    grid.take(quotes_of([quote(999, 1.0, 1001, 1.0, 0)]))
    runs = grid.until(START + 10**18)
    assert runs["intervals"].tolist() == [10**12 - 1]


def test_batch_grid_takes_any_clock_and_keeps_unknown_mids() -> None:
    times, mids = np.array([5, 12, 13, 30]), np.array([1.0, 2.0, np.nan, 4.0])
    found = grid_mids(times, mids, 5)
    assert found.tolist() == pytest.approx([1.0, 1.0, np.nan, np.nan, np.nan, 4.0], nan_ok=True)
    assert grid_mids(times, mids, 10, start=0, end=12).tolist() == pytest.approx(
        [np.nan, 1.0], nan_ok=True
    )
    assert np.isnan(log_returns(found)).tolist() == [False, True, True, True, True]
    assert len(grid_mids(times[:0], mids[:0], 5)) == 0


def test_small_returns_keep_their_digits() -> None:
    returns = log_returns(np.array([1e7, 1e7 + 1]))
    assert returns[0] == pytest.approx(1e-7 - 0.5e-14, rel=1e-14)


@pytest.mark.parametrize("grid_s", [0.0, -1.0, 1e-9, 7200.0, float("nan")])
def test_bad_steps_are_refused(grid_s: float) -> None:
    with pytest.raises(ConfigError, match=r"Expected grid_s .*, was"):
        step_ns(grid_s)
    with pytest.raises(ConfigError, match="Expected step_ns"):
        grid_mids(np.array([1]), np.array([1.0]), 0)
