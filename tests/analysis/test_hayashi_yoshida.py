"""Hayashi-Yoshida covariance against the double loop of its definition."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.hayashi_yoshida import (
    HayashiYoshida,
    hayashi_yoshida_correlation,
    hayashi_yoshida_covariance,
    log_mid_moves,
    moves,
)
from alphaplus.analysis.tape import QUOTE
from alphaplus.errors import ConfigError

Series = tuple[np.ndarray, np.ndarray]


@st.composite
def series(draw: st.DrawFn, *, max_size: int = 25) -> Series:
    """Observations with equal times, repeated values and both signs."""
    steps = draw(st.lists(st.integers(0, 6), max_size=max_size))
    values = draw(st.lists(st.integers(-3, 3), min_size=len(steps), max_size=len(steps)))
    return np.cumsum(np.array(steps, np.int64)), np.array(values, np.float64)


def naive_moves(times: np.ndarray, values: np.ndarray) -> list[tuple[int, float]]:
    last = dict(zip(times.tolist(), values.tolist(), strict=True))
    kept: list[tuple[int, float]] = []
    for time, value in last.items():
        if not kept or kept[-1][1] != value:
            kept.append((time, value))
    return kept


def naive_covariance(x: Series, y: Series) -> float:
    """All pairs of moves whose half-open intervals share a moment."""
    a, b = naive_moves(*x), naive_moves(*y)
    total = 0.0
    for (t0, x0), (t1, x1) in pairwise(a):
        for (s0, y0), (s1, y1) in pairwise(b):
            if max(t0, s0) < min(t1, s1):
                total += (x1 - x0) * (y1 - y0)
    return total


def naive_correlation(x: Series, y: Series) -> float | None:
    squares = [
        sum((b[1] - a[1]) ** 2 for a, b in pairwise(m)) for m in (naive_moves(*x), naive_moves(*y))
    ]
    if not min(squares):
        return None
    return naive_covariance(x, y) / (squares[0] * squares[1]) ** 0.5


@given(x=series(), y=series())
def test_batch_is_the_double_loop(x: Series, y: Series) -> None:
    assert hayashi_yoshida_covariance(*x, *y) == naive_covariance(x, y)
    correlation = hayashi_yoshida_correlation(*x, *y)
    expected = naive_correlation(x, y)
    assert (correlation is None) == (expected is None)
    if expected is not None:
        assert correlation == pytest.approx(expected, rel=1e-12)


@given(x=series(), y=series())
def test_symmetric_in_both(x: Series, y: Series) -> None:
    assert hayashi_yoshida_covariance(*x, *y) == hayashi_yoshida_covariance(*y, *x)


@given(values=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2))
def test_synchronous_moves_give_the_plain_sum(values: list[tuple[int, int]]) -> None:
    path = np.array(values, np.float64)
    path[:, 0] += 20 * np.arange(len(path))  # both move at every time
    path[:, 1] += 20 * np.arange(len(path))
    times = np.arange(len(path)) * 7
    expected = float(np.sum(np.diff(path[:, 0]) * np.diff(path[:, 1])))
    assert hayashi_yoshida_covariance(times, path[:, 0], times, path[:, 1]) == expected


@given(x=series(), y=series(), places=st.lists(st.integers(1, 200), max_size=10))
def test_observations_that_change_nothing_change_nothing(
    x: Series, y: Series, places: list[int]
) -> None:
    times, values = x
    if not len(times):
        return
    extra = np.array([times[0] + place for place in places if times[0] + place not in times])
    held = values[np.searchsorted(times, extra, "right") - 1]
    order = np.argsort(np.append(times, extra), kind="stable")
    fuller = np.append(times, extra)[order].astype(np.int64), np.append(values, held)[order]
    assert hayashi_yoshida_covariance(*fuller, *y) == hayashi_yoshida_covariance(*x, *y)


@settings(max_examples=300)
@given(x=series(max_size=40), y=series(max_size=40), seed=st.integers(0, 2**32 - 1))
def test_stream_is_batch_however_it_is_cut(x: Series, y: Series, seed: int) -> None:
    random = np.random.default_rng(seed)
    hy = HayashiYoshida(capacity=64)
    at = [0, 0]
    sides = ((x, hy.update_x), (y, hy.update_y))
    while any(at[i] < len(sides[i][0][0]) for i in (0, 1)):
        which = int(random.integers(2))
        (times, values), update = sides[which]
        until = at[which] + int(random.integers(0, 8))
        update(times[at[which] : until], values[at[which] : until])
        at[which] = until
    for (times, _), update in sides:  # a later time settles the newest point
        if len(times):
            update(times[-1:] + 1, np.zeros(1))
    assert hy.covariance == naive_covariance(x, y)
    assert (hy.moves_x, hy.moves_y) == tuple(max(0, len(naive_moves(*s)) - 1) for s in (x, y))
    expected = naive_correlation(x, y)
    assert hy.values()["correlation"] == (
        None if expected is None else pytest.approx(expected, rel=1e-12)
    )


@given(x=series(max_size=60), y=series(max_size=10))
def test_points_merged_for_room_are_exact_while_the_other_side_is_silent(
    x: Series, y: Series
) -> None:
    """All of y before x, or only after it: what merged in between cannot matter."""
    hy = HayashiYoshida(capacity=2)
    begin = int(x[0][-1]) + 1 if len(x[0]) else 0
    later = y[0] + begin, y[1]
    hy.update_y(np.array([-1]), np.array([5.0]))
    hy.update_x(*x)
    hy.update_x(np.array([begin]), np.zeros(1))
    hy.update_y(*later)
    both = (np.append(-1, later[0]), np.append(5.0, later[1]))
    hy.update_y(both[0][-1:] + 1, np.zeros(1))
    assert hy.covariance == naive_covariance(x, both)
    assert hy.merged_x <= max(0, len(x[0]) - 2)


def test_memory_stays_bounded_and_merging_is_counted() -> None:
    hy = HayashiYoshida(capacity=8)
    hy.update_x(np.arange(1000), np.arange(1000.0) % 7)
    assert (hy.moves_x, hy.merged_x) == (998, 991)
    hy.reset()
    assert hy.values() == {"covariance": 0.0, "correlation": None, "moves_x": 0, "moves_y": 0}


def test_a_time_that_goes_back_counts_as_the_newest() -> None:
    hy = HayashiYoshida()
    hy.update_x(np.array([10, 20, 15, 30]), np.array([0.0, 1.0, 2.0, 9.0]))
    hy.update_y(np.array([10, 20, 30]), np.array([0.0, 1.0, 9.0]))
    assert hy.covariance == 2.0


def test_correlation_may_pass_one() -> None:
    """One long move of y meets all the moves of x, which alternate and so cost little RV."""
    x = np.array([0, 1, 2, 3]), np.array([0.0, 1.0, 2.0, 3.0])
    y = np.array([0, 3]), np.array([0.0, 3.0])
    assert hayashi_yoshida_correlation(*x, *y) == pytest.approx(3**0.5)


def test_log_mid_moves_leaves_out_what_is_no_best_quote() -> None:
    quotes = np.zeros(5, QUOTE)
    quotes["ts_event"] = [1, 2, 3, 4, 5]
    quotes["bid_tick"] = [100, 100, 100, 103, 102]
    quotes["ask_tick"] = [102, 102, 104, 103, 104]
    quotes["bid_quantity"] = 1.0
    quotes["ask_quantity"] = [1.0, 2.0, 0.0, 1.0, 1.0]
    times, values = log_mid_moves(quotes)
    assert times.tolist() == [1, 5]
    assert values.tolist() == [np.log(101.0), np.log(103.0)]
    assert len(log_mid_moves(quotes[:0])[0]) == 0


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="never go back"):
        moves(np.array([2, 1]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="finite"):
        moves(np.array([1]), np.array([np.nan]))
    with pytest.raises(ValueError, match="finite"):
        HayashiYoshida().update_x(np.array([1]), np.array([np.inf]))
    with pytest.raises(ValueError, match="as many"):
        HayashiYoshida().update_y(np.array([1]), np.zeros(2))
    with pytest.raises(ValueError, match="as many"):
        moves(np.array([1]), np.zeros(2))
    with pytest.raises(ConfigError, match="capacity"):
        HayashiYoshida(capacity=1)
