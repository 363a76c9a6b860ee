"""The as-of join against a search through the whole past."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.analysis.as_of import as_of, common_grid


@given(
    steps=st.lists(st.integers(0, 5), max_size=20),
    grid=st.lists(st.integers(-3, 60), max_size=20),
    max_age=st.none() | st.integers(0, 10),
)
def test_as_of_is_the_last_value_not_too_old(
    steps: list[int], grid: list[int], max_age: int | None
) -> None:
    times = np.cumsum(np.array(steps, np.int64))
    found = as_of(times, np.arange(float(len(times))), np.array(grid, np.int64), max_age)
    expected = []
    for point in grid:
        past = [i for i, time in enumerate(times.tolist()) if time <= point]
        old = bool(past) and max_age is not None and point - times[past[-1]] > max_age
        expected.append(np.nan if old or not past else float(past[-1]))
    np.testing.assert_array_equal(found, expected)


def test_common_grid_spans_what_both_have() -> None:
    x, y = np.array([0, 100]), np.array([7, 50])
    assert common_grid(x, y, 20).tolist() == [7, 27, 47]
    assert common_grid(y, x, 43).tolist() == [7, 50]
    assert len(common_grid(x, np.array([200, 300]), 10)) == 0
    assert len(common_grid(x, x[:0], 10)) == 0


def test_common_grid_does_not_drift() -> None:
    begin = 1_723_161_255_088_169_167
    ends = np.array([begin, begin + 10**12])
    grid = common_grid(ends, ends, 50_000_000)
    assert grid[-1] - grid[0] == 10**12
    assert set(np.diff(grid).tolist()) == {50_000_000}
